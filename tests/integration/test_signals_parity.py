"""The snapshot says what the commands say, and its totals never fall."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from atum_ops import reading, transitions_store
from atum_ops.signals import store
from atum_schema import database
from atum_workers import tally_store
from tests.aging import ended_in, make, month, retain
from tests.command_line import DEAD, RETRYING, SENT, UNKNOWN
from tests.exporting import loaded
from tests.telling import apply_all, event, tell

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from psycopg_pool import ConnectionPool

    from atum_ops.signals.snapshot import Snapshot
    from tests.command_line import Place

OLD = 8


@pytest.fixture
def pool(place: Place) -> Iterator[ConnectionPool[Any]]:
    with database.pool(place.url, name="tests", size=4) as one:
        yield one


def read(place: Place) -> Snapshot:
    return store.read(place.connection, loaded(place.url))


def deliver(place: Place) -> None:
    """Let mails come to everything that there is: sent, delivered, bounced, dead, retrying, unknown, sending, due, later."""
    place.ended(SENT, 60)
    place.ended(DEAD, 7)
    place.ended(DEAD, 1, lane="transactional")
    place.ended(RETRYING, 4)
    (bounced,) = place.ended(SENT)
    ((batch,),) = place.sql("SELECT batch_id FROM atum.attempt WHERE mail_id = %(id)s", id=bounced)
    tell(place, event("Bounce", bounced, batch))
    apply_all(place)
    place.ended(UNKNOWN, 3)
    place.enqueue(5)
    place.issue()
    place.enqueue(6)
    place.enqueue(2, lane="broadcast")


def test_lanes_are_those_of_queue_status(place: Place) -> None:
    deliver(place)
    place.sql("UPDATE atum.ready SET due_at = due_at - interval '1 hour' WHERE due_at <= now()")
    shown = {lane.lane: lane for lane in read(place).lanes}
    told = {lane.lane: lane for lane in reading.lanes(place.connection)}
    assert {name: (lane.due, lane.later, lane.sending, lane.unknown) for name, lane in shown.items()} == {
        name: (lane.due, lane.later, lane.sending, lane.unknown) for name, lane in told.items()
    }
    assert (shown["transactional"].backlog, shown["transactional"].later) == (11, 4)
    assert shown["broadcast"].backlog == 2
    assert told["broadcast"].oldest_s is not None
    assert told["broadcast"].oldest_s >= 3600
    for name, lane in shown.items():
        assert lane.oldest_at is not None
        assert read(place).at - lane.oldest_at == pytest.approx(told[name].oldest_s, abs=60)


def test_dead_held_and_unknown_are_those_of_queue_status(place: Place) -> None:
    deliver(place)
    snapshot = read(place)
    assert (snapshot.dead.number, snapshot.dead_unpublished.number) == reading.dead_letters(place.connection)
    stopped = reading.stopped(place.connection)
    assert (snapshot.held.number, snapshot.unknown.number) == (stopped.held, stopped.unknown)
    assert (snapshot.dead.number, snapshot.unknown.number) == (8, 3)


def test_the_failures_of_a_day_are_those_of_queue_status_and_of_the_report(place: Place) -> None:
    deliver(place)
    snapshot = read(place)
    counts = transitions_store.trend(place.connection).now
    shown = [snapshot.recently("24h", result) for result in ("finished", "dead", "expired", "bounced")]
    assert shown == list(counts)
    document = place.run("report", "--since", "24h", "--format", "json").json
    assert [document["total"][name] for name in ("finished", "dead", "expired", "bounced")] == shown
    assert (counts.dead, counts.bounced) == (8, 1)


def test_the_totals_are_the_report_of_all_time(place: Place) -> None:
    deliver(place)
    snapshot = read(place)
    lanes = transitions_store.lanes(place.connection, since=month(1).begins)
    assert {lane.lane: (lane.finished, lane.sent) for lane in lanes if lane.finished} == {
        lane: (snapshot.totals[lane, "finished"], snapshot.totals[lane, "sent"])
        for lane in {lane for lane, _ in snapshot.totals}
    }
    ((sent,),) = place.sql(
        "SELECT count(*) FROM atum.mail WHERE status IN ('sent', 'delivered', 'bounced', 'complained')"
    )
    assert sum(number for (_, result), number in snapshot.totals.items() if result == "sent") == sent == 61


def test_totals_stay_when_transitions_are_added_up_and_coarsened(place: Place) -> None:
    deliver(place)
    # Some of them happened days ago, so that there is something to coarsen.
    place.sql(
        "UPDATE atum.transition SET at = at - interval '9 days' WHERE ctid IN (SELECT ctid FROM atum.transition LIMIT 5)"
    )
    before = totals(read(place))
    edge = tally_store.edge(place.connection)
    # In the middle of an hour, whatever time it is: what lies at its beginning is the hour's row already.
    place.sql(
        "UPDATE atum.transition SET at = date_trunc('hour', at, 'UTC') + interval '17 minutes'"
        " WHERE at < now() - interval '1 day'"
    )
    while tally_store.add_up(place.connection, edge=month(2).begins, limit=3):
        assert totals(read(place)) == before
    assert place.sql("SELECT count(*) FROM atum.transition") == [(0,)]
    coarsened = 0
    while moved := tally_store.coarsen(place.connection, since=month(2).begins, edge=edge, limit=1):
        coarsened += moved
        assert totals(read(place)) == before
    assert coarsened > 0


def test_totals_stay_when_a_month_of_the_log_is_dropped(place: Place, pool: ConnectionPool[Any]) -> None:
    old = make(place, month(OLD))
    ended_in(place, old, SENT, 5)
    place.ended(DEAD, 2)
    before = totals(read(place))
    assert before[0]["transactional", "sent"] == 5
    retained = retain(place, pool)
    assert (retained.months, retained.dropped) == ([str(old)], 5)
    assert totals(read(place)) == before


STEPS = st.lists(st.sampled_from(["sent", "dead", "retrying", "add up"]), min_size=1, max_size=8)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
def test_totals_never_fall(place: Place, steps: list[str]) -> None:
    outcomes: Mapping[str, Mapping[str, Any]] = {"sent": SENT, "dead": DEAD, "retrying": RETRYING}
    before = totals(read(place))
    for step in steps:
        if step in outcomes:
            place.ended(outcomes[step], 2)
        else:
            tally_store.add_up(place.connection, edge=tally_store.edge(place.connection), limit=3)
        after = totals(read(place))
        assert all(Counter(now) >= Counter(then) for now, then in zip(after, before, strict=True))
        before = after


def totals(snapshot: Snapshot) -> tuple[Mapping[Any, int], Mapping[Any, int], dict[str, int]]:
    """Give everything that counts since the beginning."""
    return snapshot.totals, snapshot.deferrals, {"": snapshot.duplicates}


def test_what_is_put_off_is_counted_by_why(place: Place) -> None:
    place.ended(RETRYING, 3)
    snapshot = read(place)
    assert snapshot.deferrals == {"rate_limited": 3}
    assert snapshot.recent_deferrals["5m", "rate_limited"] == 3
    assert snapshot.recent_deferrals["24h", "rate_limited"] == 3
