"""A provider that is down, refuses the token, or wants less: lanes stop by themselves, and go on by themselves."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from atum_ops.simulator.config import SimulatorConfig
from atum_ops.simulator.faults import FaultKind, FaultPlan, FaultRule
from tests.nodes import eventually
from tests.system import System, letters

if TYPE_CHECKING:
    from collections.abc import Iterator

LANE = "transactional"


def always(kind: FaultKind, **rule: Any) -> FaultPlan:
    return FaultPlan(rules=(FaultRule(kind=kind, **rule),))


def state(system: System, lane: str = LANE) -> tuple[str, str | None]:
    ((name, reason),) = system.query("SELECT state, reason FROM atum.flow WHERE lane = %(lane)s", lane=lane)
    return name, reason


def posts(system: System) -> int:
    """Count the requests that were answered, whatever the answer."""
    ((number,),) = system.query("SELECT count(DISTINCT batch_id) FROM atum.attempt")
    return int(number)


@pytest.fixture
def system(database_url: str, amqp_url: str) -> Iterator[System]:
    """A system whose batches are small, and which probes at most once a second."""
    with System(
        database_url=database_url,
        amqp_url=amqp_url,
        simulation=SimulatorConfig(latency_ms=5),
        settings={"ATUM_BATCH_MAILS": "10", "ATUM_PROBE_S": "0.5", "ATUM_WINDOW": "8"},
    ) as system:
        yield system


def test_an_outage_closes_the_lane_costs_no_attempt_and_ends_by_itself(system: System) -> None:
    system.simulator.set_faults(always(FaultKind.MAINTENANCE))
    system.mailer.enqueue(letters(600))
    assert eventually(lambda: state(system) == ("closed", "outage"))
    before, started = posts(system), time.monotonic()
    time.sleep(3)
    asked = posts(system) - before
    # What workers held when it closed, and at most one probe per half of the shortest distance.
    assert asked <= 4 + (time.monotonic() - started) / 0.25
    assert system.waiting() == 600
    system.simulator.set_faults(FaultPlan())
    system.settled()
    system.check(sent=600)
    assert system.query("SELECT DISTINCT attempts FROM atum.mail") == [(0,)]
    assert state(system) == ("open", None)
    refused = system.query("SELECT count(*) FROM atum.attempt WHERE http_status = 429")
    assert refused == [(0,)]
    outages = system.query("SELECT outage_end > outage_at FROM atum.flow WHERE lane = %(lane)s", lane=LANE)
    assert outages == [(True,)]


def test_a_refused_token_pauses_the_lane_until_it_works_again(system: System) -> None:
    system.simulator.set_faults(always(FaultKind.UNAUTHORIZED))
    system.mailer.enqueue(letters(300))
    assert eventually(lambda: state(system) == ("paused", "token_refused"))
    assert system.waiting() == 300
    system.simulator.set_faults(FaultPlan())
    system.settled()
    system.check(sent=300)
    assert system.query("SELECT DISTINCT attempts FROM atum.mail") == [(0,)]
    assert state(system) == ("open", None)


def test_a_lane_that_is_stopped_does_not_stop_the_others(system: System) -> None:
    # Both lanes have the same account here; the other one finds out for itself.
    system.simulator.set_faults(always(FaultKind.UNAUTHORIZED, recipient="news"))
    system.mailer.enqueue(letters(50, name="news", stream="broadcast"))
    assert eventually(lambda: state(system, "broadcast")[0] == "paused")
    ids = system.mailer.enqueue(letters(50, name="reset"))
    assert eventually(lambda: system.statuses(ids) == {"sent": 50})
    assert state(system, "broadcast")[0] == "paused"


def test_the_lane_is_silent_for_as_long_as_the_provider_asks(system: System) -> None:
    system.simulator.set_faults(always(FaultKind.RATE_LIMIT_RETRY_AFTER, max_count=1))
    first = system.mailer.enqueue(letters(1, name="first")[0])
    assert eventually(lambda: posts(system) == 1)
    later = system.mailer.enqueue(letters(20, name="later"))
    system.settled()
    # `Retry-After: 2`: mails that were never refused themselves wait too.
    ((gap,),) = system.query(
        "SELECT extract(epoch FROM min(a.posting_at) - (SELECT min(answered_at) FROM atum.attempt))::float8"
        " FROM atum.attempt a WHERE a.mail_id = ANY(%(ids)s)",
        ids=[*later],
    )
    assert 1.9 < gap < 30
    system.check(sent=21)
    assert system.mailer.get(first).status == "sent"


def test_a_provider_that_says_slow_down_gets_less_and_everything_arrives(system: System) -> None:
    system.simulator.set_faults(always(FaultKind.RATE_LIMIT, probability=0.3))
    system.mailer.enqueue(letters(400))
    system.settled()
    system.check(sent=400)
    assert system.query("SELECT DISTINCT attempts FROM atum.mail") == [(0,)]


def test_mail_that_always_draws_an_error_stops_nobody_else(system: System) -> None:
    system.simulator.set_faults(always(FaultKind.SERVER_ERROR_BEFORE, recipient="poison"))
    poison = []
    for turn in range(12):
        poison += system.mailer.enqueue(letters(1, name=f"poison{turn}-"))
        good = system.mailer.enqueue(letters(50, name=f"good{turn}-"))
        assert eventually(lambda good=good: system.statuses(good)["queued"] == 0)  # type: ignore[misc]
        assert state(system)[0] == "open"
    assert eventually(lambda: system.statuses(poison)["unknown"] == 12)
    ((cost,),) = system.query("SELECT count(*) FROM atum.mail WHERE status = 'unknown'")
    # Its companions in a batch share its fate; nobody else does.
    assert cost <= 12 * 10


def test_a_poison_mail_cannot_keep_a_closed_lane_closed(system: System) -> None:
    system.simulator.set_faults(always(FaultKind.MAINTENANCE))
    poison = system.mailer.enqueue(letters(3, name="poison"))
    others = system.mailer.enqueue(letters(100, name="good"))
    assert eventually(lambda: state(system)[0] == "closed")
    # Refused each time and never unknown: it comes back again and again, and others take their turn as probes.
    system.simulator.set_faults(always(FaultKind.MAINTENANCE, recipient="poison"))
    assert eventually(lambda: system.statuses(others)["sent"] >= 50, seconds=90)
    assert system.statuses(poison)["sent"] == 0
    system.simulator.set_faults(FaultPlan())
    system.settled()
    system.check(sent=103)
