"""How outcomes reach the window: at once when they change it, once a second when they do not, and never lost."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from atum_schema import database, flow_store
from atum_schema.flow import Policy
from atum_workers.flow_reporter import FlowReporter
from atum_workers.outcome import Accepted, Deferred, Outcome
from tests.nodes import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from psycopg_pool import ConnectionPool

    from atum_schema.database import Connection
    from atum_schema.flow import Window
    from tests.command_line import Place

LANE = "transactional"
GOOD: list[Outcome] = [Accepted("id")]
REFUSED: list[Outcome] = [Deferred(reason="token_refused", detail="", charged=False)]
DOWN: list[Outcome] = [Deferred(reason="maintenance", detail="", charged=False)]


@pytest.fixture
def place(place: Place) -> Place:
    flow_store.ensure(place.connection, lane=LANE, account="default", ceiling=8, rate=None)
    return place


@pytest.fixture
def pool(place: Place) -> Iterator[ConnectionPool[Connection]]:
    with database.pool(place.url, name="worker", size=2) as pool:
        yield pool


@contextmanager
def reporting(pool: ConnectionPool[Connection]) -> Iterator[FlowReporter]:
    reporter = FlowReporter(pool, Policy, lambda low, _: low)
    reporter.start()
    try:
        yield reporter
    finally:
        reporter.close()


def tell(reporter: FlowReporter, outcomes: list[Outcome], times: int = 1) -> None:
    for _ in range(times):
        reporter.report(LANE, "default", outcomes, time.monotonic())


def window(place: Place) -> Window:
    with database.connect(place.url, name="tests") as connection:
        return flow_store.read(connection)[0].window


def changed(place: Place, **values: Any) -> None:
    with database.connect(place.url, name="tests") as connection:
        flow_store.change(connection, lambda row: row.window._replace(**values), lane=LANE, account="default")


def writes(place: Place) -> int:
    place.sql("SELECT pg_stat_force_next_flush()")
    ((number,),) = place.sql("SELECT n_tup_upd FROM pg_stat_all_tables WHERE relname = 'flow'")
    return int(number)


def test_a_refusal_is_written_at_once(place: Place, pool: ConnectionPool[Connection]) -> None:
    with reporting(pool) as reporter:
        tell(reporter, REFUSED)
        assert eventually(lambda: window(place).state == "paused")
        assert window(place).reason == "token_refused"


def test_a_good_probe_opens_the_lane_whatever_this_worker_believed(
    place: Place, pool: ConnectionPool[Connection]
) -> None:
    changed(place, size=8)
    with reporting(pool) as reporter:
        tell(reporter, GOOD)
        assert eventually(lambda: window(place).good > 0)
        with database.connect(place.url, name="tests") as connection:
            (row,) = flow_store.read(connection)
        changed(place, size=0, state="closed", reason="outage", since=row.now, probe_at=row.now)
        tell(reporter, GOOD)
        assert eventually(lambda: window(place).state == "open")


def test_steady_success_costs_a_write_a_second(place: Place, pool: ConnectionPool[Connection]) -> None:
    changed(place, size=8)
    with reporting(pool) as reporter:
        tell(reporter, GOOD)
        assert eventually(lambda: window(place).good > 0)
        before, started, told = writes(place), time.monotonic(), 0
        while time.monotonic() - started < 2.5 or told < 200:
            tell(reporter, GOOD)
            told += 1
            time.sleep(0.002)
    assert eventually(lambda: window(place).good > 50)
    assert eventually(lambda: writes(place) > before)
    assert writes(place) - before <= 2 + 1 + (time.monotonic() - started)


def test_what_is_left_is_written_at_the_end(place: Place, pool: ConnectionPool[Connection]) -> None:
    changed(place, size=8)
    with reporting(pool) as reporter:
        tell(reporter, GOOD)
        assert eventually(lambda: window(place).good > 0)
        tell(reporter, GOOD, 40)
    # Fewer than all, as answers count less and less with time.
    assert 20 < window(place).good <= 41


def test_what_could_not_be_written_is_told_again(place: Place, pool: ConnectionPool[Connection]) -> None:
    with reporting(pool) as reporter:
        place.sql("ALTER TABLE atum.flow RENAME TO hidden")
        tell(reporter, DOWN, 3)
        time.sleep(0.3)
        tell(reporter, DOWN, 3)
        place.sql("ALTER TABLE atum.hidden RENAME TO flow")
        assert eventually(lambda: window(place).state == "closed")


def test_an_outage_takes_back_what_waits_for_a_worker_and_leaves_the_probe(
    place: Place, pool: ConnectionPool[Connection]
) -> None:
    place.enqueue(30)
    assert len(place.issue(mails=10, window=8)) == 3
    with reporting(pool) as reporter:
        tell(reporter, DOWN, 5)
        assert eventually(lambda: place.sql("SELECT count(*) FROM atum.ready") == [(30,)])
        assert place.sql("SELECT count(*) FROM atum.batch") == [(0,)]
        changed(place, probe_at=0.0)
        assert len(place.issue(mails=10, window=8)) == 1
        # What was under way when it closed says nothing about the probe.
        reporter.report(LANE, "default", DOWN, time.monotonic() - 60)
        assert not eventually(lambda: place.sql("SELECT count(*) FROM atum.batch") == [(0,)], seconds=0.5)


def test_a_lane_without_a_window_is_nobodys_trouble(place: Place, pool: ConnectionPool[Connection]) -> None:
    with reporting(pool) as reporter:
        reporter.report("gone", "default", REFUSED, time.monotonic())
        tell(reporter, REFUSED)
        assert eventually(lambda: window(place).state == "paused")
