"""`/v1/mails`: hand over, look, list, cancel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from starlette.responses import Response

from atum_producers import story_store
from atum_producers.api import reading
from atum_producers.api.bodies import need_json, parsed
from atum_producers.api.clients_store import Scope
from atum_producers.api.drafts import drafts
from atum_producers.api.problems import Kind, Problem
from atum_producers.store import looking_up
from atum_schema.status import Status

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from starlette.requests import Request

    from atum_producers.api.service import Service
    from atum_producers.story_store import ListedMail, MailView
    from atum_schema.script import Script

REPLAYED = "Idempotency-Replayed"
_SHOWN = (
    "id", "status", "reason", "detail", "stream", "lane", "subject", "tag", "metadata", "attempts", "tries",
    "accepted_at", "send_at", "expires_at", "due_at", "finished_at", "provider_message_id",
)  # fmt: skip
_POSTED = ("issued_at", "posting_at", "answered_at", "outcome", "http_status", "code")


class Mails:
    """The endpoints of `/v1/mails`."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def enqueue(self, request: Request) -> Response:
        """Take one mail or an array, durably: 202 with the ids."""
        service = self._service
        client = await service.admit(request, Scope.SEND)
        key = reading.idempotency_key(request)
        need_json(request)
        body = await service.bodies.read(request)
        asked = await service.aside(len(body), lambda: drafts(parsed(body)))
        ids, replayed = await service.hand_over(client, asked, key=key, size=len(body))
        headers = {REPLAYED: "true"} if replayed else {}
        if asked.many:
            return json([{"id": one} for one in ids], status=202, headers=headers)
        return json({"id": ids[0]}, status=202, headers={**headers, "Location": f"/v1/mails/{ids[0]}"})

    async def show(self, request: Request) -> Response:
        """Show a mail, where it is and how it got there."""
        client = await self._service.admit(request, Scope.READ)
        found = await self._service.read(_telling_now(reading.mail_id(request), client.client))
        if found is None:
            raise reading.no_such_mail()
        return json(_story(*found))

    async def find(self, request: Request) -> Response:
        """List the client's mails, newest first, a page at a time."""
        client = await self._service.admit(request, Scope.READ)
        query = request.query_params
        wanted, limit = reading.filters(query), reading.page_size(query)
        before, since = reading.bounds(query)
        page = await self._service.read(
            story_store.listing(client.client, wanted, limit=limit, before=before, since=since)
        )
        return json({"mails": [_line(mail) for mail in page.mails], "next": page.before})

    async def cancel(self, request: Request) -> Response:
        """Cancel a mail that was not posted yet."""
        client = await self._service.admit(request, Scope.MANAGE)
        mail_id = reading.mail_id(request)
        if await self._service.read(story_store.telling(mail_id, client=client.client)) is None:
            raise reading.no_such_mail()
        await self._service.cancel(mail_id)
        state = await self._service.read(looking_up(mail_id))
        if state.status is not Status.CANCELED:
            raise Problem(
                Kind.NOT_CANCELABLE,
                f"the mail is {state.status.value}",
                id=str(mail_id),
                mail_status=state.status,
            )
        return json({"id": mail_id, "status": state.status})


def json(document: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Answer with a JSON document; times are RFC 3339."""
    return Response(
        orjson.dumps(document, option=orjson.OPT_UTC_Z),
        status_code=status,
        headers=headers,
        media_type="application/json",
    )


def _telling_now(mail_id: UUID, client: str) -> Script[tuple[MailView, Status] | None]:
    """Give a mail's story, and where it is now: in the log, a mail in flight is still waiting."""
    view = yield from story_store.telling(mail_id, client=client)
    if view is None:
        return None
    state = yield from looking_up(mail_id)
    return view, state.status


def _addresses(mail: Mapping[str, Any]) -> dict[str, Any]:
    return {"from": mail["sender"], "to": mail["to_line"], "cc": mail["cc_line"], "bcc": mail["bcc_line"]}


def _story(view: MailView, status: Status) -> dict[str, Any]:
    return {
        **{name: view.mail[name] for name in _SHOWN},
        **_addresses(view.mail),
        "status": status,
        "timeline": [_event(event) for event in view.events],
        "recipients": [_recipient(one) for one in view.recipients],
    }


def _event(event: Mapping[str, Any]) -> dict[str, Any]:
    shown = {
        "at": event["at"],
        "cause": event["cause"],
        "from_status": event["from_status"],
        "to_status": event["to_status"],
        "detail": event["detail"],
    }
    if event["outcome"] is not None:
        shown["request"] = {name: event[name] for name in _POSTED}
    return shown


def _recipient(one: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "address": one["address"],
        "state": one["state"],
        "facts": [
            {"at": fact["told_at"] or fact["noted_at"], "kind": fact["kind"], "detail": fact["detail"]}
            for fact in one["facts"]
        ],
    }


def _line(mail: ListedMail) -> dict[str, Any]:
    names = (
        "id",
        "status",
        "reason",
        "stream",
        "lane",
        "subject",
        "tag",
        "metadata",
        "accepted_at",
        "finished_at",
    )
    return {
        **{name: getattr(mail, name) for name in names},
        **_addresses(mail._asdict()),
        "provider_message_id": mail.provider_message_id,
    }
