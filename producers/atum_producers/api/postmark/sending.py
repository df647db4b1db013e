"""`POST /email` and `POST /email/batch` (Postmark developer docs, "Send a single email", "Send batch emails").

Whatever is answered with a MessageID was stored before. The id is that of the mail in the log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from atum_producers.api import reading
from atum_producers.api.bodies import need_json
from atum_producers.api.clients_store import Scope
from atum_producers.api.drafts import Drafts
from atum_producers.api.mails import REPLAYED
from atum_producers.api.postmark import texts
from atum_producers.api.postmark.dialect import TOKEN, json
from atum_producers.api.postmark.requests import items_of, mails_of
from atum_producers.api.postmark.texts import Refusal, Refused
from atum_producers.api.postmark.times import stored_at, timestamp
from atum_producers.api.service import HandedOver
from atum_schema.mail import Mail

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from starlette.requests import Request
    from starlette.responses import Response

    from atum_producers.api.clients_store import LiveKey
    from atum_producers.api.postmark.fields import Item
    from atum_producers.api.service import Service

_ECHOED: Final = ("To", "Cc", "Bcc")


class Sending:
    """The endpoints that take mail."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def single(self, request: Request) -> Response:
        """Take one message."""
        [answer], replayed = await self._take(request, in_batch=False)
        if isinstance(answer, Refusal):
            raise Refused(answer.code, answer.message)
        return json(answer, headers=_told(replayed=replayed))

    async def batch(self, request: Request) -> Response:
        """Take an array of messages: those that are good are stored, each of the others is answered in its place."""
        answers, replayed = await self._take(request, in_batch=True)
        return json(
            [
                {"ErrorCode": answer.code, "Message": answer.message}
                if isinstance(answer, Refusal)
                else answer
                for answer in answers
            ],
            headers=_told(replayed=replayed),
        )

    async def template(self, request: Request) -> Response:
        """Refuse a message, or several, with a template."""
        await self._service.access.admit(request.headers.get(TOKEN), Scope.SEND)
        need_json(request)
        await self._service.bodies.read(request)
        raise Refused(1101, texts.NO_TEMPLATES)

    async def _take(self, request: Request, *, in_batch: bool) -> tuple[list[dict[str, Any] | Refusal], bool]:
        service = self._service
        client = await service.access.admit(request.headers.get(TOKEN), Scope.SEND)
        key = reading.idempotency_key(request)
        need_json(request)
        body = await service.bodies.read(request)

        def read() -> tuple[list[Item], list[Mail | Refusal]]:
            items = items_of(body, in_batch=in_batch)
            return items, mails_of(items, client)

        items, mails = await service.aside(len(body), read)
        good = [mail for mail in mails if isinstance(mail, Mail)]
        stored = await self._store(client, Drafts(good, many=in_batch), key=key, size=len(body))
        ids = iter(stored.ids)
        answers = [
            mail if isinstance(mail, Refusal) else _accepted(item, next(ids))
            for item, mail in zip(items, mails, strict=True)
        ]
        return answers, stored.replayed

    async def _store(self, client: LiveKey, good: Drafts, *, key: str | None, size: int) -> HandedOver:
        if not good.mails:
            return HandedOver([], replayed=False)
        return await self._service.hand_over(client, good, key=key, size=size)


def _accepted(item: Item, mail_id: UUID) -> dict[str, Any]:
    return {
        **{name: item[name] for name in _ECHOED if name in item},
        # The same each time that the answer is repeated.
        "SubmittedAt": timestamp(stored_at(mail_id)),
        "MessageID": str(mail_id),
        "ErrorCode": 0,
        "Message": texts.OK,
    }


def _told(*, replayed: bool) -> Mapping[str, str]:
    return {REPLAYED: "true"} if replayed else {}
