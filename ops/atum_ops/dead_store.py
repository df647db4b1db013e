"""Dead letters as operators choose them: page by page, by when they died."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, LiteralString, NamedTuple
from uuid import UUID

from psycopg.rows import args_row, tuple_row

from atum_ops.selection import MATCHES
from atum_schema.maintenance import Task

if TYPE_CHECKING:
    from collections.abc import Mapping

    from atum_schema.database import Connection


class Place(NamedTuple):
    """A place in the order of dying."""

    dead_at: datetime
    mail_id: UUID


BEGINNING: Final = Place(datetime(1970, 1, 1, tzinfo=UTC), UUID(int=0))
END: Final = Place(datetime(9999, 1, 1, tzinfo=UTC), UUID(int=(1 << 128) - 1))


class Letter(NamedTuple):
    """A dead letter."""

    mail_id: UUID
    cycle: int
    dead_at: datetime
    lane: str
    stream: str
    reason: str
    #: ErrorCode of the provider.
    code: int | None
    #: POSTs that were charged to the mail in this cycle.
    attempts: int
    tag: str | None
    #: Whether RabbitMQ has confirmed its message in `mail.dead`.
    in_queue: bool
    #: Whether it is one of those that are asked for.
    matches: bool


# The page is bounded by the letters that are looked at, so that a filter that nothing matches costs what others cost.
NEWEST: LiteralString = (
    """
WITH scanned AS MATERIALIZED (
    SELECT mail_id, cycle, dead_at, reason, code, attempts, published_at FROM atum.dead_letter
    WHERE dead_at >= %(since)s AND dead_at < %(until)s AND (dead_at, mail_id) < (%(at)s, %(id)s)
    ORDER BY dead_at DESC, mail_id DESC LIMIT %(scan)s
)
SELECT d.mail_id, d.cycle, d.dead_at, m.lane, m.stream, d.reason, d.code, d.attempts, m.tag,
       d.published_at IS NOT NULL AS in_queue,
       (%(error_code)s::int IS NULL OR d.code IS NOT DISTINCT FROM %(error_code)s) AND """  # noqa: S608
    + MATCHES
    + """ AS matches
FROM scanned d JOIN atum.mail m ON m.id = d.mail_id
ORDER BY d.dead_at DESC, d.mail_id DESC
"""
)


def newest(connection: Connection, values: Mapping[str, Any], *, before: Place, scan: int) -> list[Letter]:
    """Look at so many letters that died before a place, newest first. `values` are `dead.Letters.values`."""
    with connection.cursor(row_factory=args_row(Letter)) as cursor:
        asked = {**values, "at": before.dead_at, "id": before.mail_id, "scan": scan}
        return cursor.execute(NEWEST, asked, binary=True).fetchall()


class Pair(NamedTuple):
    """A (mail, cycle) pair that died."""

    mail_id: UUID
    cycle: int
    dead_at: datetime
    matches: bool


OLDEST: LiteralString = (
    """
SELECT d.mail_id, d.cycle, d.dead_at,
       %(every)s OR (
           (%(error_code)s::int IS NULL OR d.code IS NOT DISTINCT FROM %(error_code)s)
           AND EXISTS (SELECT FROM atum.mail m WHERE m.id = d.mail_id AND """
    + MATCHES
    + """)) AS matches
FROM atum.dead_letter d
WHERE d.dead_at >= %(since)s AND d.dead_at < %(until)s AND (d.dead_at, d.mail_id) > (%(at)s, %(id)s)
ORDER BY d.dead_at, d.mail_id LIMIT %(scan)s
"""
)


def oldest(connection: Connection, values: Mapping[str, Any], *, after: Place, scan: int) -> list[Pair]:
    """Look at so many letters that died after a place, oldest first: the one that has waited longest goes first."""
    with connection.cursor(row_factory=args_row(Pair)) as cursor:
        asked = {**values, "at": after.dead_at, "id": after.mail_id, "scan": scan}
        return cursor.execute(OLDEST, asked, binary=True).fetchall()


LETTER: Final = """
SELECT d.mail_id, d.cycle, d.dead_at, m.lane, m.stream, d.reason, d.code, d.attempts, m.tag,
       d.published_at IS NOT NULL AS in_queue, true AS matches
FROM atum.dead_letter d JOIN atum.mail m ON m.id = d.mail_id AND m.cycle = d.cycle
WHERE d.mail_id = %(id)s
"""


def letter(connection: Connection, mail_id: UUID) -> Letter | None:
    """Give the dead letter of a mail, if it has one now."""
    with connection.cursor(row_factory=args_row(Letter)) as cursor:
        return cursor.execute(LETTER, {"id": mail_id}).fetchone()


COUNT: Final = """
SELECT count(*) FROM atum.dead_letter
WHERE dead_at >= %(since)s AND dead_at < %(until)s AND (dead_at, mail_id) > (%(at)s, %(id)s)
"""


def count(connection: Connection, values: Mapping[str, Any], *, after: Place) -> int:
    """Count the letters that `oldest` would look at."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        asked = {
            "since": values["since"],
            "until": values["until"],
            "at": after.dead_at,
            "id": after.mail_id,
        }
        row = cursor.execute(COUNT, asked).fetchone()
    return 0 if row is None else int(row[0])


SWEEP: Final = """
UPDATE atum.maintenance SET due_at = clock_timestamp(), publish_after = clock_timestamp() WHERE name = %(name)s
"""


def sweep_soon(connection: Connection) -> None:
    """Make the sweep of `mail.dead` due: what was replayed or discarded has left a stale message there."""
    connection.execute(SWEEP, {"name": Task.SWEEP_DEAD.value})


SWEEP_ID: Final = "SELECT id FROM atum.maintenance WHERE name = %(name)s"


def sweep_task(connection: Connection) -> UUID:
    """Give the id of the task that sweeps."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(SWEEP_ID, {"name": Task.SWEEP_DEAD.value}).fetchone()
    if row is None:
        raise AssertionError("the migrations make a row for every task")
    task: UUID = row[0]
    return task
