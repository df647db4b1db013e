"""Ordering that everything comes under the active key, following it, and doing it without a worker."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from psycopg.rows import args_row

from atum_ops import operations
from atum_ops.operations import FIND, Operation
from atum_schema import maintenance
from atum_workers.maintain import Lease
from atum_workers.reencrypt import Reencryption
from atum_workers.reencrypt_store import KIND

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from psycopg_pool import ConnectionPool

    from atum_schema.database import Connection
    from atum_schema.encryption import Keyring

_LOOK_S: Final = 0.3
_RUN_S: Final = 0.5

UNDER_WAY: Final = """
SELECT id, kind, actor, reason, selection, began_at, last, counts, ended_at FROM atum.operation
WHERE kind = 'keys.rotate' AND ended_at IS NULL AND selection ->> 'active' = %(active)s
ORDER BY began_at LIMIT 1
"""


def order(connection: Connection, active: str, *, actor: str, reason: str | None) -> Operation:
    """Order it, in the log of operations and in the audit log; or give the order that is under way already."""
    with connection.transaction():
        with connection.cursor(row_factory=args_row(Operation)) as cursor:
            found = cursor.execute(UNDER_WAY, {"active": active}).fetchone()
        if found is None:
            found = operations.begin(
                connection, KIND, actor=actor, reason=reason, selection={"active": active}
            )
        hurry(connection)
    return found


HURRY: Final = """
UPDATE atum.maintenance SET due_at = clock_timestamp(), publish_after = clock_timestamp()
WHERE name = 'reencrypt' AND lease_until IS NULL AND due_at > clock_timestamp()
"""


def hurry(connection: Connection) -> None:
    """Make the task due now."""
    connection.execute(HURRY)


def state(connection: Connection, operation: UUID) -> Operation:
    """Give an order as it stands."""
    with connection.cursor(row_factory=args_row(Operation)) as cursor:
        found = cursor.execute(FIND, {"id": operation}).fetchone()
    if found is None:
        raise AssertionError("an order that was given is gone")
    return found


def follow(connection: Connection, operation: UUID) -> Iterator[Operation]:
    """Give the order again and again until workers have done it."""
    while True:
        now = state(connection, operation)
        yield now
        if now.ended_at is not None:
            return
        hurry(connection)
        time.sleep(_LOOK_S)


TASK: Final = "SELECT id FROM atum.maintenance WHERE name = 'reencrypt'"


def do_here(pool: ConnectionPool[Connection], keyring: Keyring, operation: UUID) -> Iterator[Operation]:
    """Do the work in this process, at full speed; a worker that is at it is waited for. Give the order after each step."""
    work = Reencryption(pool=pool, keyring=keyring, rest=0.0, run_s=_RUN_S)
    with pool.connection() as connection:
        ((task,),) = connection.execute(TASK).fetchall()
    while True:
        with pool.connection() as connection:
            now = state(connection, operation)
        yield now
        if now.ended_at is not None:
            return
        if not _turn(pool, work, task):
            time.sleep(_LOOK_S)


def _turn(pool: ConnectionPool[Connection], work: Reencryption, task: UUID) -> bool:
    """Do a part of the work under a lease; whether there was one to have."""
    with pool.connection() as connection:
        begun = maintenance.begin(connection, task)
    if begun is None:
        return False
    due_s = 0.0
    try:
        due_s = work.run(Lease(pool=pool, token=begun.token, progress=begun.progress, stopping=lambda: False))
    finally:
        with pool.connection() as connection:
            maintenance.end(connection, begun.token, due_s=due_s)
    return True
