"""Adding up what was counted: transitions by minute, later by hour. Each row is added exactly once, and totals never change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, LiteralString

from psycopg.rows import tuple_row

if TYPE_CHECKING:
    from datetime import datetime

    from atum_schema.database import Connection

EDGE: Final = "SELECT date_trunc('hour', clock_timestamp() - make_interval(days => 3), 'UTC')"


def edge(connection: Connection) -> datetime:
    """Give the beginning of the first hour that is kept by minute."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(EDGE).fetchone()
    if row is None:
        raise AssertionError("a select that returns nothing")
    found: datetime = row[0]
    return found


_ADDED: LiteralString = """), added AS (
    INSERT INTO atum.transition_sum AS s (at, lane, cause, from_status, to_status, reason, code, http_status, number)
    SELECT slot, lane, cause, from_status, to_status, reason, code, http_status, sum(number)::bigint FROM moved
    GROUP BY slot, lane, cause, from_status, to_status, reason, code, http_status
    ORDER BY slot, lane, cause, from_status, to_status, reason, code, http_status
    ON CONFLICT (at, lane, cause, from_status, to_status, reason, code, http_status)
    DO UPDATE SET number = s.number + excluded.number
)"""

_COUNTED: LiteralString = "\nSELECT count(*) FROM moved\n"

_TOTALS: LiteralString = """, totals AS (
    INSERT INTO atum.transition_total AS t (lane, cause, from_status, to_status, reason, number)
    SELECT lane, cause, from_status, to_status, reason, sum(number)::bigint FROM moved
    GROUP BY lane, cause, from_status, to_status, reason
    ORDER BY lane, cause, from_status, to_status, reason
    ON CONFLICT (lane, cause, from_status, to_status, reason) DO UPDATE SET number = t.number + excluded.number
)"""

# Deleting and adding is one statement: whoever reads sees a row before it or after it, never both and never neither.
# Sorted, so that a worker that has lost its lease and the next one never wait for each other in a circle.
ADD_UP: LiteralString = (
    """
WITH moved AS (
    DELETE FROM atum.transition
    WHERE ctid = ANY (ARRAY(SELECT ctid FROM atum.transition LIMIT %(limit)s FOR UPDATE SKIP LOCKED))
    RETURNING date_trunc(CASE WHEN at < %(edge)s THEN 'hour' ELSE 'minute' END, at, 'UTC') AS slot,
              lane, cause, from_status, to_status, reason, code, http_status, number
"""  # noqa: S608
    + _ADDED
    + _TOTALS
    + _COUNTED
)


def add_up(connection: Connection, *, edge: datetime, limit: int) -> int:
    """Add up to `limit` rows to the sum of their minute, or of their hour where that lies before `edge`; give how many."""
    return _count(connection, ADD_UP, {"edge": edge, "limit": limit})


# What lies at the beginning of an hour is that hour's row already.
COARSEN: LiteralString = (
    """
WITH moved AS (
    DELETE FROM atum.transition_sum
    WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM atum.transition_sum
        WHERE at >= %(since)s AND at < %(edge)s AND at <> date_trunc('hour', at, 'UTC')
        LIMIT %(limit)s FOR UPDATE SKIP LOCKED))
    RETURNING date_trunc('hour', at, 'UTC') AS slot,
              lane, cause, from_status, to_status, reason, code, http_status, number
"""  # noqa: S608
    + _ADDED
    + _COUNTED
)


def coarsen(connection: Connection, *, since: datetime, edge: datetime, limit: int) -> int:
    """Turn up to `limit` sums of minutes between the two into those of their hours; give how many."""
    return _count(connection, COARSEN, {"since": since, "edge": edge, "limit": limit})


def _count(connection: Connection, statement: str, values: dict[str, object]) -> int:
    with connection.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(statement, values).fetchone()
    return 0 if row is None else int(row[0])
