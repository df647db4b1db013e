"""A mail that kills its workers, or spoils its batch, harms only itself."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from atum_ops.simulator.faults import FaultKind, FaultPlan, FaultRule
from tests.nodes import Databases, VirtualHosts, eventually
from tests.sharing import Shared, shared_system
from tests.system import System, letters

if TYPE_CHECKING:
    from collections.abc import Iterator

K = FaultKind


@pytest.fixture(scope="module")
def shared(databases: Databases, virtual_hosts: VirtualHosts) -> Iterator[Shared[System]]:
    """A system without workers, that settles within seconds."""
    with shared_system(
        databases,
        virtual_hosts,
        workers=0,
        settings={
            "ATUM_SETTLE_S": "0.2,0.5",
            "ATUM_SETTLE_WITHOUT_CONTROL_S": "1",
            "ATUM_REQUEST_TIMEOUT_S": "3",
            "ATUM_LEASE_MARGIN_S": "0.5",
            "ATUM_OUTAGE_REQUESTS": "10000",
        },
    ) as one:
        yield one


def test_a_mail_that_kills_every_worker_before_its_post_is_dead_and_the_others_are_sent(
    system: System,
) -> None:
    ids = system.mailer.enqueue([*letters(7, name="fine"), *letters(1, name="poison")])
    poison = ids[-1]
    deaths = 0
    while system.waiting():
        worker = system.start_part([sys.executable, "-m", "tests.poisoned_worker", str(poison)])
        assert eventually(lambda worker=worker: not worker.running or system.waiting() == 0, seconds=60)  # type: ignore[misc]
        deaths += not worker.running
        worker.kill()
        assert deaths <= 8
    # What was being posted beside it when its worker died is settled first.
    survivor = system.start_worker()
    assert eventually(lambda: system.statuses(ids[:-1]) == {"sent": 7}, seconds=60)
    survivor.kill()
    assert system.mailer.get(poison).status == "dead"
    assert system.mailer.get(poison).reason == "poison"
    assert system.copies(ids) == [1] * 7 + [0]
    # From eight to one it is halved three times, and alone it may kill three.
    assert deaths >= 6
    system.check()


def test_a_batch_that_is_refused_for_one_mail_is_bisected_and_the_innocent_are_not_charged(
    system: System,
) -> None:
    worker = system.start_worker()
    system.simulator.set_faults(FaultPlan(rules=(FaultRule(kind=K.TOO_LARGE, recipient="culprit"),)))
    ids = system.mailer.enqueue([*letters(15, name="innocent"), *letters(1, name="culprit")])
    system.settled()
    assert system.statuses(ids[:-1]) == {"sent": 15}
    assert system.mailer.get(ids[-1]).reason == "too_large"
    assert system.copies(ids) == [1] * 15 + [0]
    charged = system.query("SELECT DISTINCT attempts FROM atum.mail WHERE id = ANY(%(ids)s)", ids=ids[:-1])
    assert charged == [(0,)]
    ((requests,),) = system.query(
        "SELECT count(DISTINCT batch_id) FROM atum.attempt WHERE mail_id = ANY(%(ids)s)", ids=ids
    )
    # Two halves of each of 16, 8, 4 and 2, and the whole: not one request per mail.
    assert requests <= 9
    worker.kill()
    system.check()


def test_a_mail_that_always_draws_a_500_is_isolated_and_the_others_are_sent_once(system: System) -> None:
    worker = system.start_worker(ATUM_TRIES="5")
    system.simulator.set_faults(
        FaultPlan(rules=(FaultRule(kind=K.SERVER_ERROR_BEFORE, recipient="breaker"),))
    )
    ids = system.mailer.enqueue([*letters(7, name="bystander"), *letters(1, name="breaker")])
    assert eventually(lambda: system.statuses(ids) == {"sent": 7, "dead": 1}, seconds=120)
    assert system.copies(ids) == [1] * 7 + [0]
    assert system.mailer.get(ids[-1]).reason == "tries_exhausted"
    worker.kill()
    system.check()
