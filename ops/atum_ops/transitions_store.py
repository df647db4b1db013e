"""What happened to all mails together, read from the counted transitions. Nothing here walks the log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from psycopg.rows import args_row, tuple_row

from atum_ops import failing
from atum_ops.failing import Counts
from atum_schema.status import ENDED, PROVEN, Status

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta
    from uuid import UUID

    from atum_schema.database import Connection

FAILED: Final = (Status.DEAD.value, Status.EXPIRED.value, Status.BOUNCED.value)
_ENDS: Final = sorted(status.value for status in ENDED)
_PROVEN: Final = sorted(status.value for status in PROVEN)

# Sums of hours begin on the hour: a window older than three days is as sharp as that.
COUNTS: Final = """
SELECT coalesce(sum(number) FILTER (WHERE from_status <> ALL(%(ends)s) AND to_status = ANY(%(ends)s)), 0)::bigint
           AS finished,
       coalesce(sum(number) FILTER (WHERE to_status = 'dead'), 0)::bigint AS dead,
       coalesce(sum(number) FILTER (WHERE to_status = 'expired'), 0)::bigint AS expired,
       coalesce(sum(number) FILTER (WHERE to_status = 'bounced'), 0)::bigint AS bounced
FROM atum.transitions
WHERE at >= clock_timestamp() - make_interval(secs => %(from_s)s)
      AND at < clock_timestamp() - make_interval(secs => %(until_s)s)
      AND from_status <> to_status AND (%(lane)s::text IS NULL OR lane = %(lane)s)
"""


def counts(
    connection: Connection, *, from_s: float, until_s: float = -3600.0, lane: str | None = None
) -> Counts:
    """Count what came to an end between two moments, given in seconds before now."""
    with connection.cursor(row_factory=args_row(Counts)) as cursor:
        values = {"from_s": from_s, "until_s": until_s, "lane": lane, "ends": _ENDS}
        row = cursor.execute(COUNTS, values).fetchone()
    return Counts() if row is None else row


_DAY_S: Final = 86_400.0


def trend(connection: Connection, *, window_s: float = _DAY_S) -> failing.Trend:
    """Give the failure rate of the last day (or another window) beside that of the one before."""
    return failing.trend(
        counts(connection, from_s=window_s),
        counts(connection, from_s=2 * window_s, until_s=window_s),
    )


class Slot(NamedTuple):
    """One hour or day of a report. Its time is UTC."""

    at: datetime
    counts: Counts


SLOTS: Final = """
SELECT date_trunc(%(unit)s, at, 'UTC') AS at,
       coalesce(sum(number) FILTER (WHERE from_status <> ALL(%(ends)s) AND to_status = ANY(%(ends)s)), 0)::bigint,
       coalesce(sum(number) FILTER (WHERE to_status = 'dead'), 0)::bigint,
       coalesce(sum(number) FILTER (WHERE to_status = 'expired'), 0)::bigint,
       coalesce(sum(number) FILTER (WHERE to_status = 'bounced'), 0)::bigint
FROM atum.transitions
WHERE at >= date_trunc(%(unit)s, %(since)s::timestamptz, 'UTC') AND from_status <> to_status
GROUP BY 1 ORDER BY 1
"""


def slots(connection: Connection, *, since: datetime, unit: str) -> list[Slot]:
    """Count what came to an end in each `hour` or `day` since then; those in which nothing did are left out."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        rows = cursor.execute(SLOTS, {"since": since, "unit": unit, "ends": _ENDS}).fetchall()
    return [Slot(row[0], Counts(*row[1:])) for row in rows]


class Reason(NamedTuple):
    """One of the commonest reasons for which mails were not taken or failed."""

    to_status: str
    reason: str
    http_status: int
    #: ErrorCode of the provider; 0: none.
    code: int
    mails: int


REASONS: Final = """
SELECT to_status, reason, max(http_status)::int AS http_status, code, sum(number)::bigint AS mails
FROM atum.transitions
WHERE at >= %(since)s AND to_status IN ('dead', 'expired', 'bounced', 'retrying', 'unknown')
      AND (from_status <> to_status OR cause = 'retry_scheduled')
GROUP BY to_status, reason, code ORDER BY mails DESC, to_status, reason, code LIMIT %(limit)s
"""


def reasons(connection: Connection, *, since: datetime, limit: int) -> list[Reason]:
    """Give the commonest reasons since then, each with its codes, the commonest first."""
    with connection.cursor(row_factory=args_row(Reason)) as cursor:
        return cursor.execute(REASONS, {"since": since, "limit": limit}).fetchall()


class LaneCounts(NamedTuple):
    """What came to an end in one lane."""

    lane: str
    finished: int
    sent: int
    failed: int


LANES: Final = """
SELECT lane,
       coalesce(sum(number) FILTER (WHERE from_status <> ALL(%(ends)s) AND to_status = ANY(%(ends)s)), 0)::bigint
           AS finished,
       coalesce(sum(number) FILTER (WHERE from_status <> ALL(%(proven)s) AND to_status = ANY(%(proven)s)), 0)::bigint
           AS sent,
       coalesce(sum(number) FILTER (WHERE to_status = ANY(%(failed)s)), 0)::bigint AS failed
FROM atum.transitions
WHERE at >= %(since)s AND from_status <> to_status
GROUP BY lane ORDER BY lane
"""


def lanes(connection: Connection, *, since: datetime) -> list[LaneCounts]:
    """Count what came to an end in each lane since then."""
    values: dict[str, Any] = {"since": since, "ends": _ENDS, "proven": _PROVEN, "failed": list(FAILED)}
    with connection.cursor(row_factory=args_row(LaneCounts)) as cursor:
        return cursor.execute(LANES, values).fetchall()


# Evenly spread over the time: the first mails that were accepted in each of so many equal parts of it.
WAITS: Final = """
SELECT m.lane, greatest(0, extract(epoch FROM m.finished_at - greatest(m.accepted_at, m.send_at)))::float8
FROM unnest(%(firsts)s::uuid[], %(lasts)s::uuid[]) AS part(first, last)
CROSS JOIN LATERAL (
    SELECT lane, finished_at, accepted_at, send_at, status FROM atum.mail
    WHERE id >= part.first AND id < part.last ORDER BY id LIMIT %(each)s
) m
WHERE m.finished_at IS NOT NULL AND m.status = ANY(%(proven)s)
"""


def waits(connection: Connection, *, parts: Sequence[tuple[UUID, UUID]], each: int) -> dict[str, list[float]]:
    """Give for each lane the seconds from accept to sent of some mails: at most `each` of every part of the ids."""
    values = {
        "firsts": [first for first, _ in parts],
        "lasts": [last for _, last in parts],
        "each": each,
        "proven": _PROVEN,
    }
    found: dict[str, list[float]] = {}
    with connection.cursor(row_factory=tuple_row) as cursor:
        for lane, seconds in cursor.execute(WAITS, values):
            found.setdefault(lane, []).append(seconds)
    return found


DEAD_SLOTS: Final = """
SELECT count(*) FILTER (WHERE dead_at >= %(since)s) AS fresh, count(*) AS kept, min(dead_at) AS oldest
FROM (SELECT dead_at FROM atum.dead_letter ORDER BY dead_at DESC LIMIT %(limit)s) d
"""


class DeadLetters(NamedTuple):
    """The dead letters that are kept."""

    #: Of the time in question, and all; both at most as many as were counted.
    fresh: int
    kept: int
    oldest: datetime | None


def dead_letters(connection: Connection, *, since: datetime, limit: int = 1_000_000) -> DeadLetters:
    """Count the dead letters, those since then and all, up to `limit`."""
    with connection.cursor(row_factory=args_row(DeadLetters)) as cursor:
        row = cursor.execute(DEAD_SLOTS, {"since": since, "limit": limit}).fetchone()
    return DeadLetters(0, 0, None) if row is None else row


def moment_before(connection: Connection, age: timedelta) -> datetime:
    """Give the moment so long ago, by the database's clock."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(BEFORE, {"age": age}).fetchone()
    if row is None:
        raise AssertionError("a select that returns nothing")
    found: datetime = row[0]
    return found


BEFORE: Final = "SELECT clock_timestamp() - %(age)s::interval"
