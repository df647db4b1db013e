"""What the publisher believes of RabbitMQ's answers, in the orders in which they may come."""

from __future__ import annotations

import time
import uuid
from typing import Any

import pika
import pytest
from pika.frame import Method

from atum_producers.publisher import Publisher
from atum_schema import formats


class Channel:
    """Takes note of what is declared."""

    def __init__(self) -> None:
        self.declared: list[str] = []

    def queue_declare(self, queue: str, **_arguments: Any) -> None:
        self.declared.append(queue)


@pytest.fixture
def publisher() -> Publisher:
    """A publisher that was never connected, with three tickets that wait for their confirms."""
    made = Publisher("amqp://127.0.0.1:1", queues=[], timeout_s=1)
    made._channel = Channel()
    made._unconfirmed = {
        tag: (time.monotonic() + 60, formats.ticket(uuid.UUID(int=tag), "transactional")) for tag in (1, 2, 3)
    }
    return made


def come_back(publisher: Publisher, tag: int) -> None:
    message = publisher._unconfirmed[tag][1]
    answer = pika.spec.Basic.Return(reply_code=312, routing_key=message.queue)
    publisher._on_returned(None, answer, pika.BasicProperties(message_id=message.message_id), message.body)


def ack(publisher: Publisher, tag: int, *, multiple: bool = False) -> None:
    publisher._on_outcome(Method(1, pika.spec.Basic.Ack(delivery_tag=tag, multiple=multiple)))


def test_returns_that_come_before_any_of_their_confirms_confirm_none_of_them(publisher: Publisher) -> None:
    come_back(publisher, 1)
    come_back(publisher, 2)
    ack(publisher, 1)
    ack(publisher, 2)
    assert publisher.confirmed() == []
    # The queue is declared again once, and what found it is believed.
    assert len(publisher._channel.declared) == 1
    ack(publisher, 3)
    assert publisher.confirmed() == [uuid.UUID(int=3)]


def test_one_confirm_for_several_leaves_out_what_came_back(publisher: Publisher) -> None:
    come_back(publisher, 2)
    ack(publisher, 3, multiple=True)
    assert publisher.confirmed() == [uuid.UUID(int=1), uuid.UUID(int=3)]


def test_a_refusal_confirms_nothing(publisher: Publisher) -> None:
    publisher._on_outcome(Method(1, pika.spec.Basic.Nack(delivery_tag=2, multiple=False)))
    assert publisher.confirmed() == []
    ack(publisher, 3, multiple=True)
    assert publisher.confirmed() == [uuid.UUID(int=1), uuid.UUID(int=3)]
