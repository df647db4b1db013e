"""What stands in RabbitMQ, and how the worker's broker behaves where the stock one loses messages."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import dramatiq
import pika
import pytest
from dramatiq.errors import ConnectionClosed

from atum_schema import topology
from atum_workers.broker import TicketBroker
from tests.nodes import eventually
from tests.system import System, letters

if TYPE_CHECKING:
    from collections.abc import Iterator

    from atum_ops.stack.rabbit import RabbitNode

QUEUE = topology.deliver_queue("transactional")


def test_all_queues_are_quorum_queues_with_no_other_argument_and_there_are_no_others(
    database_url: str, amqp_url: str, rabbit_node: RabbitNode
) -> None:
    with System(database_url=database_url, amqp_url=amqp_url) as system:
        system.mailer.enqueue(letters(3))
        system.settled()
        deliver = {"mail.deliver.transactional", "mail.deliver.broadcast"}
        ours = {*deliver, "mail.reconcile", "mail.maintain", "mail.dead", "mail.revive"}
        # Each consumer declares its own, on a thread of its own.
        assert eventually(lambda: listed(rabbit_node, amqp_url).keys() == ours)
        queues = listed(rabbit_node, amqp_url)
    assert queues.keys() == ours
    for queue in queues.values():
        assert queue == {
            "type": "quorum",
            "durable": True,
            "auto_delete": False,
            "arguments": [["x-queue-type", "longstr", "quorum"]],
            "policy": "",
        }


def listed(node: RabbitNode, amqp_url: str) -> dict[str, dict[str, Any]]:
    """Give what RabbitMQ says of each queue, by its name."""
    listing = node.rabbitmqctl(
        "list_queues",
        "--vhost",
        unquote(urlsplit(amqp_url).path[1:]),
        "--formatter",
        "json",
        *["name", "type", "durable", "auto_delete", "arguments", "policy"],
    )
    return {queue.pop("name"): queue for queue in json.loads(listing)}


@pytest.fixture
def channel(amqp_url: str) -> Iterator[Any]:
    """A channel of our own."""
    connection = pika.BlockingConnection(pika.URLParameters(amqp_url))
    yield connection.channel()
    connection.close()


@pytest.fixture
def broker(amqp_url: str) -> Iterator[TicketBroker]:
    broker = TicketBroker(amqp_url)
    broker.declare_queue(QUEUE)
    yield broker
    broker.close()


def message(text: str) -> Any:
    return dramatiq.Message(queue_name=QUEUE, actor_name="deliver", args=(text,), kwargs={}, options={})


def depth(channel: Any) -> int:
    count: int = channel.queue_declare(QUEUE, passive=True).method.message_count
    return count


def consume_one(broker: TicketBroker) -> tuple[Any, Any]:
    """Open a consumer and wait for its first message."""
    consumer = broker.consume(QUEUE, prefetch=1, timeout=200)
    for _ in range(150):
        if (received := next(consumer)) is not None:
            return consumer, received
    raise AssertionError("no message came")


def read_on(consumer: Any) -> None:
    for _ in range(150):
        next(consumer)


def test_the_ack_of_an_old_consumer_cannot_take_a_message_from_a_new_one(
    broker: TicketBroker, channel: Any
) -> None:
    broker.enqueue(message("first"))
    broker.enqueue(message("second"))
    old_consumer, old = consume_one(broker)
    old_consumer.close()
    new_consumer, new = consume_one(broker)
    # The collision: both are number one on their channels.
    assert old._tag == new._tag
    new_consumer.ack(old)
    new_consumer.nack(old)
    next(new_consumer)
    new_consumer.close()
    assert eventually(lambda: depth(channel) == 2)
    right_consumer, right = consume_one(broker)
    right_consumer.ack(right)
    right_consumer.close()
    assert eventually(lambda: depth(channel) == 1)


def test_a_consumer_that_the_broker_cancels_says_so_and_its_successor_finds_the_queue_declared(
    broker: TicketBroker, channel: Any
) -> None:
    broker.enqueue(message("before"))
    consumer, _ = consume_one(broker)
    channel.queue_delete(QUEUE)
    with pytest.raises(ConnectionClosed):
        read_on(consumer)
    consumer.close()
    successor = broker.consume(QUEUE, prefetch=1, timeout=200)
    assert depth(channel) == 0
    successor.close()
    broker.enqueue(message("after"))
    consumer, received = consume_one(broker)
    assert received.args == ("after",)
    consumer.close()


def test_publishing_to_a_queue_that_has_vanished_is_noticed_because_confirms_are_on(
    broker: TicketBroker, channel: Any
) -> None:
    broker.enqueue(message("before"))
    channel.queue_delete(QUEUE)
    broker.enqueue(message("after"))
    assert depth(channel) == 1


def test_the_workers_broker_knows_no_delays(broker: TicketBroker) -> None:
    with pytest.raises(ValueError, match="Postgres"):
        broker.enqueue(message("later"), delay=1000)
    assert broker.get_declared_delay_queues() == set()
