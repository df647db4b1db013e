"""The broker is disposable: tickets may be lost, repeated, stale or forged, and every mail is sent once."""

from __future__ import annotations

import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pika
import pytest

from atum_ops.simulator.config import SimulatorConfig
from atum_schema import formats, topology
from tests.nodes import eventually
from tests.system import System, letters

if TYPE_CHECKING:
    from collections.abc import Iterator

QUEUE = topology.deliver_queue("transactional")


def test_deleting_the_ticket_queues_under_load_loses_and_doubles_nothing(
    database_url: str, amqp_url: str
) -> None:
    with System(
        database_url=database_url,
        amqp_url=amqp_url,
        workers=0,
        simulation=SimulatorConfig(latency_ms=40),
        settings={"ATUM_BATCH_MAILS": "10", "ATUM_WINDOW": "40"},
    ) as system:
        system.widen()
        system.mailer.enqueue(letters(2000))
        # Nobody consumes yet, so these forty tickets are in the queue when it goes.
        assert eventually(
            lambda: system.query("SELECT count(*) FROM atum.batch WHERE published_at IS NOT NULL") == [(40,)]
        )
        _delete_ticket_queues(system)
        system.start_worker()
        system.start_worker()
        for _ in range(3):
            # RabbitMQ itself can lose the name of a quorum queue that is deleted while clients declare it, until its
            # node starts again (rabbitmq-server issue 17457). Then nobody consumes, and workers pull from Postgres.
            eventually(lambda: _consumers(system) == 2, seconds=3)
            with suppress(pika.exceptions.AMQPError):
                _delete_ticket_queues(system)
        system.settled()
        system.check(sent=2000)


def _consumers(system: System) -> int:
    with system.broker() as channel:
        try:
            count: int = channel.queue_declare(QUEUE, passive=True).method.consumer_count
        except pika.exceptions.ChannelClosedByBroker:
            return 0
        return count


def _delete_ticket_queues(system: System) -> None:
    with system.broker() as channel:
        for lane in ("transactional", "broadcast"):
            channel.queue_delete(topology.deliver_queue(lane))


def test_two_relays_and_three_workers_keep_the_window_and_send_all_once(
    database_url: str, amqp_url: str
) -> None:
    window = 4
    with System(
        database_url=database_url,
        amqp_url=amqp_url,
        relays=2,
        workers=3,
        # It takes four seconds and longer: whoever looks sees the whole window in use at some moment.
        simulation=SimulatorConfig(latency_ms=100),
        settings={"ATUM_BATCH_MAILS": "20", "ATUM_WINDOW": str(window)},
    ) as system:
        seen: set[int] = set()

        def work_is_done() -> bool:
            ((flying,),) = system.query("SELECT count(*) FROM atum.batch WHERE state <> 'unknown'")
            seen.add(flying)
            return system.waiting() == 0

        system.mailer.enqueue(letters(3000))
        assert eventually(work_is_done, seconds=90)
        assert max(seen) == window
        system.check(sent=3000)


@pytest.fixture
def attended(database_url: str, amqp_url: str) -> Iterator[System]:
    """A system whose only worker is started by the test."""
    with System(
        database_url=database_url, amqp_url=amqp_url, workers=0, settings={"ATUM_THREADS": "8"}
    ) as system:
        yield system


def publish(system: System, *bodies: bytes) -> None:
    with system.broker() as channel:
        channel.confirm_delivery()
        for body in bodies:
            channel.basic_publish("", QUEUE, body, pika.BasicProperties(delivery_mode=2), mandatory=True)


def is_drained(system: System) -> bool:
    with system.broker() as channel:
        count: int = channel.queue_declare(QUEUE, passive=True).method.message_count
    return count == 0


def ticket(batch: Any) -> bytes:
    return formats.ticket(batch, "transactional").body


def test_repeated_stale_and_forged_tickets_harm_nothing(attended: System) -> None:
    ids = attended.mailer.enqueue(letters(5))
    assert eventually(lambda: bool(attended.query("SELECT FROM atum.batch WHERE published_at IS NOT NULL")))
    ((batch,),) = attended.query("SELECT id FROM atum.batch")
    publish(attended, *[ticket(batch)] * 5)
    # Six tickets of one batch now wait for eight threads.
    worker = attended.start_worker()
    attended.settled()
    assert attended.copies(ids) == [1] * 5
    forged = [
        ticket(batch),
        ticket(uuid.uuid4()),
        b"\x00\xffnot a message",
        b"{}",
        ticket("no-uuid"),
        ticket(batch).replace(b'"deliver"', b'"format_disk"'),
        ticket(batch).replace(b'"args":["', b'"args":[7,"'),
    ]
    publish(attended, *forged)
    later = attended.mailer.enqueue(letters(3, name="later"))
    attended.settled()
    assert eventually(lambda: is_drained(attended))
    assert worker.running
    assert attended.copies([*ids, *later]) == [1] * 8
    assert [attended.story(one) for one in ids] == [["accepted", "provider_accepted"]] * 5
    attended.check(sent=8)
