"""Cancelling, scheduling and expiry, up to what the provider really got."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from atum_ops.simulator.config import SimulatorConfig
from tests.nodes import eventually
from tests.system import System, letters

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from tests.nodes import Databases, VirtualHosts


@pytest.fixture(scope="module")
def system(databases: Databases, virtual_hosts: VirtualHosts) -> Iterator[System]:
    """A system in good health."""
    with (
        databases.fresh() as database_url,
        System(
            database_url=database_url,
            amqp_url=virtual_hosts.fresh(),
            workers=2,
            settings={"ATUM_BATCH_MAILS": "5"},
        ) as system,
    ):
        yield system


def test_a_mail_cancelled_before_its_posting_mark_is_never_posted(database_url: str, amqp_url: str) -> None:
    with System(
        database_url=database_url,
        amqp_url=amqp_url,
        relays=0,
        workers=0,
        # Long enough to be caught in the middle on a busy machine.
        simulation=SimulatorConfig(latency_ms=5000),
        settings={"ATUM_REQUEST_TIMEOUT_S": "60"},
    ) as system:
        ready, alone, companion, kept = system.mailer.enqueue(letters(4))
        assert system.mailer.cancel(ready).status == "canceled"
        system.start_relay()
        for one in (alone, companion, kept):
            system.await_status(one, "sending")
        assert system.mailer.cancel(companion).status == "canceled"
        assert system.mailer.cancel(companion).status == "canceled"
        other_batch = system.mailer.enqueue(letters(1, name="single"))[0]
        system.await_status(other_batch, "sending")
        assert system.mailer.cancel(other_batch).status == "canceled"
        system.start_worker()
        system.await_posting()
        assert system.mailer.cancel(kept).status == "sending"
        assert system.mailer.wait(kept, timeout=60).status == "sent"
        assert system.mailer.wait(alone, timeout=60).status == "sent"
        assert system.mailer.cancel(kept).status == "sent"
        system.settled()
        assert system.copies([ready, alone, companion, kept, other_batch]) == [0, 1, 0, 1, 0]
        assert system.story(companion) == ["accepted", "canceled"]
        content = system.query("SELECT count(*) FROM atum.content")
        assert content == [(0,)]
        system.check()


def test_what_cancel_calls_canceled_is_not_posted_however_close_the_race(system: System) -> None:
    answers: dict[str, str] = {}

    def cancel(some: list[UUID]) -> None:
        for one in some:
            answers[str(one)] = system.mailer.cancel(one).status.value

    ids: list[UUID] = []
    deadline = time.monotonic() + 60
    # Who wins depends on the machine: again until both have.
    while len({status == "canceled" for status in answers.values()}) < 2 and time.monotonic() < deadline:
        wave = system.mailer.enqueue(letters(300, name="race"))
        threads = [threading.Thread(target=cancel, args=(wave[part::3],)) for part in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        ids += wave
    system.settled()
    copies = dict(zip(map(str, ids), system.copies(ids), strict=True))
    assert len(answers) == len(ids)
    assert "canceled" in answers.values()
    assert {one: copies[one] for one in copies} == {
        one: int(status != "canceled") for one, status in answers.items()
    }
    system.check()


def test_a_scheduled_mail_waits_for_its_moment_and_can_be_stopped_until_then(system: System) -> None:
    moment = datetime.now(UTC) + timedelta(seconds=5)
    waiting, stopped = system.mailer.enqueue(letters(2, name="scheduled", send_at=moment))
    assert system.mailer.get(waiting).status == "scheduled"
    assert system.mailer.cancel(stopped).status == "canceled"
    assert system.mailer.wait(waiting, timeout=60).status == "sent"
    accepted = {record.mail_id: record.accepted_at for record in system.simulator.ledger()}
    assert str(stopped) not in accepted
    assert moment.timestamp() <= accepted[str(waiting)] < moment.timestamp() + 30
    assert system.story(waiting) == ["accepted_for_later", "provider_accepted"]


def test_a_mail_whose_time_is_over_before_its_claim_is_never_posted(database_url: str, amqp_url: str) -> None:
    with System(database_url=database_url, amqp_url=amqp_url, workers=0) as system:
        over = datetime.now(UTC) + timedelta(seconds=0.3)
        expiring = system.mailer.enqueue([*letters(2, name="e", expires_at=over), *letters(1, name="k")])
        assert eventually(lambda: bool(system.query("SELECT FROM atum.batch")))
        only_expired = system.mailer.enqueue(letters(2, name="only", expires_at=over))
        assert eventually(lambda: datetime.now(UTC) > over)
        system.start_worker()
        system.settled()
        assert [system.mailer.get(one).status for one in expiring] == ["expired", "expired", "sent"]
        assert [system.mailer.get(one).status for one in only_expired] == ["expired", "expired"]
        assert system.copies([*expiring, *only_expired]) == [0, 0, 1, 0, 0]
        assert system.story(expiring[0]) == ["accepted", "expired"]
        assert system.query("SELECT count(*) FROM atum.content") == [(0,)]
        system.check()


def test_waiting_gives_the_state_as_soon_as_the_mail_is_sent(system: System) -> None:
    started = time.monotonic()
    mail_id = system.mailer.enqueue(letters(1, name="wait")[0])
    state = system.mailer.wait(mail_id, timeout=120)
    assert time.monotonic() - started < 60
    assert state.status == "sent"
    record = next(record for record in system.simulator.ledger() if record.mail_id == str(mail_id))
    assert state.provider_message_id == record.message_id
    assert state.finished_at is not None
    assert state.reason is None
    assert system.mailer.get(mail_id) == state
