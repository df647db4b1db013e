"""The private side of fates and webhooks, under `/_control/`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from atum_ops.simulator import texts
from atum_ops.simulator.texts import Refusal
from atum_ops.simulator.truth import truth
from atum_ops.simulator.webhook_endpoints import statistics
from atum_ops.simulator.webhook_faults import WebhookFaults, webhook_preset
from atum_ops.simulator.webhooks import Status
from atum_schema.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from atum_ops.simulator.exchange import Answer, Request
    from atum_ops.simulator.state import State


class WebhookControl:
    """Answers requests about what becomes of messages and who is told of it."""

    def __init__(self, state: State) -> None:
        self._state = state
        self.routes: Mapping[tuple[str, str], Callable[[Request], Answer]] = {
            ("GET", "webhooks"): self._webhooks,
            ("POST", "webhooks"): self._register,
            ("DELETE", "webhooks"): self._remove,
            ("POST", "webhook_faults"): self._faults,
            ("POST", "fates"): self._fates,
        }

    def truth(self) -> Iterator[bytes]:
        """Give the lines of `GET /_control/truth`."""
        state = self._state
        return truth(state.lives, state.ledger, state.account.suppressions)

    def _webhooks(self, _: Request) -> Answer:
        state, plan = self._state, self._state.lives.plan
        shown = []
        for webhook in state.webhooks.all():
            known = {"Url": webhook.shown_url, "MessageStream": webhook.settings["MessageStream"]}
            shown.append({**statistics(webhook), **known})
        return texts.json_answer(
            {
                "webhooks": shown,
                "counts": dict(state.courier.counts),
                "pending": state.courier.pending,
                "upcoming": state.lives.upcoming,
                "faults": state.courier.faults.to_document(),
                "fates": None if plan is None else plan.to_document(),
            }
        )

    def _register(self, request: Request) -> Answer:
        webhook = self._state.webhooks.read(_object(request))
        if isinstance(webhook, Refusal):
            raise SettingsError(webhook.message)
        self._state.register(webhook, Status.ACTIVE)
        return self._webhooks(request)

    def _remove(self, request: Request) -> Answer:
        document = _object(request)
        if not self._state.webhooks.remove(int(document.get("id", 0))):
            raise SettingsError(texts.NO_WEBHOOK)
        return self._webhooks(request)

    def _faults(self, request: Request) -> Answer:
        document = _object(request)
        courier = self._state.courier
        if "preset" in document:
            courier.use(webhook_preset(str(document["preset"]), seed=int(document.get("seed", 0))))
        elif document.keys() == {"outage"}:
            courier.use(WebhookFaults.from_document({**courier.faults.to_document(), **document}))
        else:
            courier.use(WebhookFaults.from_document(document))
        return self._webhooks(request)

    def _fates(self, request: Request) -> Answer:
        shares = _object(request).get("shares")
        if shares is not None and not isinstance(shares, dict):
            raise SettingsError("shares must be an object, or null")
        self._state.lives.use(None if shares is None else self._state.config.fate_plan(shares))
        return self._webhooks(request)


def _object(request: Request) -> dict[str, Any]:
    document = orjson.loads(request.body)
    if not isinstance(document, dict):
        raise SettingsError("a JSON object is expected")
    return document
