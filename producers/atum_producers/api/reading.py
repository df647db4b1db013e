"""What callers ask for, from paths, queries and headers: read strictly, refused by name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from atum_producers.api.problems import Kind, Problem
from atum_producers.story_store import Filters
from atum_schema.document_fields import READERS
from atum_schema.errors import MailRejected
from atum_schema.ids import first_mail_id
from atum_schema.mail_rules import checked_key
from atum_schema.status import Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.datastructures import QueryParams
    from starlette.requests import Request

#: Mails on a page, at most and unless asked otherwise.
LARGEST_PAGE: Final = 200
PAGE: Final = 50
#: Characters of what a mail is looked for by.
LONGEST: Final = 2000
_NUMBER: Final = re.compile(r"[0-9]{1,6}")
_METADATA: Final = "metadata."
#: Query parameters of the list; besides, there is one for each key of metadata.
NAMES: Final = frozenset(
    {"status", "tag", "stream", "lane", "to", "from", "subject", "since", "until", "limit", "cursor"}
)


def mail_id(request: Request) -> UUID:
    """Read the id in the path. Raises `Problem`: what is no id names no mail."""
    try:
        return UUID(request.path_params["id"])
    except ValueError:
        raise no_such_mail() from None


def no_such_mail() -> Problem:
    """Make the problem of a mail that is not there, or not this client's: nobody learns which."""
    return Problem(Kind.NOT_FOUND, "this client has no mail with that id")


def idempotency_key(request: Request) -> str | None:
    """Read the Idempotency-Key. Raises `Problem`."""
    key = request.headers.get("idempotency-key")
    if key is None:
        return None
    try:
        return checked_key(key)
    except MailRejected as error:
        raise Problem(Kind.BAD_REQUEST, f"Idempotency-Key {error.reason}") from None


def filters(query: QueryParams) -> Filters:
    """Read which mails are wanted. Raises `Problem` for an unknown name or a bad value."""
    metadata: dict[str, str] = {}
    for name, value in query.multi_items():
        if name.startswith(_METADATA):
            metadata[name.removeprefix(_METADATA)] = value
        elif name not in NAMES:
            raise bad(name, f"is not known; there are {', '.join(sorted(NAMES))} and {_METADATA}<key>")
        check_text(name, value)
    return Filters(
        statuses=_statuses(query.getlist("status")),
        tag=query.get("tag"),
        stream=query.get("stream"),
        lane=query.get("lane"),
        recipient=query.get("to"),
        sender=query.get("from"),
        subject=query.get("subject"),
        metadata=metadata or None,
    )


def check_text(name: str, value: str) -> None:
    """Refuse what cannot be looked for. Raises `Problem`."""
    if "\0" in value or "\0" in name or len(value) > LONGEST:
        raise bad(name, f"must be text of at most {LONGEST} characters without NUL")


def page_size(query: QueryParams) -> int:
    """Read `limit`. Raises `Problem`."""
    text = query.get("limit", str(PAGE))
    if _NUMBER.fullmatch(text) is None or not 1 <= int(text) <= LARGEST_PAGE:
        raise bad("limit", f"is {text!r}, must be from 1 to {LARGEST_PAGE}")
    return int(text)


def bounds(query: QueryParams) -> tuple[UUID | None, UUID | None]:
    """Read where the page begins (`cursor`, or `until`) and ends (`since`). Raises `Problem`."""
    cursor = query.get("cursor")
    until, since = _moment("until", query), _moment("since", query)
    if cursor is not None:
        try:
            before = UUID(cursor)
        except ValueError:
            raise bad("cursor", "is not one that this API has given") from None
        return before, since
    return until, since


def _statuses(values: Sequence[str]) -> list[str] | None:
    wanted = [one for value in values for one in value.split(",")]
    known = {status.value for status in Status}
    for one in wanted:
        if one not in known:
            raise bad("status", f"is {one!r}, must be one of {', '.join(sorted(known))}")
    return wanted or None


def _moment(name: str, query: QueryParams) -> UUID | None:
    """Read a time as the smallest id of its millisecond: ids are in the order of acceptance (RFC 9562 §5.7)."""
    text = query.get(name)
    if text is None:
        return None
    try:
        # A "+" in a query stands for a space.
        value: Any = READERS["send_at"].read(name, text.replace(" ", "+"))
    except MailRejected as error:
        raise bad(name, error.reason) from None
    return first_mail_id(value)


def bad(name: str, reason: str) -> Problem:
    """Make the problem of a query parameter."""
    return Problem(Kind.BAD_REQUEST, f"{name} {reason}", parameter=name)
