"""What retention reads and deletes. Nothing here waits for a lock for longer than a moment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import psycopg
from psycopg.rows import args_row, tuple_row

from atum_schema import audit, retention
from atum_schema.status import PROVEN

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime
    from uuid import UUID

    from atum_schema.database import Connection
    from atum_schema.retention import Month, Range

PATIENCE_MS: Final = 100
"""How long a month waits for one of its locks. Delivery waits behind it."""

_WHOLE_MS: Final = 1500
_PROVEN: Final = sorted(status.value for status in PROVEN)

PARTITIONS: Final = """
SELECT clock_timestamp(), coalesce(array_agg(c.relname::text ORDER BY c.relname), '{}')
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent IN ('atum.mail'::regclass, 'atum.event'::regclass, 'atum.attempt'::regclass,
                      'atum.recipient_event'::regclass)
"""


def partitions(connection: Connection) -> tuple[datetime, list[str]]:
    """Give the time of the database, and the names of all partitions of the log."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(PARTITIONS).fetchone()
    if row is None:
        raise AssertionError("an aggregate without a row")
    return row[0], row[1]


class Looked(NamedTuple):
    """Some mails of the log, in order of their ids."""

    #: The last of them; None: there were none.
    last: UUID | None
    number: int
    #: Those that retention must not take, as far as their rows say.
    staying: list[UUID]


SCAN_MONTH: Final = """
SELECT (array_agg(id ORDER BY id DESC))[1] AS last, count(*) AS number,
       coalesce(array_agg(id ORDER BY id) FILTER (
           WHERE status <> ALL(%(taken)s::text[]) OR coalesce(finished_at, accepted_at) >= %(ended_before)s), '{}') AS staying
FROM (SELECT id, status, finished_at, accepted_at FROM atum.mail
      WHERE id > %(after)s AND id < %(before)s ORDER BY id LIMIT %(limit)s) m
"""


def scan_month(connection: Connection, within: Range, *, ended_before: datetime, limit: int) -> Looked:
    """Look at the next mails of a month: those that have not ended, are dead, or ended lately, stay."""
    values = {"taken": list(retention.TAKEN), "ended_before": ended_before, "limit": limit}
    with connection.cursor(row_factory=args_row(Looked)) as cursor:
        row = cursor.execute(SCAN_MONTH, values | within._asdict()).fetchone()
    return Looked(None, 0, []) if row is None else row


class Ids(NamedTuple):
    """The ids of some mails, in order."""

    ids: list[UUID]


NEXT: Final = """
SELECT coalesce(array_agg(id ORDER BY id), '{}') AS ids
FROM (SELECT id FROM atum.mail WHERE id > %(after)s AND id < %(before)s ORDER BY id LIMIT %(limit)s) m
"""


def next_ids(connection: Connection, within: Range, *, limit: int) -> list[UUID]:
    """Give the ids of the next mails of the log, in order."""
    with connection.cursor(row_factory=args_row(Ids)) as cursor:
        row = cursor.execute(NEXT, {"limit": limit, **within._asdict()}).fetchone()
    return [] if row is None else row.ids


NEXT_ASIDE: Final = """
SELECT coalesce(array_agg(id ORDER BY id), '{}') AS ids
FROM (SELECT id FROM atum.mail_default WHERE id > %(after)s AND id < %(before)s ORDER BY id LIMIT %(limit)s) m
"""


def next_aside(connection: Connection, within: Range, *, limit: int) -> list[UUID]:
    """Give the ids of the next mails that no month has, in order."""
    with connection.cursor(row_factory=args_row(Ids)) as cursor:
        row = cursor.execute(NEXT_ASIDE, {"limit": limit, **within._asdict()}).fetchone()
    return [] if row is None else row.ids


# Whoever moves a mail holds its row: such a mail is passed by, and nobody waits. Rows that are locked here are looked at
# once more in their newest version; owners cannot come while they are, but with a move.
DELETE: Final = """
WITH held_by_batch AS MATERIALIZED (
    SELECT unnest(mail_ids) AS id FROM atum.batch WHERE mail_ids && %(ids)s
), old AS MATERIALIZED (
    SELECT m.id FROM atum.mail m
    WHERE m.id = ANY(%(ids)s) AND m.status = ANY(%(taken)s::text[])
          AND coalesce(m.finished_at, m.accepted_at) < %(ended_before)s
          AND NOT EXISTS (SELECT FROM atum.ready r WHERE r.mail_id = m.id)
          AND NOT EXISTS (SELECT FROM atum.held h WHERE h.mail_id = m.id)
          AND NOT EXISTS (SELECT FROM atum.dead_letter d WHERE d.mail_id = m.id)
          AND NOT EXISTS (SELECT FROM held_by_batch b WHERE b.id = m.id)
    ORDER BY m.id FOR UPDATE OF m SKIP LOCKED
), contents AS (
    DELETE FROM atum.content WHERE mail_id = ANY(ARRAY(SELECT id FROM old))
), events AS (
    DELETE FROM atum.event WHERE mail_id = ANY(ARRAY(SELECT id FROM old))
), attempts AS (
    DELETE FROM atum.attempt WHERE mail_id = ANY(ARRAY(SELECT id FROM old))
), facts AS (
    DELETE FROM atum.recipient_event WHERE mail_id = ANY(ARRAY(SELECT id FROM old))
), gone AS (
    DELETE FROM atum.mail WHERE id = ANY(ARRAY(SELECT id FROM old)) RETURNING id
)
SELECT count(*) FROM gone
"""


def delete(connection: Connection, ids: Collection[UUID], *, ended_before: datetime) -> int:
    """Delete those of the mails that ended before then and have no owner, with all that explains them; give how many."""
    values = {"ids": list(ids), "taken": list(retention.TAKEN), "ended_before": ended_before}
    with connection.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(DELETE, values).fetchone()
    return row[0] if row else 0


class Cleared(NamedTuple):
    """Content that was looked at, in order of its ids."""

    #: The last of it; None: there was none.
    last: UUID | None
    number: int
    deleted: int


# A proven mail never becomes another, and content comes with its mail: neither needs a lock.
CLEAR: Final = """
WITH looked AS MATERIALIZED (
    SELECT mail_id FROM atum.content WHERE mail_id > %(after)s AND mail_id < %(before)s ORDER BY mail_id LIMIT %(limit)s
), gone AS (
    DELETE FROM atum.content
    WHERE mail_id = ANY(ARRAY(
        SELECT l.mail_id FROM looked l LEFT JOIN atum.mail m ON m.id = l.mail_id
        WHERE m.id IS NULL
              OR (m.status = ANY(%(proven)s::text[])
                  AND coalesce(m.finished_at < %(ended_before)s::timestamptz, %(ended_before)s::timestamptz IS NULL))))
    RETURNING mail_id
)
SELECT (SELECT mail_id FROM looked ORDER BY mail_id DESC LIMIT 1) AS last, (SELECT count(*) FROM looked) AS number,
       (SELECT count(*) FROM gone) AS deleted
"""


def clear(connection: Connection, within: Range, *, ended_before: datetime | None, limit: int) -> Cleared:
    """Look at the next content; delete that of proven mails that ended before then, and that of which no mail is left."""
    values = {"proven": _PROVEN, "ended_before": ended_before, "limit": limit, **within._asdict()}
    with connection.cursor(row_factory=args_row(Cleared)) as cursor:
        row = cursor.execute(CLEAR, values).fetchone()
    return Cleared(None, 0, 0) if row is None else row


class Busy(Exception):
    """Somebody holds a lock for too long; nothing was done."""


MOST: Final = "SELECT set_config('statement_timeout', %(most_ms)s::text, true)"

DROP: Final = "SELECT atum.drop_month(%(month)s, %(staying)s::uuid[], %(most)s, %(patience_ms)s)"


def drop(
    connection: Connection,
    month: Month,
    *,
    staying: Collection[UUID],
    number: int,
    actor: str,
    patience_ms: int = PATIENCE_MS,
) -> int | None:
    """Drop a month whole, but for mails that have an owner and those of `staying`, which are put aside; give how many are.

    `number` mails were counted in it, for the audit log. None: too many would have to be put aside, and nothing was done.
    Raises `Busy`.
    """
    values = {
        "month": month.day,
        "staying": list(staying),
        "most": retention.MOST_ASIDE,
        "patience_ms": patience_ms,
    }
    try:
        with connection.transaction(), connection.cursor(row_factory=tuple_row) as cursor:
            cursor.execute(MOST, {"most_ms": _WHOLE_MS})
            row = cursor.execute(DROP, values).fetchone()
            aside: int | None = row[0] if row else None
            if aside is not None:
                detail: dict[str, Any] = {
                    "month": str(month),
                    "mails": max(0, number - aside),
                    "aside": aside,
                }
                audit.record(connection, actor, "retention.month_dropped", detail)
            return aside
    except (
        psycopg.errors.LockNotAvailable,
        psycopg.errors.QueryCanceled,
        psycopg.errors.DeadlockDetected,
    ) as error:
        raise Busy from error
