"""Plans are made once per connection: one that was made while a queue was empty must not read a long one later."""

from __future__ import annotations

from typing import TYPE_CHECKING, LiteralString

from atum_schema import moves
from atum_schema.moves import Move
from atum_schema.status import Cause
from tests.command_line import DEAD, Place

if TYPE_CHECKING:
    from uuid import UUID

LONG = 20_000

#: A backlog that nobody has to send, and dead letters, contents and held mails as many.
FILL: tuple[LiteralString, ...] = (
    (
        "INSERT INTO atum.ready (mail_id, lane, due_at, size)"
        " SELECT gen_random_uuid(), 'elsewhere', now() + interval '1 day', 1 FROM generate_series(1, 20000)"
    ),
    (
        "INSERT INTO atum.content (mail_id, key_id, body)"
        " SELECT gen_random_uuid(), 'k', '' FROM generate_series(1, 20000)"
    ),
    (
        "INSERT INTO atum.dead_letter (mail_id, cycle, reason, attempts)"
        " SELECT gen_random_uuid(), 1, 'x', 1 FROM generate_series(1, 20000)"
    ),
    "INSERT INTO atum.held (mail_id) SELECT gen_random_uuid() FROM generate_series(1, 20000)",
)
READ: LiteralString = """
SELECT coalesce(sum(idx_tup_read), 0)::bigint FROM pg_stat_user_indexes
WHERE schemaname = 'atum' AND relname IN ('ready', 'content', 'dead_letter', 'held')
"""


def read(place: Place) -> int:
    """Give how many entries of the indexes of these tables were read so far."""
    place.connection.execute("SELECT pg_stat_force_next_flush()")
    ((number,),) = place.connection.execute(READ).fetchall()
    assert isinstance(number, int)
    return number


def emptied(place: Place) -> None:
    """Have the statistics say that everything is empty."""
    for table in ("ready", "content", "dead_letter", "held", "batch"):
        place.connection.execute(f"VACUUM ANALYZE atum.{table}".encode())


def move_once(place: Place, ids: list[UUID]) -> None:
    with place.connection.transaction():
        moves.apply(
            place.connection,
            [Move(one, "dead", Cause.REPLAYED, due_s=3600.0) for one in sorted(ids)],
        )


def test_a_move_that_was_planned_while_all_was_empty_reads_only_its_own_rows_later(place: Place) -> None:
    first, second = place.ended(DEAD, 100), place.ended(DEAD, 100)
    place.sql("DELETE FROM atum.dead_letter WHERE mail_id = ANY(%(ids)s)", ids=first)
    place.sql("DELETE FROM atum.content")
    emptied(place)
    move_once(place, first)
    for statement in FILL:
        place.sql(statement)
    before = read(place)
    move_once(place, second)
    assert read(place) - before < LONG / 10
