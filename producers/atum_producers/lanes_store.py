"""Lanes that ATUM_LANES no longer names: the first lane takes over what is left of them. Lock order: flow, batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg.rows import tuple_row

from atum_producers.relay_store import lanes_waiting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from atum_schema.database import Connection

PAUSED = "SELECT DISTINCT lane FROM atum.flow WHERE lane = ANY(%(lanes)s) AND paused_by IS NOT NULL"


def lanes_orphaned(connection: Connection, known: Sequence[str]) -> list[str]:
    """Give the lanes that have mail waiting, that are not `known`, and that nobody has paused: stop means stop."""
    unknown = [lane for lane in lanes_waiting(connection) if lane not in known]
    if not unknown:
        return []
    with connection.cursor(row_factory=tuple_row) as cursor:
        paused = {row[0] for row in cursor.execute(PAUSED, {"lanes": unknown})}
    return [lane for lane in unknown if lane not in paused]


LEFT_OVER = """
SELECT EXISTS (SELECT FROM atum.batch
               WHERE state = 'issued' AND lane <> ALL(%(known)s)
                     AND issued_at < clock_timestamp() - make_interval(secs => %(after_s)s))
"""

# Who stops a lane takes back what is in it: until then it stays as it is.
LOCK_WINDOWS = """
SELECT FROM atum.flow WHERE lane = %(first)s OR lane <> ALL(%(known)s) ORDER BY lane, account FOR SHARE
"""

# No worker takes tickets of a lane that was removed, nor pulls them. Another relay may still know the lane and have
# workers for it: they get some seconds. Nothing goes into a lane that has stopped: there they would be sent.
ADOPT = """
WITH left_over AS (
    SELECT id FROM atum.batch
    WHERE state = 'issued' AND lane <> ALL(%(known)s)
          AND NOT EXISTS (SELECT FROM atum.flow f
                          WHERE (f.lane = batch.lane AND f.paused_by IS NOT NULL)
                                OR (f.lane = %(first)s AND f.account = batch.account AND f.state <> 'open'))
          AND issued_at < clock_timestamp() - make_interval(secs => %(after_s)s)
    ORDER BY id LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
)
UPDATE atum.batch b SET lane = %(first)s, publish_after = clock_timestamp()
FROM left_over WHERE b.id = left_over.id
"""


def adopt(connection: Connection, known: Sequence[str], *, after_s: float, limit: int) -> int:
    """Put batches that were issued so long ago in lanes that are not `known` into the first one; give how many.

    Their tickets are due at once. While the first lane is closed or paused, they stay where they are.
    """
    values = {"known": list(known), "first": known[0], "after_s": after_s, "limit": limit}
    with connection.cursor(row_factory=tuple_row) as cursor:
        if cursor.execute(LEFT_OVER, values).fetchone() != (True,):
            return 0
        with connection.transaction():
            cursor.execute(LOCK_WINDOWS, values)
            return cursor.execute(ADOPT, values).rowcount
