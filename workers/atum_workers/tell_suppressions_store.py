"""What telling the provider about suppressions reads and writes. A row is taken by its due time, and written by it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from psycopg.rows import args_row, tuple_row

from atum_schema import arrays

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from atum_schema.database import Connection


class Taken(NamedTuple):
    """An order that the provider is told now."""

    stream: str
    address: str
    #: add or remove.
    pending: str
    #: How often it was tried, this time included.
    tries: int
    #: Until when it is ours, and by what it is known to be.
    due_at: datetime
    #: By the database's clock, before the provider was asked.
    asked_at: datetime


# All of one stream and of one kind: they go into one request. Who is skipped is somebody else's.
TAKE = """
WITH kind AS (
    SELECT stream, pending FROM atum.suppression
    WHERE pending IS NOT NULL AND due_at <= clock_timestamp()
    ORDER BY due_at LIMIT 1
), due AS (
    SELECT s.stream, s.address FROM atum.suppression s, kind
    WHERE s.pending IS NOT NULL AND s.pending = kind.pending AND s.stream = kind.stream
          AND s.due_at <= clock_timestamp()
    ORDER BY s.due_at LIMIT %(limit)s FOR UPDATE OF s SKIP LOCKED
)
UPDATE atum.suppression s
SET due_at = clock_timestamp() + make_interval(secs => %(lease_s)s), tries = s.tries + 1
FROM due WHERE s.stream = due.stream AND s.address = due.address
RETURNING s.stream, s.address, s.pending, s.tries, s.due_at, clock_timestamp() AS asked_at
"""


def take(connection: Connection, *, limit: int, lease_s: float) -> list[Taken]:
    """Take due orders of one stream and kind, in order of their addresses."""
    with connection.cursor(row_factory=args_row(Taken)) as cursor:
        return sorted(cursor.execute(TAKE, {"limit": limit, "lease_s": lease_s}))


# An order that somebody has changed meanwhile is due at another time, and is not written. What was told is the latest
# word, as of when it was told; what was lifted is not suppressed again by the word that was lifted. An order to
# suppress that is refused keeps its tries: it never was on the provider's list, so that its absence says nothing.
DONE = """
UPDATE atum.suppression s
SET suppressed = s.pending = 'add' OR NOT r.done,
    reason = CASE WHEN s.pending = 'remove' AND r.done THEN 'manual' ELSE s.reason END,
    origin = CASE WHEN s.pending = 'remove' AND r.done THEN 'customer' ELSE s.origin END,
    source = CASE WHEN s.pending = 'remove' AND r.done THEN 'sync' ELSE s.source END,
    changed_at = CASE WHEN r.done THEN greatest(r.asked_at, s.changed_at + interval '1 microsecond')
                      ELSE s.changed_at END,
    tries = CASE WHEN s.pending = 'add' AND NOT r.done THEN s.tries ELSE 0 END,
    pending = NULL, due_at = NULL, noted_at = clock_timestamp()
FROM unnest(%(streams)s::text[], %(addresses)s::text[], %(due_at)s::timestamptz[], %(asked_at)s::timestamptz[],
            %(done)s::boolean[]) AS r(stream, address, due_at, asked_at, done)
WHERE s.stream = r.stream AND s.address = r.address AND s.due_at = r.due_at AND s.pending IS NOT NULL
RETURNING s.address
"""


def finish(connection: Connection, taken: Sequence[Taken], done: Mapping[str, bool]) -> set[str]:
    """Write whether the provider agreed; give the addresses whose orders were still these."""
    values = _columns(taken) | {
        "asked_at": arrays.Times([each.asked_at for each in taken]),
        "done": arrays.Booleans([done[each.address] for each in taken]),
    }
    with connection.cursor(row_factory=tuple_row) as cursor:
        arrays.register(cursor)
        return {address for (address,) in cursor.execute(DONE, values)}


AGAIN = """
UPDATE atum.suppression s SET due_at = clock_timestamp() + make_interval(secs => r.wait_s)
FROM unnest(%(streams)s::text[], %(addresses)s::text[], %(due_at)s::timestamptz[], %(waits_s)s::float8[])
    AS r(stream, address, due_at, wait_s)
WHERE s.stream = r.stream AND s.address = r.address AND s.due_at = r.due_at AND s.pending IS NOT NULL
"""


def put_off(connection: Connection, taken: Sequence[Taken], waits_s: Sequence[float]) -> None:
    """Let orders be due again, each after its time."""
    with connection.cursor() as cursor:
        arrays.register(cursor)
        cursor.execute(AGAIN, _columns(taken) | {"waits_s": arrays.Floats(waits_s)})


def _columns(taken: Sequence[Taken]) -> dict[str, Any]:
    return {
        "streams": arrays.Texts([each.stream for each in taken]),
        "addresses": arrays.Texts([each.address for each in taken]),
        "due_at": arrays.Times([each.due_at for each in taken]),
    }
