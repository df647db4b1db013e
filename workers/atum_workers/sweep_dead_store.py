"""What the sweep of `mail.dead` reads and writes: which letters live, and which are published again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple
from uuid import UUID

from psycopg.rows import args_row, tuple_row

from atum_schema import arrays

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from atum_schema.database import Connection

Pair = tuple[UUID, int]


class Live(NamedTuple):
    """A (mail, cycle) pair that is dead, with what its message says."""

    mail_id: UUID
    cycle: int
    reason: str
    code: int | None
    attempts: int
    published: bool


LIVE: Final = """
SELECT d.mail_id, d.cycle, d.reason, d.code, d.attempts, d.published_at IS NOT NULL AS published
FROM unnest(%(ids)s::uuid[], %(cycles)s::int[]) AS t(mail_id, cycle)
JOIN atum.dead_letter d ON d.mail_id = t.mail_id AND d.cycle = t.cycle
"""


def live(connection: Connection, pairs: Collection[Pair]) -> dict[Pair, Live]:
    """Give those of the pairs that are dead now."""
    with connection.cursor(row_factory=args_row(Live)) as cursor:
        arrays.register(cursor)
        rows = cursor.execute(LIVE, _arrays(pairs), binary=True).fetchall()
    return {(row.mail_id, row.cycle): row for row in rows}


NOTE_FOUND: Final = """
UPDATE atum.dead_letter d SET published_at = clock_timestamp()
FROM unnest(%(ids)s::uuid[], %(cycles)s::int[]) AS t(mail_id, cycle)
WHERE d.mail_id = t.mail_id AND d.cycle = t.cycle AND d.published_at IS NULL
"""


def note_found(connection: Connection, pairs: Collection[Pair]) -> None:
    """Note that the messages of these pairs are in the queue, though nobody has noted their confirm."""
    with connection.cursor() as cursor:
        arrays.register(cursor)
        cursor.execute(NOTE_FOUND, _arrays(pairs))


PUBLISHED: Final = """
SELECT mail_id, cycle FROM atum.dead_letter
WHERE (mail_id, cycle) > (%(mail)s, %(cycle)s) AND published_at < %(before)s
ORDER BY mail_id, cycle LIMIT %(limit)s
"""


def published(connection: Connection, *, before: datetime, after: Pair, limit: int) -> list[Pair]:
    """Give pairs whose message was confirmed before a moment, in order, from behind a pair on."""
    values = {"before": before, "mail": after[0], "cycle": after[1], "limit": limit}
    with connection.cursor(row_factory=tuple_row) as cursor:
        return cursor.execute(PUBLISHED, values, binary=True).fetchall()


# Locked by key, as the relay does where it notes confirms; what was published meanwhile is not doubted.
DOUBT: Final = """
WITH doubted AS (
    SELECT d.mail_id, d.cycle
    FROM unnest(%(ids)s::uuid[], %(cycles)s::int[]) AS t(mail_id, cycle)
    JOIN atum.dead_letter d ON d.mail_id = t.mail_id AND d.cycle = t.cycle
    WHERE d.published_at < %(before)s
    ORDER BY d.mail_id, d.cycle
    FOR UPDATE OF d
)
UPDATE atum.dead_letter d SET published_at = NULL, publish_after = clock_timestamp()
FROM doubted o WHERE d.mail_id = o.mail_id AND d.cycle = o.cycle
"""


def doubt(connection: Connection, pairs: Collection[Pair], *, before: datetime) -> int:
    """Have a relay publish the messages of these pairs again; give how many are dead still."""
    with connection.cursor() as cursor:
        arrays.register(cursor)
        return cursor.execute(DOUBT, {**_arrays(pairs), "before": before}).rowcount


def _arrays(pairs: Collection[Pair]) -> dict[str, arrays.Uuids | arrays.Ints]:
    return {
        "ids": arrays.Uuids([mail_id for mail_id, _ in pairs]),
        "cycles": arrays.Ints([cycle for _, cycle in pairs]),
    }
