"""The pool of connections comes back soon after the database does, however long it was away."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg_pool import PoolTimeout

from atum_ops.chaos.proxy import Proxy
from atum_schema import database
from tests.nodes import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg_pool import ConnectionPool

    from atum_schema.database import Connection

THREADS = 4


@pytest.fixture
def proxy(database_url: str) -> Iterator[Proxy]:
    with Proxy(urlsplit(database_url).port or 0) as one:
        yield one


class Asker(threading.Thread):
    """Asks the database again and again; `answered` is when it last answered."""

    def __init__(self, pool: ConnectionPool[Connection]) -> None:
        super().__init__()
        self._pool = pool
        self.answered = 0.0
        self.stop = threading.Event()

    def run(self) -> None:
        while not self.stop.wait(0.05):
            with suppress(psycopg.Error, PoolTimeout), self._pool.connection() as connection:
                connection.execute("SELECT 1")
                self.answered = time.monotonic()


def test_after_a_longer_outage_all_threads_are_served_within_seconds(proxy: Proxy, database_url: str) -> None:
    pool = database.pool(proxy.url(database_url), name="tests", size=THREADS + 2)
    with pool:
        askers = [Asker(pool) for _ in range(THREADS)]
        for asker in askers:
            asker.start()
        try:
            assert eventually(lambda: all(asker.answered > 0 for asker in askers))
            proxy.down()
            proxy.reset()
            # Doubling pauses would try at 15 s and then at 31 s.
            time.sleep(16)
            proxy.heal()
            healed = time.monotonic()
            assert eventually(lambda: all(asker.answered > healed for asker in askers), seconds=30)
            assert time.monotonic() - healed < 12
        finally:
            for asker in askers:
                asker.stop.set()
            for asker in askers:
                asker.join()


def test_who_is_cut_off_in_the_middle_of_a_transaction_does_not_hold_its_locks_for_long(
    proxy: Proxy, database_url: str
) -> None:
    with psycopg.connect(database_url, autocommit=True) as plain:
        plain.execute("CREATE TABLE locked_for_long (id integer)")
        plain.execute("INSERT INTO locked_for_long VALUES (1)")
        lost = database.connect(proxy.url(database_url), name="tests")
        lost.execute("BEGIN")
        lost.execute("SELECT FROM locked_for_long FOR UPDATE")
        proxy.unplug()
        # The server does not know that nobody is there any more.
        plain.execute("SET lock_timeout = '30s'")
        plain.execute("UPDATE locked_for_long SET id = 2")
        lost.close()
