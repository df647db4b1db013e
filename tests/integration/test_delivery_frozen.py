"""A worker frozen at a step and thawed after its lease: it posts nothing it may not, and its answer still counts."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.nodes import eventually
from tests.system import System, letters

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from uuid import UUID

    from tests.system import Part


@pytest.fixture
def system(database_url: str, amqp_url: str) -> Iterator[System]:
    """A system without workers: each test starts one that freezes."""
    with System(database_url=database_url, amqp_url=amqp_url, workers=0) as system:
        yield system


def is_frozen(part: Part) -> bool:
    return Path(f"/proc/{part.pid}/stat").read_text().rpartition(") ")[2].startswith("T")


#: Its own deadline does not stop the worker, so only the fence in the database can.
PATIENT: Mapping[str, str] = {"ATUM_REQUEST_TIMEOUT_S": "60"}
NOTHING: Mapping[str, str] = {}


def start_freezing(system: System, step: str, **settings: str) -> Part:
    # One thread: what it takes up next proves that it is done with what it was frozen in.
    return system.start_crashing_worker(step, how="SIGSTOP", ATUM_THREADS="1", **settings)


def freeze(
    system: System, step: str, settings: Mapping[str, str] = NOTHING, *, mails: int = 3
) -> tuple[Part, list[UUID]]:
    worker = start_freezing(system, step, **settings)
    ids = system.mailer.enqueue(letters(mails))
    assert eventually(lambda: is_frozen(worker))
    return worker, ids


def thaw(worker: Part) -> None:
    worker.signal(signal.SIGCONT)
    assert eventually(lambda: not is_frozen(worker))


def posts_of_next(system: System) -> int:
    """Let the only worker deliver one more mail; count the POSTs until then."""
    before = system.simulator.summary().sends
    (marker,) = system.mailer.enqueue(letters(1, name="marker"))
    system.await_status(marker, "sent")
    return system.simulator.summary().sends - before


def test_an_answer_that_comes_after_the_lease_is_proof(system: System) -> None:
    worker, ids = freeze(system, "answered")
    assert system.copies(ids) == [1] * 3
    for one in ids:
        system.await_status(one, "unknown")
    thaw(worker)
    for one in ids:
        system.await_status(one, "sent")
    worker.kill()
    assert [system.story(one) for one in ids] == [["accepted", "outcome_unknown", "provider_accepted"]] * 3
    assert system.copies(ids) == [1] * 3
    tries = system.query("SELECT DISTINCT tries FROM atum.mail WHERE id = ANY(%(ids)s)", ids=ids)
    assert tries == [(1,)]
    system.check()


def test_a_worker_frozen_before_its_mark_loses_the_claim_and_posts_nothing(system: System) -> None:
    worker, ids = freeze(system, "claimed", PATIENT)
    # It must not lose a claim of its own.
    other = system.start_worker(ATUM_CLAIM_LEASE_S="60")
    for one in ids:
        system.await_status(one, "sent")
    # Only the frozen one is left to post now.
    assert other.stop(timeout=60) == 0
    thaw(worker)
    assert posts_of_next(system) == 1
    worker.kill()
    assert system.copies(ids) == [1] * 3
    assert [system.story(one) for one in ids] == [["accepted", "reissued", "provider_accepted"]] * 3
    system.check()


def test_a_worker_thawed_while_another_holds_the_claim_does_not_post_under_it(system: System) -> None:
    # A single mail: a larger batch would be halved when the first claim runs out.
    first, ids = freeze(system, "claimed", PATIENT, mails=1)
    second = start_freezing(system, "claimed", ATUM_CLAIM_LEASE_S="60")
    assert eventually(lambda: is_frozen(second))
    thaw(first)
    assert posts_of_next(system) == 1
    first.kill()
    thaw(second)
    system.settled()
    second.kill()
    assert system.statuses(ids) == {"sent": 1}
    assert system.copies(ids) == [1]
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
    worker.kill()
    # What it knows it did not post is due again, and goes out under a new mark.
    stories = [["accepted", "outcome_unknown", "retry_scheduled", "provider_accepted"]] * 3
    assert [system.story(one) for one in ids] == stories
    assert system.copies(ids) == [1] * 3
    assert 1 <= system.simulator.summary().sends - before <= 3
    system.check()
