"""What there is to be kept or dropped, as `retention status` shows it. No statement looks at more than its limit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from psycopg.rows import args_row, tuple_row

from atum_schema import retention
from atum_schema.status import PROVEN

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from atum_schema.database import Connection
    from atum_schema.retention import Month, Range

LOOKED: Final = 10_000
"""Rows that one look goes over."""

_PROVEN: Final = sorted(status.value for status in PROVEN)

OLDEST: Final = "SELECT min(accepted_at) FROM (SELECT accepted_at FROM atum.mail ORDER BY id LIMIT 1) m"


def oldest_mail(connection: Connection) -> datetime | None:
    """Say when the oldest mail of the log was accepted."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(OLDEST).fetchone()
    return row[0] if row else None


class Size(NamedTuple):
    """What a month takes."""

    #: Estimated; -1: Postgres has not looked yet.
    mails: int
    bytes: int


SIZE: Final = """
SELECT coalesce(sum(CASE WHEN relname = %(mail)s THEN reltuples END), 0)::bigint AS mails,
       coalesce(sum(pg_total_relation_size(oid)), 0)::bigint AS bytes
FROM pg_class WHERE relnamespace = 'atum'::regnamespace AND relname = ANY(%(names)s::text[])
"""


def size(connection: Connection, month: Month) -> Size:
    """Give the size of a month, over all its tables and indexes."""
    names = [month.partition(parent) for parent in retention.PARENTS]
    with connection.cursor(row_factory=args_row(Size)) as cursor:
        row = cursor.execute(SIZE, {"mail": names[0], "names": names}).fetchone()
    return Size(0, 0) if row is None else row


class Staying(NamedTuple):
    """Mails of a month that have an owner, and would be put aside; each counted once, at most `LOOKED` of a kind."""

    dead: int
    held: int
    unknown: int
    waiting: int
    sending: int


STAYING: Final = """
WITH travelling AS (
    SELECT unnest(mail_ids) AS id, state FROM atum.batch
)
SELECT (SELECT count(*) FROM (SELECT FROM atum.dead_letter
                              WHERE mail_id > %(after)s AND mail_id < %(before)s LIMIT %(limit)s) d) AS dead,
       (SELECT count(*) FROM (SELECT FROM atum.held
                              WHERE mail_id > %(after)s AND mail_id < %(before)s LIMIT %(limit)s) h) AS held,
       (SELECT count(*) FROM travelling WHERE id > %(after)s AND id < %(before)s AND state = 'unknown') AS unknown,
       (SELECT count(*) FROM (SELECT FROM atum.ready
                              WHERE mail_id > %(after)s AND mail_id < %(before)s LIMIT %(limit)s) r) AS waiting,
       (SELECT count(*) FROM travelling WHERE id > %(after)s AND id < %(before)s AND state <> 'unknown') AS sending
"""


def staying(connection: Connection, within: Range) -> Staying:
    """Count what of a month has an owner."""
    with connection.cursor(row_factory=args_row(Staying)) as cursor:
        row = cursor.execute(STAYING, {"limit": LOOKED, **within._asdict()}).fetchone()
    return Staying(0, 0, 0, 0, 0) if row is None else row


class Old(NamedTuple):
    """What is old enough to go, among the first `LOOKED` rows of a range."""

    number: int
    #: Since when the oldest of it is over; None: there is none.
    oldest: datetime | None
    #: Rows that were looked at.
    looked: int


OLD_CONTENT: Final = """
WITH looked AS MATERIALIZED (
    SELECT mail_id FROM atum.content WHERE mail_id > %(after)s AND mail_id < %(before)s ORDER BY mail_id LIMIT %(limit)s
)
SELECT count(*) FILTER (WHERE m.id IS NULL OR (m.status = ANY(%(proven)s::text[])
           AND coalesce(m.finished_at < %(ended_before)s::timestamptz, %(ended_before)s::timestamptz IS NULL))) AS number,
       min(m.finished_at) FILTER (WHERE m.status = ANY(%(proven)s::text[])) AS oldest, count(*) AS looked
FROM looked l LEFT JOIN atum.mail m ON m.id = l.mail_id
"""


def old_content(connection: Connection, within: Range, *, ended_before: datetime | None) -> Old:
    """Count content that goes at the next run; the oldest is that of any proven mail."""
    values = {"proven": _PROVEN, "ended_before": ended_before, "limit": LOOKED, **within._asdict()}
    with connection.cursor(row_factory=args_row(Old)) as cursor:
        row = cursor.execute(OLD_CONTENT, values).fetchone()
    return Old(0, None, 0) if row is None else row


OLD_ASIDE: Final = """
SELECT count(*) FILTER (WHERE since < %(ended_before)s) AS number, min(since) AS oldest,
       coalesce(max(looked), 0) AS looked
FROM (SELECT CASE WHEN status = ANY(%(taken)s::text[]) THEN coalesce(finished_at, accepted_at) END AS since,
             count(*) OVER () AS looked
      FROM (SELECT status, finished_at, accepted_at FROM atum.mail_default ORDER BY id LIMIT %(limit)s) d) m
"""


def old_aside(connection: Connection, *, ended_before: datetime) -> Old:
    """Count mails that were put aside and go at the next run."""
    values = {"taken": list(retention.TAKEN), "ended_before": ended_before, "limit": LOOKED}
    with connection.cursor(row_factory=args_row(Old)) as cursor:
        row = cursor.execute(OLD_ASIDE, values).fetchone()
    return Old(0, None, 0) if row is None else row


class Run(NamedTuple):
    """The task, as it stands."""

    id: UUID
    started_at: datetime | None
    ended_at: datetime | None
    failure: str | None
    walked_at: float | None
    #: The privacy mode of the last run.
    privacy: str | None


TASK: Final = """
SELECT id, started_at, ended_at, failure, (progress ->> 'walked_at')::float8 AS walked_at,
       progress ->> 'privacy' AS privacy
FROM atum.maintenance WHERE name = 'retain'
"""


def task(connection: Connection) -> Run:
    """Give the task that does it."""
    with connection.cursor(row_factory=args_row(Run)) as cursor:
        row = cursor.execute(TASK).fetchone()
    if row is None:
        raise AssertionError("a task without a row")
    return row
