"""A worker killed at any step: what was not posted is sent once, what may have been posted is never sent again."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from atum_schema import formats, topology
from tests.nodes import Databases, VirtualHosts, eventually
from tests.sharing import Shared, shared_system
from tests.system import System, letters

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from uuid import UUID


@pytest.fixture(scope="module")
def shared(databases: Databases, virtual_hosts: VirtualHosts) -> Iterator[Shared[System]]:
    """A system without workers: each test starts a crashing one, then a good one."""
    # What is unknown stays so: the next search is far away, whenever a worker comes.
    settings = {"ATUM_SETTLE_S": "600,1200,1800"}
    with shared_system(databases, virtual_hosts, workers=0, settings=settings) as one:
        yield one


def crash(system: System, step: str) -> tuple[list[UUID], UUID]:
    """Enqueue three mails and let the only worker kill itself at a step; give the mails and their batch."""
    ids = system.mailer.enqueue(letters(3))
    assert eventually(lambda: bool(system.query("SELECT FROM atum.batch WHERE state = 'issued'")))
    ((batch,),) = system.query("SELECT id FROM atum.batch WHERE state = 'issued'")
    worker = system.start_crashing_worker(step)
    assert worker.ended(seconds=60) == -signal.SIGKILL
    return ids, batch


def finish(system: System, batch: UUID) -> None:
    """Let a good worker do what is left, tempted by tickets of the batch that met the crash."""
    worker = system.start_worker()
    try:
        system.settled()
        with system.broker() as channel:
            message = formats.ticket(batch, "transactional")
            for _ in range(3):
                channel.basic_publish("", topology.deliver_queue("transactional"), message.body)
        after = system.mailer.enqueue(letters(1, name="after"))
        system.settled()
        assert system.copies(after) == [1]
    finally:
        assert worker.stop() == 0
    system.check()


def outcomes(system: System, ids: Sequence[UUID]) -> list[tuple[str, list[str], int]]:
    copies = system.copies(ids)
    return [
        (system.mailer.get(one).status.value, system.story(one), sent)
        for one, sent in zip(ids, copies, strict=True)
    ]


def test_killed_before_the_claim_the_batch_is_sent_once(system: System) -> None:
    ids, batch = crash(system, "ticket")
    finish(system, batch)
    assert outcomes(system, ids) == [("sent", ["accepted", "provider_accepted"], 1)] * 3


def test_killed_between_claim_and_mark_the_batch_is_issued_again_and_sent_once(system: System) -> None:
    ids, batch = crash(system, "claimed")
    finish(system, batch)
    assert outcomes(system, ids) == [("sent", ["accepted", "reissued", "provider_accepted"], 1)] * 3


@pytest.mark.parametrize(("step", "copies"), [("marked", 0), ("answered", 1)])
def test_killed_after_the_mark_the_batch_is_unknown_and_never_sent_again(
    system: System, step: str, copies: int
) -> None:
    ids, batch = crash(system, step)
    for one in ids:
        system.await_status(one, "unknown")
    finish(system, batch)
    assert outcomes(system, ids) == [("unknown", ["accepted", "outcome_unknown"], copies)] * 3
    attempts = system.query(
        "SELECT outcome, charged FROM atum.attempt WHERE mail_id = ANY(%(ids)s) AND batch_id = %(batch)s",
        ids=ids,
        batch=batch,
    )
    assert attempts == [("unknown", False)] * 3
    assert system.mailer.get(ids[0]).reason == "no_answer_recorded"
    kept = system.query("SELECT count(*) FROM atum.content WHERE mail_id = ANY(%(ids)s)", ids=ids)
    assert kept == [(3,)]


def test_killed_after_recording_nothing_is_lost_or_sent_again(system: System) -> None:
    ids, batch = crash(system, "recorded")
    assert system.statuses(ids) == {"sent": 3}
    finish(system, batch)
    assert outcomes(system, ids) == [("sent", ["accepted", "provider_accepted"], 1)] * 3
