"""What working off by hand asks of the database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from psycopg.rows import args_row, tuple_row

if TYPE_CHECKING:
    from uuid import UUID

    from atum_schema.database import Connection

DUE: Final = """
SELECT lane, count(*) FROM atum.ready
WHERE due_at <= clock_timestamp() AND (%(lane)s::text IS NULL OR lane = %(lane)s)
GROUP BY lane ORDER BY lane
"""


def due(connection: Connection, *, lane: str | None) -> dict[str, int]:
    """Count the mails that are due now, in each lane."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        return dict(cursor.execute(DUE, {"lane": lane}).fetchall())


HELD_BY: Final = "SELECT mail_ids FROM atum.batch WHERE id = %(batch)s AND state = 'issued'"


def held_by(connection: Connection, batch: UUID) -> list[UUID]:
    """Give the mails of a batch that nobody has claimed; none when somebody has."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(HELD_BY, {"batch": batch}).fetchone()
    return [] if row is None else list(row[0])


class Became(NamedTuple):
    """What a mail's last event in a batch has made of it."""

    mail_id: UUID
    status: str


# Before the events of one delivery a mail has none in the same batch, unless a webhook was faster than the answer.
BECAME: Final = """
SELECT DISTINCT ON (mail_id) mail_id, to_status AS status FROM atum.event
WHERE mail_id = ANY(%(ids)s) AND batch_id = %(batch)s
ORDER BY mail_id, seq DESC
"""


def became(connection: Connection, batch: UUID, ids: list[UUID]) -> list[Became]:
    """Say what became of these mails in a batch; those of which nothing was written are left out."""
    with connection.cursor(row_factory=args_row(Became)) as cursor:
        return cursor.execute(BECAME, {"batch": batch, "ids": ids}).fetchall()


GIVE_UP: Final = """
UPDATE atum.batch SET publish_after = clock_timestamp()
WHERE id = ANY(%(ids)s) AND state = 'issued'
"""


def leave_to_others(connection: Connection, batches: list[UUID]) -> None:
    """Make the tickets of batches due at once that were issued and not claimed."""
    connection.execute(GIVE_UP, {"ids": batches})
