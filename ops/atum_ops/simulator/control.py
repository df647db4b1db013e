"""The private side, under `/_control/`: ledger, counts, faults, scenarios. The system under test never calls it."""

from __future__ import annotations

import hmac
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, parse_qsl

import orjson

from atum_ops.simulator import texts
from atum_ops.simulator.control_webhooks import WebhookControl
from atum_ops.simulator.faults import FaultPlan
from atum_ops.simulator.presets import preset
from atum_ops.simulator.suppressions import ORIGINS, REASONS, Suppression
from atum_schema.errors import SettingsError

if TYPE_CHECKING:
    from atum_ops.simulator.exchange import Answer, Request
    from atum_ops.simulator.stage import Stage
    from atum_ops.simulator.state import State
    from atum_ops.simulator.wire import Connection

PREFIX = "/_control/"
TOKEN_HEADER = b"x-control-token"


class Control:
    """Answers requests under `/_control/` that carry the control token; 403 to all others."""

    def __init__(self, state: State, stage: Stage) -> None:
        self._state = state
        self._stage = stage
        self._webhooks = WebhookControl(state)
        self._routes = {
            ("GET", "summary"): self._summary,
            ("GET", "status"): self._status,
            ("POST", "faults"): self._faults,
            ("POST", "conditions"): self._conditions,
            ("POST", "scenario"): self._start,
            ("DELETE", "scenario"): self._end,
            ("GET", "content"): self._content,
            ("POST", "inactive"): self._inactive,
            ("POST", "suppressions"): self._suppressions,
            ("POST", "reset"): self._reset,
            **self._webhooks.routes,
        }

    def __call__(self, request: Request, connection: Connection) -> None:
        connection.private = True
        given = request.headers.get(TOKEN_HEADER, b"")
        if not hmac.compare_digest(given, self._state.config.control_token.encode()):
            connection.answer(texts.json_answer({"error": "wrong or missing X-Control-Token"}, status=403))
            return
        name = request.path.lower().removeprefix(PREFIX).rstrip("/")
        try:
            if (request.method, name) == ("GET", "ledger"):
                self._ledger(request, connection)
                return
            if (request.method, name) == ("GET", "truth"):
                connection.stream(self._webhooks.truth())
                return
            handler = self._routes.get((request.method, name))
            answer = (
                handler(request) if handler else texts.json_answer({"error": "no such control"}, status=404)
            )
        except (ValueError, SettingsError) as error:
            answer = texts.json_answer({"error": str(error)}, status=422)
        connection.answer(answer)

    def _ledger(self, request: Request, connection: Connection) -> None:
        query = {key.lower(): values[-1] for key, values in parse_qs(request.query).items()}
        after = int(query.get("after", "0"))
        limit = int(query["limit"]) if "limit" in query else None
        if after < 0 or (limit is not None and limit < 0):
            raise ValueError("after and limit must not be negative")
        connection.stream(self._state.ledger.blocks(after=after, limit=limit))

    def _summary(self, _: Request) -> Answer:
        return texts.json_answer(self._state.summary())

    def _status(self, _: Request) -> Answer:
        state = self._state
        return texts.json_answer(
            {
                "scenario": self._stage.to_document(),
                "conditions": state.conditions.to_document(),
                "faults": state.plan.to_document(),
                "fired": state.fired(),
            }
        )

    def _faults(self, request: Request) -> Answer:
        document = _object(request)
        if "preset" in document:
            plan = preset(str(document["preset"]), seed=int(document.get("seed", 0)))
        else:
            plan = FaultPlan.from_document(document)
        self._state.use(plan)
        return texts.json_answer(plan.to_document())

    def _conditions(self, request: Request) -> Answer:
        self._state.tune(_object(request))
        return self._status(request)

    def _start(self, request: Request) -> Answer:
        document = _object(request)
        seconds = document.get("seconds")
        self._stage.start(str(document.get("name")), None if seconds is None else float(seconds))
        return self._status(request)

    def _end(self, request: Request) -> Answer:
        self._stage.clear()
        return self._status(request)

    def _inactive(self, request: Request) -> Answer:
        addresses = _object(request).get("addresses")
        if not isinstance(addresses, list) or not all(isinstance(one, str) for one in addresses):
            raise ValueError("addresses must be a list of strings")
        state = self._state
        bounced = [
            Suppression(one, "HardBounce", "Recipient", time.time())
            for one in sorted(set(map(str.lower, addresses)))
        ]
        state.account.suppressions.replace(
            (stream, one) for stream in state.account.streams for one in bounced
        )
        return texts.json_answer({"addresses": [one.address for one in bounced]})

    def _suppressions(self, request: Request) -> Answer:
        entries = _object(request).get("suppressions")
        if not isinstance(entries, list) or not all(isinstance(one, dict) for one in entries):
            raise ValueError("suppressions must be a list of objects")
        self._state.account.suppressions.replace([self._suppression(one) for one in entries])
        return texts.json_answer({"suppressions": entries})

    def _suppression(self, entry: dict[str, Any]) -> tuple[str, Suppression]:
        stream, reason = entry.get("MessageStream", "outbound"), entry.get("SuppressionReason", REASONS[0])
        address, origin = entry.get("EmailAddress"), entry.get("Origin", ORIGINS[0])
        if stream not in self._state.account.streams:
            raise ValueError(f"MessageStream is {stream!r}, which this server does not have")
        if not isinstance(address, str) or "@" not in address:
            raise ValueError(f"EmailAddress is {address!r}, it must be an address")
        for name, value, known in (("SuppressionReason", reason, REASONS), ("Origin", origin, ORIGINS)):
            if value not in known:
                raise ValueError(f"{name} is {value!r}, it must be one of {', '.join(known)}")
        return stream, Suppression(address.lower(), reason, origin, time.time())

    def _content(self, request: Request) -> Answer:
        message_id = dict(parse_qsl(request.query)).get("id", "")
        kept = self._state.contents.get(message_id.lower())
        if kept is None:
            return texts.json_answer({"error": "this message's content is not kept"}, status=404)
        return texts.json_answer(dict(kept))

    def _reset(self, _: Request) -> Answer:
        self._stage.clear()
        self._state.reset()
        return texts.json_answer({})


def _object(request: Request) -> dict[str, Any]:
    document = orjson.loads(request.body)
    if not isinstance(document, dict):
        raise ValueError("a JSON object is expected")  # noqa: TRY004 - it becomes a 422
    return document
