"""Foreign transactions and locks under the work: waited for, found late, and never a reason to post again."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, LiteralString

import psycopg
import pytest
from psycopg import sql

from atum_ops.simulator.config import SimulatorConfig
from tests.load import Load, without_load
from tests.nodes import eventually
from tests.sharing import Shared
from tests.system import System, letters

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from tests.nodes import Databases, VirtualHosts

LOCKS: dict[str, LiteralString] = {
    "mails": "SELECT FROM atum.mail WHERE status = 'queued' FOR UPDATE",
    "batches": "SELECT FROM atum.batch FOR UPDATE",
    "waiting mails": "SELECT FROM atum.ready FOR UPDATE",
    "the window": "SELECT FROM atum.flow FOR UPDATE",
    "a whole table": "LOCK TABLE atum.batch IN ACCESS EXCLUSIVE MODE",
    "the log": "LOCK TABLE atum.mail, atum.event IN ACCESS EXCLUSIVE MODE",
}


@pytest.fixture(scope="module")
def shared(databases: Databases, virtual_hosts: VirtualHosts) -> Iterator[Shared[Load]]:
    @contextmanager
    def made() -> Iterator[Load]:
        with (
            databases.fresh() as database_url,
            without_load(database_url=database_url, amqp_url=virtual_hosts.fresh()) as load,
        ):
            yield load

    with Shared(made) as one:
        yield one


@pytest.fixture
def load(shared: Shared[Load], request: pytest.FixtureRequest) -> Load:
    """A system in the middle of its work."""
    load = shared.lend(request.node)
    load.begin(400)
    return load


@pytest.mark.parametrize("lock", LOCKS.values(), ids=LOCKS.keys())
def test_rows_that_a_stranger_has_locked_are_waited_for(load: Load, lock: LiteralString) -> None:
    # Longer than any lease, so that what lapses meanwhile does.
    with psycopg.connect(load.system.database_url) as stranger:
        # Where the two wait for each other, it is not the stranger who is ended.
        stranger.execute("SET deadlock_timeout = '60s'")
        stranger.execute(lock)
        time.sleep(5)
        stranger.rollback()
    load.finish()


def test_mail_that_is_committed_long_after_its_due_time_is_found(load: Load) -> None:
    with psycopg.connect(load.system.database_url) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        (late,) = load.system.mailer.enqueue(letters(1, name="late"), connection=connection)
        # The low-water mark of the backlog passes the due time of this one.
        load.await_half()
        time.sleep(3)
        connection.commit()
    load.system.await_status(late, "sent")
    load.mails += 1
    load.finish()


def test_a_deadlock_repeats_the_record_and_not_the_post(database_url: str, amqp_url: str) -> None:
    # Who waits looks for a deadlock once, after so long: the circle is closed by then, even if this test stands still.
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            sql.SQL("ALTER DATABASE {} SET deadlock_timeout = '6s'").format(
                sql.Identifier(connection.info.dbname)
            )
        )
    with (
        System(
            database_url=database_url,
            amqp_url=amqp_url,
            simulation=SimulatorConfig(latency_ms=5000),
            settings={"ATUM_REQUEST_TIMEOUT_S": "60"},
        ) as system,
        psycopg.connect(database_url) as stranger,
    ):
        ids = sorted(system.mailer.enqueue(letters(10)))
        system.await_posting()
        # The other one looks for deadlocks sooner, and is the one to be ended.
        stranger.execute("SET deadlock_timeout = '60s'")
        lock(stranger, ids[-1])
        assert eventually(lambda: is_blocked_by(system, stranger.info.backend_pid))
        # The record holds the first mail and waits for the last one; this closes the circle, and waits for its end.
        closing = threading.Thread(target=lock, args=(stranger, ids[0]))
        closing.start()
        closing.join(50)
        assert not closing.is_alive()
        deadlocks: LiteralString = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        assert eventually(lambda: system.query(deadlocks) == [(1,)])
        stranger.rollback()
        assert eventually(lambda: system.statuses(ids) == {"sent": 10})
        assert system.copies(ids) == [1] * 10
        system.check(sent=10)


def lock(connection: psycopg.Connection, mail: UUID) -> None:
    connection.execute("SELECT FROM atum.mail WHERE id = %(mail)s FOR UPDATE", {"mail": mail})


def is_blocked_by(system: System, pid: int) -> bool:
    rows = system.query("SELECT FROM pg_stat_activity WHERE %(pid)s = ANY(pg_blocking_pids(pid))", pid=pid)
    return bool(rows)
