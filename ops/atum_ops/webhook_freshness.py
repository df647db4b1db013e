"""What came through the webhook lately, as the database knows it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from psycopg.rows import tuple_row

from atum_schema.ids import first_mail_id
from atum_workers import catch_up_store

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from atum_schema.database import Connection

TEST: Final = "Test"
"""The type of our own test events. They are stored like others, and change nothing."""

_DAY: Final = timedelta(days=1)
#: A mail is told of by then, as a rule.
_TOLD_AFTER: Final = timedelta(minutes=20)


class Freshness(NamedTuple):
    """How the inbox stands."""

    #: Seconds since the last event that came by webhook; None: none that is kept.
    last_s: float | None
    #: Events of the last 24 h by state.
    states: Mapping[str, int]
    #: Events of the last 24 h by how they came.
    sources: Mapping[str, int]
    new: int
    #: Seconds that the oldest of them has waited; 0: there is none.
    oldest_s: float
    parked: int
    #: Mails since the last event, of a day at most, that were accepted long enough ago and of which nobody told.
    untold: int


LAST: Final = """
SELECT received_at, extract(epoch FROM clock_timestamp() - received_at)::float8
FROM atum.webhook_inbox
WHERE source = 'webhook' AND kind IS DISTINCT FROM %(test)s
ORDER BY id DESC LIMIT 1
"""

RECENT: Final = """
SELECT state, source, count(*)
FROM atum.webhook_inbox
WHERE id >= %(since)s AND kind IS DISTINCT FROM %(test)s
GROUP BY state, source ORDER BY state, source
"""

WAITING: Final = """
SELECT count(*) FILTER (WHERE state = 'new'), count(*) FILTER (WHERE state = 'parked'),
       coalesce(extract(epoch FROM clock_timestamp() - min(received_at) FILTER (WHERE state = 'new')), 0)::float8
FROM atum.webhook_inbox
WHERE state IN ('new', 'parked')
"""


def freshness(connection: Connection) -> Freshness:
    """Look at the inbox, own test events aside where they are known as such."""
    now = datetime.now(UTC)
    with connection.cursor(row_factory=tuple_row) as cursor:
        last = cursor.execute(LAST, {"test": TEST}).fetchone()
        since = {"since": first_mail_id(now - _DAY), "test": TEST}
        recent = cursor.execute(RECENT, since).fetchall()
        waiting = cursor.execute(WAITING).fetchone() or (0, 0, 0.0)
    states: dict[str, int] = {}
    sources: dict[str, int] = {}
    for state, source, number in recent:
        states[state] = states.get(state, 0) + number
        sources[source] = sources.get(source, 0) + number
    began = now - _DAY if last is None else max(now - _DAY, last[0])
    return Freshness(
        last_s=None if last is None else last[1],
        states=states,
        sources=sources,
        new=waiting[0],
        oldest_s=waiting[2],
        parked=waiting[1],
        untold=_untold(connection, began, now - _TOLD_AFTER),
    )


def _untold(connection: Connection, began: datetime, until: datetime) -> int:
    """Count mails of which nobody told, among the oldest of a span."""
    if began >= until:
        return 0
    after, before = first_mail_id(began), first_mail_id(until)
    last, _ = catch_up_store.last(connection, after=after, before=before)
    return 0 if last is None else len(catch_up_store.untold(connection, after=after, last=last))


STORED: Final = """
SELECT count(*) FROM atum.webhook_inbox WHERE dedupe = ANY(%(identities)s::bytea[])
"""


def stored(connection: Connection, identities: Sequence[bytes]) -> int:
    """Count the events with these identities that are stored."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(STORED, {"identities": list(identities)}).fetchone()
    return row[0] if row else 0
