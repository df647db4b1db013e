"""Postgres at its worst while batches are posting: nothing is lost, nothing is sent twice, and it goes on by itself."""

from __future__ import annotations

import os
import signal
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

import psycopg
import pytest

from atum_schema.migrate import migrate
from tests.load import TERMINATE, terminate_ours, under_load
from tests.nodes import all_gone, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from atum_ops.stack.postgres import PostgresNode
    from tests.load import Load


@pytest.fixture
def load(own_postgres: PostgresNode, amqp_url: str) -> Iterator[Load]:
    """A system in the middle of its work, on a Postgres of its own."""
    migrate(own_postgres.url)
    with under_load(database_url=own_postgres.url, amqp_url=amqp_url) as one:
        yield one


def postmaster(node: PostgresNode) -> int:
    return int((node.data / "postmaster.pid").read_text().split()[0])


@pytest.mark.parametrize("how", [signal.SIGQUIT, signal.SIGKILL], ids=["immediate stop", "killed postmaster"])
def test_a_server_that_stops_without_a_checkpoint_recovers(
    own_postgres: PostgresNode, load: Load, how: signal.Signals
) -> None:
    os.kill(postmaster(own_postgres), how)
    assert eventually(lambda: not own_postgres.running)
    own_postgres.start()
    load.finish()


def test_a_backend_that_is_killed_restarts_the_server_under_everybody(
    own_postgres: PostgresNode, load: Load
) -> None:
    for _ in range(3):
        pids = await_backends(load)
        os.kill(pids[0], signal.SIGKILL)
        # Not at once: the postmaster ends the others first.
        assert eventually(lambda pids=pids: all_gone(pids))  # type: ignore[misc]
        load.await_progress()
    load.finish()


def await_backends(load: Load) -> list[int]:
    """Wait until the worker is connected; give the server's processes that serve it."""
    pids: list[int] = []

    def are_there() -> bool:
        with suppress(psycopg.OperationalError):
            rows = load.system.query(
                "SELECT pid FROM pg_stat_activity WHERE application_name = 'atum-worker'"
            )
            pids[:] = [pid for (pid,) in rows]
        return bool(pids)

    assert eventually(are_there)
    return pids


def test_connections_that_others_have_taken_come_back(own_postgres: PostgresNode, load: Load) -> None:
    begun = time.monotonic()
    refused = 0
    with psycopg.connect(own_postgres.url, autocommit=True) as ours, ExitStack() as taken:
        # For four seconds, and on a busy machine until it has been felt.
        while time.monotonic() < begun + 4 or (refused <= 10 and time.monotonic() < begun + 60):
            # Our parts have to come in again, and the stranger is as quick.
            ours.execute(TERMINATE)
            try:
                taken.enter_context(psycopg.connect(own_postgres.url))
            except psycopg.OperationalError:
                refused += 1
                time.sleep(0.02)
    assert refused > 10
    load.finish()


def test_connections_that_are_ended_again_and_again_are_made_again(
    own_postgres: PostgresNode, load: Load
) -> None:
    begun = time.monotonic()
    ended = 0
    # For three seconds, and on a busy machine until it has been felt.
    while time.monotonic() < begun + 3 or (ended <= 30 and time.monotonic() < begun + 60):
        ended += terminate_ours(own_postgres.url)
        time.sleep(0.1)
    assert ended > 30
    load.finish()


def test_a_database_that_is_read_only_for_seconds_is_waited_for(
    own_postgres: PostgresNode, load: Load
) -> None:
    with psycopg.connect(own_postgres.url, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        connection.execute("SELECT pg_reload_conf()")
        with psycopg.connect(own_postgres.url) as writing:
            writing.execute("SET TRANSACTION READ WRITE")
            load.add(10, connection=writing)
        time.sleep(4)
        assert load.system.waiting() >= 10
        connection.execute("ALTER SYSTEM RESET default_transaction_read_only")
        connection.execute("SELECT pg_reload_conf()")
    load.finish()
