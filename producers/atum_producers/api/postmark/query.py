"""What a search asks for (Postmark developer docs, "Messages API"); refused with ErrorCode 700."""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from atum_producers.api.postmark import texts
from atum_producers.api.postmark.texts import Refused
from atum_producers.api.postmark.times import moment
from atum_producers.api.postmark.views import STATUSES
from atum_producers.story_store import Filters
from atum_schema.ids import first_mail_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from uuid import UUID

#: Messages on a page, and how far paging reaches.
MOST: Final = 500
REACHABLE: Final = 10_000
_LONGEST: Final = 2000
_NUMBER: Final = re.compile(r"[0-9]{1,9}")
_METADATA: Final = "metadata_"
#: Postmark's words for a status, lower case, and the word in a message that each finds. "Failed" is ours.
_WORDS: Final[Mapping[str, str]] = MappingProxyType(
    {"queued": "Queued", "sent": "Sent", "processed": "Sent", "failed": "Failed"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A search, read and checked."""

    filters: Filters
    #: Mails from this id on, and before that one.
    since: UUID | None
    before: UUID | None
    count: int
    offset: int


def query_of(pairs: Iterable[tuple[str, str]]) -> Query:
    """Read a query. Names are read whatever their case, empty values and unknown names are ignored. Raises `Refused`."""
    given: dict[str, str] = {}
    metadata: dict[str, str] = {}
    for name, value in pairs:
        if "\0" in name or "\0" in value or len(name) > _LONGEST or len(value) > _LONGEST:
            raise _bad(texts.BAD_PARAMETER.format(name=name[:50], most=_LONGEST))
        if name.lower().startswith(_METADATA):
            metadata[name[len(_METADATA) :]] = value
        elif value:
            given[name.lower()] = value
    if len(metadata) > 1:
        raise _bad(texts.ONE_METADATA)
    count, offset = _paging(given)
    return Query(
        filters=Filters(
            statuses=_statuses(given.get("status")),
            tag=given.get("tag"),
            stream=given.get("messagestream", "outbound"),
            recipient=given.get("recipient"),
            sender=given.get("fromemail"),
            subject=given.get("subject"),
            metadata=metadata or None,
        ),
        since=_bound("fromdate", given),
        before=_bound("todate", given),
        count=count,
        offset=offset,
    )


def _paging(given: Mapping[str, str]) -> tuple[int, int]:
    count, offset = given.get("count", ""), given.get("offset", "0")
    if _NUMBER.fullmatch(count) is None or _NUMBER.fullmatch(offset) is None:
        raise _bad(texts.BAD_PAGING)
    if not 1 <= int(count) <= MOST or int(count) + int(offset) > REACHABLE:
        raise _bad(texts.BAD_PAGING)
    return int(count), int(offset)


def _statuses(value: str | None) -> list[str] | None:
    if value is None:
        return None
    word = _WORDS.get(value.lower())
    if word is None:
        raise _bad(texts.BAD_STATUS.format(value=value))
    return [status.value for status, ours in STATUSES.items() if ours == word]


def _bound(name: str, given: Mapping[str, str]) -> UUID | None:
    value = given.get(name)
    if value is None:
        return None
    when = moment(value, end_of_day=name == "todate")
    if when is None:
        raise _bad(texts.BAD_DATE.format(name=name, value=value))
    return first_mail_id(when)


def _bad(message: str) -> Refused:
    return Refused(700, message)
