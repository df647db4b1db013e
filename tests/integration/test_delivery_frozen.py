"""A worker frozen at a step and thawed after its lease: it posts nothing it may not, and its answer still counts."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.nodes import eventually
from tests.system import System, letters

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from tests.nodes import Databases, VirtualHosts
    from tests.system import Part


@pytest.fixture(scope="module")
def system(databases: Databases, virtual_hosts: VirtualHosts) -> Iterator[System]:
    """A system without workers: each test starts one that freezes."""
    with (
        databases.fresh() as database_url,
        System(database_url=database_url, amqp_url=virtual_hosts.fresh(), workers=0) as system,
    ):
        yield system


def is_frozen(part: Part) -> bool:
    return Path(f"/proc/{part.pid}/stat").read_text().rpartition(") ")[2].startswith("T")


def freeze(system: System, step: str) -> tuple[Part, list[UUID]]:
    worker = system.start_crashing_worker(step, how="SIGSTOP")
    ids = system.mailer.enqueue(letters(3))
    assert eventually(lambda: is_frozen(worker))
    return worker, ids


def thaw(worker: Part) -> None:
    worker.signal(signal.SIGCONT)
    assert eventually(lambda: not is_frozen(worker))


def test_an_answer_that_comes_after_the_lease_is_proof(system: System) -> None:
    worker, ids = freeze(system, "answered")
    assert system.copies(ids) == [1] * 3
    for one in ids:
        system.await_status(one, "unknown")
    thaw(worker)
    for one in ids:
        system.await_status(one, "sent")
    assert worker.stop() == 0
    assert [system.story(one) for one in ids] == [["accepted", "outcome_unknown", "provider_accepted"]] * 3
    assert system.copies(ids) == [1] * 3
    tries = system.query("SELECT DISTINCT tries FROM atum.mail WHERE id = ANY(%(ids)s)", ids=ids)
    assert tries == [(1,)]
    system.check()


def test_a_worker_frozen_before_its_mark_loses_the_claim_and_posts_nothing(system: System) -> None:
    worker, ids = freeze(system, "claimed")
    other = system.start_worker()
    for one in ids:
        system.await_status(one, "sent")
    # Only the frozen one is left to post now.
    assert other.stop() == 0
    before = system.simulator.summary().sends
    thaw(worker)
    assert worker.stop() == 0
    assert system.simulator.summary().sends == before
    assert system.copies(ids) == [1] * 3
    assert [system.story(one) for one in ids] == [["accepted", "reissued", "provider_accepted"]] * 3
    system.check()


def test_a_worker_frozen_between_mark_and_post_posts_nothing_and_says_so(system: System) -> None:
    worker, ids = freeze(system, "marked")
    for one in ids:
        system.await_status(one, "unknown")
    before = system.simulator.summary().sends
    thaw(worker)
    system.settled()
    for one in ids:
        system.await_status(one, "sent")
    assert worker.stop() == 0
    # What it knows it did not post is due again, and goes out under a new mark.
    stories = [["accepted", "outcome_unknown", "retry_scheduled", "provider_accepted"]] * 3
    assert [system.story(one) for one in ids] == stories
    assert system.copies(ids) == [1] * 3
    assert 1 <= system.simulator.summary().sends - before <= 3
    system.check()
