"""`/v1/suppressions`: whom a stream must not mail; list, add, lift. They belong to the stream, and so to all clients."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from atum_producers.api import reading
from atum_producers.api.bodies import need_json, parsed
from atum_producers.api.clients_store import Scope
from atum_producers.api.mails import json
from atum_producers.api.problems import Kind, Problem
from atum_schema import suppression_list
from atum_schema import suppression_orders as orders
from atum_schema.addresses import Address
from atum_schema.errors import MailRejected
from atum_schema.mail_rules import checked_stream
from atum_schema.suppression import REASONS
from atum_schema.suppression_list import Wanted
from atum_schema.suppression_orders import Answer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.datastructures import QueryParams
    from starlette.requests import Request
    from starlette.responses import Response

    from atum_producers.api.service import Service
    from atum_schema.script import Script
    from atum_schema.suppression_orders import Known

#: Query parameters of the list.
NAMES: Final = frozenset({"stream", "address", "reason", "limit", "cursor"})
#: Characters of a note.
LONGEST_NOTE: Final = 500
_LINE: Final = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e]*")
_SHOWN: Final = ("stream", "address", "reason", "origin", "source", "changed_at", "note", "pending")


class Suppressions:
    """The endpoints of `/v1/suppressions`."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def find(self, request: Request) -> Response:
        """List suppressions by stream and address, a page at a time."""
        await self._service.admit(request, Scope.READ)
        query = request.query_params
        wanted, limit, after = _wanted(query), reading.page_size(query), _after(query)
        page = await self._service.read(suppression_list.listing(wanted, limit=limit + 1, after=after))
        shown = page[:limit]
        following = f"{shown[-1].stream}/{shown[-1].address}" if len(page) > limit else None
        return json({"suppressions": [_document(known) for known in shown], "next": following})

    async def add(self, request: Request) -> Response:
        """Suppress an address: 200 once no later POST goes to it."""
        client = await self._service.admit(request, Scope.MANAGE)
        stream, address = _stream(request), _address(request)
        note = _note(await self._body(request))
        _, known = await self._service.order(
            lambda: _suppressing(stream, address, actor=f"client:{client.client}", note=note)
        )
        return json(_document(known))

    async def remove(self, request: Request) -> Response:
        """Order that a suppression be lifted: 202, and the provider is asked."""
        client = await self._service.admit(request, Scope.MANAGE)
        stream, address = _stream(request), request.path_params["address"]
        if "\0" in address:
            raise _no_such(stream)
        answer, known = await self._service.order(
            lambda: _lifting(stream, address, actor=f"client:{client.client}")
        )
        if known is None or answer is Answer.NOT_SUPPRESSED:
            raise _no_such(stream)
        if answer is Answer.COMPLAINT:
            raise Problem(Kind.SUPPRESSION_STAYS, "the recipient has complained; that is never lifted")
        return json(_document(known), status=202)

    async def _body(self, request: Request) -> Any:
        body = await self._service.bodies.read(request)
        if not body:
            return {}
        need_json(request)
        return parsed(body)


def _suppressing(stream: str, address: str, *, actor: str, note: str | None) -> Script[tuple[Answer, Known]]:
    answers = yield from orders.suppressing(stream, [address], actor=actor, source="api", note=note)
    (known,) = yield from orders.knowing(stream, [address])
    ((_, answer),) = answers.items()
    return answer, known


def _lifting(stream: str, address: str, *, actor: str) -> Script[tuple[Answer, Known | None]]:
    answers = yield from orders.lifting(stream, [address], actor=actor)
    known = yield from orders.knowing(stream, [address])
    ((_, answer),) = answers.items()
    return answer, known[0] if known else None


def _document(known: Known) -> dict[str, Any]:
    return {name: getattr(known, name) for name in _SHOWN}


def _no_such(stream: str) -> Problem:
    return Problem(Kind.NOT_FOUND, f"the stream {stream} has no suppression of that address")


def _stream(request: Request) -> str:
    try:
        return checked_stream(request.path_params["stream"])
    except MailRejected as error:
        raise Problem(Kind.BAD_REQUEST, f"the stream {error.reason}") from None


def _address(request: Request) -> str:
    try:
        return Address("", request.path_params["address"]).email
    except MailRejected as error:
        raise Problem(Kind.BAD_REQUEST, f"the address {error.reason}") from None


def _note(body: Any) -> str | None:
    if not isinstance(body, dict) or not body.keys() <= {"note"}:
        raise Problem(Kind.BAD_REQUEST, "the body must be an object with `note` and nothing else, or empty")
    note = body.get("note")
    if note is None:
        return None
    if not isinstance(note, str) or _LINE.fullmatch(note) is None or len(note) > LONGEST_NOTE:
        raise Problem(
            Kind.BAD_REQUEST, f"note must be one line of text with at most {LONGEST_NOTE} characters"
        )
    return note


def _wanted(query: QueryParams) -> Wanted:
    for name, value in query.multi_items():
        if name not in NAMES:
            raise reading.bad(name, f"is not known; there are {', '.join(sorted(NAMES))}")
        reading.check_text(name, value)
    reason = query.get("reason")
    if reason is not None and reason not in REASONS:
        raise reading.bad("reason", f"is {reason!r}, must be one of {', '.join(REASONS)}")
    return Wanted(stream=query.get("stream"), address=query.get("address"), reason=reason)


def _after(query: Mapping[str, str]) -> tuple[str, str] | None:
    cursor = query.get("cursor")
    if cursor is None:
        return None
    stream, _, address = cursor.partition("/")
    return stream, address
