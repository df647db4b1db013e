"""Transitions are added up exactly once: totals never change by it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from atum_ops import transitions_store
from atum_ops.failing import Counts
from atum_schema import database
from atum_schema.maintenance import Task
from atum_workers import tally_store
from atum_workers.adding_up import adding_up
from atum_workers.maintain import Maintenance
from tests.command_line import DEAD, RETRYING, SENT, UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg_pool import ConnectionPool

    from tests.command_line import Place

#: Hours before now, and numbers, of rows that were counted.
rows = st.lists(st.tuples(st.floats(0, 24 * 9), st.integers(1, 50), st.sampled_from("ab")), max_size=30)


@pytest.fixture
def pool(place: Place) -> Iterator[ConnectionPool[Any]]:
    with database.pool(place.url, name="tests", size=4) as one:
        yield one


def count(place: Place, hours: float, number: int, lane: str) -> None:
    place.sql(
        "INSERT INTO atum.transition (at, lane, cause, from_status, to_status, reason, code, http_status, number)"
        " VALUES (clock_timestamp() - make_interval(secs => %(age_s)s), %(lane)s, 'provider_accepted', 'queued',"
        " 'sent', '', 0, 200, %(number)s)",
        age_s=hours * 3600,
        lane=lane,
        number=number,
    )


def totals(place: Place) -> list[tuple[Any, ...]]:
    return place.sql(
        "SELECT lane, cause, from_status, to_status, reason, code, http_status, sum(number) FROM atum.transitions"
        " GROUP BY 1, 2, 3, 4, 5, 6, 7 ORDER BY 1, 2, 3, 4, 5, 6, 7"
    )


def add_up(place: Place, pool: ConnectionPool[Any], *, at_once: int = 7) -> None:
    ((task,),) = place.sql("SELECT id FROM atum.maintenance WHERE name = 'add_up'")
    Maintenance(pool=pool, tasks={Task.ADD_UP: adding_up(at_once=at_once)}, stopping=lambda: False).maintain(
        task
    )
    ((failure,),) = place.sql("SELECT failure FROM atum.maintenance WHERE name = 'add_up'")
    assert failure is None


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows, st.integers(1, 9), rows)
def test_totals_never_change_by_adding_up(
    place: Place, pool: ConnectionPool[Any], first: Any, at_once: int, second: Any
) -> None:
    for row in first:
        count(place, *row)
    before = totals(place)
    add_up(place, pool, at_once=at_once)
    assert totals(place) == before
    assert place.sql("SELECT 1 FROM atum.transition") == []
    for row in second:
        count(place, *row)
    before = totals(place)
    edge = tally_store.edge(place.connection)
    add_up(place, pool, at_once=at_once)
    assert totals(place) == before
    late = place.sql(
        "SELECT 1 FROM atum.transition_sum WHERE at <> date_trunc('hour', at, 'UTC') AND at < %(edge)s",
        edge=edge,
    )
    assert late == []


def test_minutes_that_are_older_than_three_days_become_hours(place: Place, pool: ConnectionPool[Any]) -> None:
    place.sql(
        "INSERT INTO atum.transition_sum SELECT date_trunc('hour', now(), 'UTC') - interval '4 days'"
        " + make_interval(mins => m), 'a', 'provider_accepted', 'queued', 'sent', '', 0, 200, 10"
        " FROM generate_series(0, 59) m"
    )
    add_up(place, pool)
    assert place.sql("SELECT count(*), sum(number) FROM atum.transition_sum") == [(1, 600)]


def test_two_workers_that_add_up_at_once_count_each_row_once(place: Place) -> None:
    for number in range(1, 200):
        count(place, number / 60, number, "a")
    before = totals(place)

    def work() -> None:
        with database.connect(place.url, name="tests") as connection:
            edge = tally_store.edge(connection)
            while tally_store.add_up(connection, edge=edge, limit=3):
                pass

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert totals(place) == before
    assert place.sql("SELECT count(*) FROM atum.transition") == [(0,)]


def test_what_became_of_mails_is_counted_before_and_after_adding_up(
    place: Place, pool: ConnectionPool[Any]
) -> None:
    for outcome, number in ((SENT, 5), (DEAD, 2), (RETRYING, 3), (UNKNOWN, 1)):
        place.ended(outcome, number)
    expected = Counts(finished=7, dead=2)
    assert transitions_store.counts(place.connection, from_s=3600) == expected
    add_up(place, pool)
    assert transitions_store.counts(place.connection, from_s=3600) == expected
    assert transitions_store.counts(place.connection, from_s=7200, until_s=3600) == Counts()
    assert transitions_store.counts(place.connection, from_s=3600, lane="broadcast") == Counts()


def test_a_bounce_of_a_sent_mail_is_a_failure_and_no_second_end(place: Place) -> None:
    place.sql(
        "INSERT INTO atum.transition (lane, cause, from_status, to_status, reason, code, http_status, number) VALUES"
        " ('a', 'provider_accepted', 'queued', 'sent', '', 0, 200, 10),"
        " ('a', 'bounced', 'sent', 'bounced', 'hard_bounce', 0, 0, 2),"
        " ('a', 'delivered', 'sent', 'delivered', '', 0, 0, 8),"
        " ('a', 'bounced', 'bounced', 'bounced', 'hard_bounce', 0, 0, 2)"
    )
    assert transitions_store.counts(place.connection, from_s=60) == Counts(finished=10, bounced=2)
