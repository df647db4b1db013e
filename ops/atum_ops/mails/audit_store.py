"""Reading what people did, newest first, a page at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from psycopg.rows import args_row

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from atum_schema.database import Connection

_AT_ONCE: Final = 1000
_LAST: Final = 2**63 - 1


class Entry(NamedTuple):
    """Something that was done by hand, or by a client of the API."""

    id: int
    at: datetime
    actor: str
    action: str
    detail: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which entries are looked for; None is any."""

    #: 'operator:jane', or the name alone, or the part before the colon.
    actor: str | None = None
    #: 'mail.canceled', or its beginning up to a point: 'mail'.
    action: str | None = None
    since: datetime | None = None
    until: datetime | None = None


# A page looks at so many entries at most, along the primary key.
ENTRIES: Final = """
SELECT id, at, actor, action, detail FROM atum.audit
WHERE id < %(before)s
      AND (%(actor)s::text IS NULL OR actor = %(actor)s OR split_part(actor, ':', 1) = %(actor)s
           OR substr(actor, strpos(actor, ':') + 1) = %(actor)s)
      AND (%(action)s::text IS NULL OR action = %(action)s OR starts_with(action, %(action)s || '.'))
      AND (%(since)s::timestamptz IS NULL OR at >= %(since)s) AND (%(until)s::timestamptz IS NULL OR at < %(until)s)
ORDER BY id DESC LIMIT %(limit)s
"""


def entries(connection: Connection, wanted: Wanted, *, limit: int) -> Iterator[Entry]:
    """Give at most so many entries, newest first, read a page at a time."""
    before = _LAST
    while limit > 0:
        values = {
            "before": before,
            "actor": wanted.actor,
            "action": wanted.action,
            "since": wanted.since,
            "until": wanted.until,
            "limit": min(limit, _AT_ONCE),
        }
        with connection.cursor(row_factory=args_row(Entry)) as cursor:
            page = cursor.execute(ENTRIES, values).fetchall()
        yield from page
        if len(page) < min(limit, _AT_ONCE):
            return
        limit -= len(page)
        before = page[-1].id
