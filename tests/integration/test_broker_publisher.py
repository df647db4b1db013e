"""The publisher alone: confirms, queues that vanish, a broker that blocks."""

from __future__ import annotations

import gc
import time
from typing import TYPE_CHECKING, Any

import pika
import pytest

from atum_producers.publisher import Publisher
from atum_schema import formats, topology
from atum_schema.ids import new_token
from tests.nodes import eventually, private_rabbit, raise_alarm

if TYPE_CHECKING:
    from collections.abc import Iterator

    from atum_ops.stack.rabbit import RabbitNode

QUEUE = topology.deliver_queue("transactional")


@pytest.fixture(scope="module")
def rabbit() -> Iterator[RabbitNode]:
    """A RabbitMQ for this module alone, to block."""
    with private_rabbit() as node:
        yield node


@pytest.fixture
def channel(amqp_url: str) -> Iterator[Any]:
    """A channel of our own."""
    connection = pika.BlockingConnection(pika.URLParameters(amqp_url))
    yield connection.channel()
    connection.close()


def depth(channel: Any) -> int:
    count: int = channel.queue_declare(QUEUE, passive=True).method.message_count
    return count


@pytest.fixture
def alarm(rabbit: RabbitNode) -> Iterator[None]:
    """A memory alarm, cleared at the end."""
    raise_alarm(rabbit)
    yield
    clear(rabbit)


def clear(rabbit: RabbitNode) -> None:
    rabbit.rabbitmqctl("set_vm_memory_high_watermark", "absolute", "1GB")


def test_a_memory_alarm_blocks_publishing_within_the_budget_and_passes(
    rabbit: RabbitNode, alarm: None
) -> None:
    publisher = Publisher(rabbit.url, queues=[topology.deliver_queue("transactional")], timeout_s=8)
    publisher.start()
    try:
        assert eventually(lambda: publisher.connected)
        ticket = formats.ticket(new_token(), "transactional")
        first = publisher.connections
        asked = time.monotonic()
        publisher.publish([ticket])
        # It does not wait for the confirm, which would take the whole budget.
        assert time.monotonic() - asked < 7
        assert eventually(lambda: publisher.connections > first or not publisher.connected)
        assert publisher.confirmed() == []
        clear(rabbit)

        def confirmed() -> bool:
            publisher.publish([ticket])
            return ticket.confirms in publisher.confirmed()

        assert eventually(confirmed, seconds=60)
    finally:
        asked = time.monotonic()
        publisher.stop()
        assert time.monotonic() - asked < 8


def test_the_publisher_reports_what_is_confirmed_and_never_what_found_no_queue(
    amqp_url: str, channel: Any
) -> None:
    publisher = Publisher(amqp_url, queues=[QUEUE], timeout_s=15)
    publisher.start()
    try:
        assert eventually(lambda: publisher.connected)
        good, lost, again = new_token(), new_token(), new_token()
        publisher.publish([formats.ticket(good, "transactional")])
        assert eventually(lambda: publisher.confirmed() == [good])
        channel.queue_delete(QUEUE)
        publisher.publish([formats.ticket(lost, "transactional")])
        # Declared again for the next one; the lost one stays unconfirmed.
        confirmed = []

        def arrived() -> bool:
            publisher.publish([formats.ticket(again, "transactional")])
            confirmed.extend(publisher.confirmed())
            return again in confirmed

        assert eventually(arrived)
        assert lost not in confirmed
        assert depth(channel) >= 1
    finally:
        publisher.stop()


def test_a_broker_that_stands_still_is_dropped_within_the_budget_and_leaves_no_socket(
    rabbit: RabbitNode,
) -> None:
    publisher = Publisher(rabbit.url, queues=[QUEUE], timeout_s=1)
    publisher.start()
    try:
        assert eventually(lambda: publisher.connected)
        first = publisher.connections
        rabbit.freeze()
        ticket = formats.ticket(new_token(), "transactional")
        publisher.publish([ticket])
        assert eventually(lambda: not publisher.connected, seconds=20)
        gc.collect()
        assert publisher.confirmed() == []
        rabbit.resume()
        assert eventually(lambda: publisher.connected and publisher.connections > first, seconds=60)
    finally:
        rabbit.resume()
        publisher.stop()
