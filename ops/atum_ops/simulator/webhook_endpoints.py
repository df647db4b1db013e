"""`/webhooks` (Postmark developer docs, "Webhooks API"). What verifying and statistics answer is inferred."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

import orjson

from atum_ops.simulator import texts
from atum_ops.simulator.texts import Refusal
from atum_ops.simulator.webhooks import UNKNOWN_STREAM, Status

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Coroutine, Mapping

    from atum_ops.simulator.exchange import Answer, Request
    from atum_ops.simulator.state import State
    from atum_ops.simulator.webhooks import Webhook
    from atum_ops.simulator.wire import Connection

PATH: Final = re.compile(r"/webhooks/([0-9]{1,18})(?:/verify|/statistics)?/?", re.IGNORECASE)
_BAD_JSON, _NO_WEBHOOK, _NOT_VERIFIED = 402, 1350, 1364
_OK: Final = 200


class WebhookEndpoints:
    """Lists and changes what is registered. Creating and editing probes every type that is wanted, unless told not to."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._tasks: set[asyncio.Task[None]] = set()

    def list(self, request: Request, connection: Connection) -> None:
        """Handle `GET /webhooks`, all or those of one `MessageStream`."""
        query = {key.lower(): value for key, value in parse_qsl(request.query)}
        wanted = query.get("messagestream")
        stream = self._state.account.stream_named(wanted) if wanted else None
        if wanted and stream is None:
            connection.answer(texts.error(UNKNOWN_STREAM, texts.UNKNOWN_STREAM))
        else:
            found = [one.to_document() for one in self._state.webhooks.all(stream)]
            connection.answer(texts.json_answer({"Webhooks": found}))

    def single(self, request: Request, connection: Connection) -> None:
        """Handle `GET /webhooks/{id}`."""
        webhook = self._named(request)
        connection.answer(_unknown() if webhook is None else texts.json_answer(webhook.to_document()))

    def create(self, request: Request, connection: Connection) -> None:
        """Handle `POST /webhooks`."""
        self._save(request, connection, None)

    def edit(self, request: Request, connection: Connection) -> None:
        """Handle `PUT /webhooks/{id}`; what is not given stays."""
        webhook = self._named(request)
        if webhook is None:
            connection.answer(_unknown())
        else:
            self._save(request, connection, webhook)

    def remove(self, request: Request, connection: Connection) -> None:
        """Handle `DELETE /webhooks/{id}`."""
        webhook = self._named(request)
        if webhook is None:
            connection.answer(_unknown())
        else:
            self._state.webhooks.remove(webhook.id)
            said = {"ErrorCode": 0, "Message": texts.WEBHOOK_REMOVED.format(id=webhook.id)}
            connection.answer(texts.json_answer(said))

    def verify(self, request: Request, connection: Connection) -> None:
        """Handle `POST /webhooks/{id}/verify`: 200 whatever comes of it; success makes every type active again."""
        webhook = self._named(request)
        if webhook is None:
            connection.answer(_unknown())
            return

        async def verify() -> Answer:
            results = _results(await self._state.courier.verify(webhook))
            success = all(one["Success"] for one in results)
            if success:
                webhook.become(Status.ACTIVE)
            return texts.json_answer({"Success": success, "Results": results})

        self._answer(connection, verify())

    def statistics(self, request: Request, connection: Connection) -> None:
        """Handle `GET /webhooks/{id}/statistics`."""
        webhook = self._named(request)
        connection.answer(_unknown() if webhook is None else texts.json_answer(statistics(webhook)))

    def _save(self, request: Request, connection: Connection, known: Webhook | None) -> None:
        document = _read(request.body)
        if document is None:
            connection.answer(texts.error(_BAD_JSON, texts.BAD_JSON))
            return
        webhook = self._state.webhooks.read(document, None if known is None else known.settings)
        if isinstance(webhook, Refusal):
            connection.answer(texts.error(webhook.code, webhook.message))
            return
        if known is not None:
            webhook.id, webhook.totals = known.id, known.totals
        if document.get("Verify") is False:
            self._state.register(webhook, Status.UNVERIFIED)
            connection.answer(texts.json_answer(webhook.to_document()))
        else:
            self._answer(connection, self._verify_and_save(webhook))

    async def _verify_and_save(self, webhook: Webhook) -> Answer:
        failed = [one for one in _results(await self._state.courier.verify(webhook)) if not one["Success"]]
        if failed:
            failures = ", ".join(f"{one['Trigger']} ({one['StatusCode'] or 'no answer'})" for one in failed)
            return texts.error(_NOT_VERIFIED, texts.NOT_VERIFIED.format(failures=failures))
        self._state.register(webhook, Status.ACTIVE)
        return texts.json_answer(webhook.to_document())

    def _answer(self, connection: Connection, work: Coroutine[Any, Any, Answer]) -> None:
        async def answer() -> None:
            connection.answer(await work)

        task = connection.loop.create_task(answer())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _named(self, request: Request) -> Webhook | None:
        match = PATH.fullmatch(request.path)
        return self._state.webhooks.get(int(match[1])) if match is not None else None


def statistics(webhook: Webhook) -> dict[str, Any]:
    """Say how the types that a webhook wants fare."""
    return {
        "ID": webhook.id,
        "Statuses": {trigger: webhook.statuses[trigger] for trigger in webhook.enabled},
        "Totals": {trigger: dict(webhook.totals[trigger]) for trigger in webhook.enabled},
    }


def _results(answers: Mapping[str, int | None]) -> list[dict[str, Any]]:
    return [
        {"Trigger": trigger, "Success": status == _OK, "StatusCode": status}
        for trigger, status in answers.items()
    ]


def _read(body: bytes) -> dict[str, Any] | None:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return document if isinstance(document, dict) else None


def _unknown() -> Answer:
    return texts.error(_NO_WEBHOOK, texts.NO_WEBHOOK)
