"""Tasks that are due now and then: one worker at a time, taken over when it dies, never forgotten."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest

from atum_schema import database, maintenance
from atum_schema.maintenance import Task
from atum_schema.script import run
from atum_workers.maintain import Lease, LeaseLost, Maintenance
from tests.logged import said
from tests.telling import event, tell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from psycopg_pool import ConnectionPool

    from tests.command_line import Place


@pytest.fixture
def pool(place: Place) -> Iterator[ConnectionPool[Any]]:
    with database.pool(place.url, name="tests", size=4) as one:
        yield one


def id_of(place: Place, task: Task) -> uuid.UUID:
    ((found,),) = place.sql("SELECT id FROM atum.maintenance WHERE name = %(name)s", name=task.value)
    assert isinstance(found, uuid.UUID)
    return found


def due(place: Place) -> set[str]:
    ids = run(place.connection, maintenance.tickets_due(again_s=60))
    return {name for name, task in place.sql("SELECT name, id FROM atum.maintenance") if task in ids}


def not_due(place: Place) -> None:
    place.sql("UPDATE atum.maintenance SET due_at = now() + interval '1 hour'")


def doing(pool: ConnectionPool[Any], work: Callable[[Lease], float]) -> Maintenance:
    return Maintenance(pool=pool, tasks=dict.fromkeys(Task, work), stopping=lambda: False)


def test_there_is_a_row_for_every_task(place: Place) -> None:
    names = place.sql("SELECT name FROM atum.maintenance ORDER BY name")
    assert [name for (name,) in names] == sorted(Task)


def test_a_ticket_is_sent_for_what_is_due_and_repeated_less_and_less_often(place: Place) -> None:
    not_due(place)
    assert due(place) == set()
    place.sql("UPDATE atum.maintenance SET due_at = now() WHERE name = 'catch_up'")
    assert due(place) == {"catch_up"}
    assert due(place) == set()
    place.sql("UPDATE atum.maintenance SET publish_after = now()")
    assert due(place) == {"catch_up"}
    ((wait_s,),) = place.sql(
        "SELECT extract(epoch FROM publish_after - now()) FROM atum.maintenance WHERE name = 'catch_up'"
    )
    assert 100 < wait_s <= 120


def test_events_make_applying_due_by_themselves(place: Place) -> None:
    not_due(place)
    tell(place, event("Delivery", uuid.uuid4(), uuid.uuid4()))
    assert due(place) == {"apply_events"}


def test_a_task_is_done_by_one_worker_at_a_time(place: Place, pool: ConnectionPool[Any]) -> None:
    task = id_of(place, Task.CATCH_UP)
    runs = 0

    def work(lease: Lease) -> float:
        nonlocal runs
        runs += 1
        doing(pool, lambda _: pytest.fail("two at once")).maintain(task)
        return 3600.0

    doing(pool, work).maintain(task)
    assert runs == 1
    assert "catch_up" not in due(place)


def test_a_task_whose_worker_died_is_taken_over_when_its_lease_is_over(
    place: Place, pool: ConnectionPool[Any]
) -> None:
    task = id_of(place, Task.CATCH_UP)
    with pool.connection() as connection:
        assert maintenance.begin(connection, task) is not None
        assert maintenance.begin(connection, task) is None
    assert "catch_up" not in due(place)
    place.sql("UPDATE atum.maintenance SET lease_until = now() WHERE name = 'catch_up'")
    assert "catch_up" in due(place)
    runs: list[Lease] = []

    def work(lease: Lease) -> float:
        runs.append(lease)
        return 1.0

    doing(pool, work).maintain(task)
    assert len(runs) == 1


def test_who_was_too_slow_for_its_lease_notices_and_changes_nothing(
    place: Place, pool: ConnectionPool[Any]
) -> None:
    task = id_of(place, Task.CATCH_UP)

    def quick(lease: Lease) -> float:
        lease.go_on({"of": "the other"})
        return 3600.0

    def slow(lease: Lease) -> float:
        place.sql("UPDATE atum.maintenance SET lease_until = now() WHERE name = 'catch_up'")
        doing(pool, quick).maintain(task)
        with pytest.raises(LeaseLost):
            lease.go_on({"of": "the slow one"})
        raise LeaseLost

    doing(pool, slow).maintain(task)
    ((progress, lease_until),) = place.sql(
        "SELECT progress, lease_until FROM atum.maintenance WHERE name = 'catch_up'"
    )
    assert (progress, lease_until) == ({"of": "the other"}, None)


def test_what_a_task_has_come_to_is_kept_and_its_failure_said(
    place: Place, pool: ConnectionPool[Any]
) -> None:
    task = id_of(place, Task.CATCH_UP)

    def failing(lease: Lease) -> float:
        lease.go_on({"mark": 7})
        raise ValueError("canary@example.net")

    doing(pool, failing).maintain(task)
    kept: list[Any] = []

    def working(lease: Lease) -> float:
        kept.append(lease.progress)
        return 3600.0

    assert place.sql("SELECT failure FROM atum.maintenance WHERE name = 'catch_up'") == [("ValueError",)]
    doing(pool, working).maintain(task)
    assert kept == [{"mark": 7}]
    assert place.sql("SELECT failure FROM atum.maintenance WHERE name = 'catch_up'") == [(None,)]


def test_a_failure_is_logged_without_what_it_quotes(
    place: Place, pool: ConnectionPool[Any], caplog: pytest.LogCaptureFixture
) -> None:
    quoted = "".join(reversed("ten.elpmaxe@yranac"))

    def failing(lease: Lease) -> float:
        raise ValueError(quoted)

    doing(pool, failing).maintain(id_of(place, Task.CATCH_UP))
    assert "ValueError" in said(caplog)
    assert "canary" not in caplog.text + said(caplog)
