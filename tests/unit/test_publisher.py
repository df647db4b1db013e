"""What the line, and the publisher on it, believe of RabbitMQ's answers, in the orders in which they may come."""

from __future__ import annotations

import time
import uuid
from typing import Any

import pika
import pytest
from pika.frame import Method

from atum_producers.line import Line, Message, Outcome
from atum_producers.publisher import Publisher
from atum_schema import formats

TIMEOUT_S = 1


class Channel:
    """Takes note of what is declared."""

    def __init__(self) -> None:
        self.declared: list[str] = []

    def queue_declare(self, queue: str, **_arguments: Any) -> None:
        self.declared.append(queue)


class Told(list[tuple[Any, Outcome]]):
    """Takes note of what is told."""

    def __call__(self, about: Any, outcome: Outcome) -> None:
        self.append((about, outcome))


@pytest.fixture
def publisher() -> Publisher:
    """A publisher that was never connected, with three tickets that wait for their confirms."""
    made = Publisher("amqp://127.0.0.1:1", queues=[], timeout_s=TIMEOUT_S)
    made._line._channel = Channel()
    tickets = [formats.ticket(uuid.UUID(int=tag), "transactional") for tag in (1, 2, 3)]
    made._line._unconfirmed = {
        tag: (
            time.monotonic() + 60,
            Message(
                queue=ticket.queue, body=ticket.body, properties=pika.BasicProperties(), about=ticket.confirms
            ),
        )
        for tag, ticket in enumerate(tickets, 1)
    }
    return made


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def line(told: Told) -> Line[str]:
    """A line that was never connected, with two messages that wait for their confirms."""
    made: Line[str] = Line("amqp://127.0.0.1:1", name="test", queues=[], timeout_s=TIMEOUT_S, told=told)
    made._channel = Channel()
    made._unconfirmed = {tag: (time.monotonic() + 60, message(str(tag))) for tag in (1, 2)}
    return made


def message(about: str) -> Message[str]:
    return Message(queue="q", body=b"", properties=pika.BasicProperties(), about=about)


def come_back(line: Line[Any], tag: int) -> None:
    answer = pika.spec.Basic.Return(reply_code=312, routing_key=line._unconfirmed[tag][1].queue)
    line._on_returned(None, answer, pika.BasicProperties(correlation_id=str(tag)), b"")


def ack(line: Line[Any], tag: int, *, multiple: bool = False) -> None:
    line._on_outcome(Method(1, pika.spec.Basic.Ack(delivery_tag=tag, multiple=multiple)))


def nack(line: Line[Any], tag: int) -> None:
    line._on_outcome(Method(1, pika.spec.Basic.Nack(delivery_tag=tag, multiple=False)))


def test_returns_that_come_before_any_of_their_confirms_confirm_none_of_them(publisher: Publisher) -> None:
    line = publisher._line
    come_back(line, 1)
    come_back(line, 2)
    ack(line, 1)
    ack(line, 2)
    assert publisher.confirmed() == []
    # The queue is declared again once, and what found it is believed.
    assert len(line._channel.declared) == 1
    ack(line, 3)
    assert publisher.confirmed() == [uuid.UUID(int=3)]


def test_one_confirm_for_several_leaves_out_what_came_back(publisher: Publisher) -> None:
    come_back(publisher._line, 2)
    ack(publisher._line, 3, multiple=True)
    assert publisher.confirmed() == [uuid.UUID(int=1), uuid.UUID(int=3)]


def test_a_refusal_confirms_nothing(publisher: Publisher) -> None:
    nack(publisher._line, 2)
    assert publisher.confirmed() == []
    ack(publisher._line, 3, multiple=True)
    assert publisher.confirmed() == [uuid.UUID(int=1), uuid.UUID(int=3)]


def test_each_message_is_told_its_outcome_once(line: Line[str], told: Told) -> None:
    come_back(line, 1)
    ack(line, 1)
    nack(line, 2)
    ack(line, 2, multiple=True)
    assert told == [("1", Outcome.RETURNED), ("2", Outcome.REFUSED)]


def test_what_was_written_is_uncertain_when_the_connection_ends_and_what_was_not_is_known(
    line: Line[str], told: Told
) -> None:
    line._waiting.append((time.monotonic() + 60, message("3")))
    come_back(line, 2)
    line._drop()
    assert sorted(told, key=lambda one: one[0]) == [
        ("1", Outcome.UNCERTAIN),
        ("2", Outcome.RETURNED),
        ("3", Outcome.UNWRITTEN),
    ]


def test_what_is_withdrawn_before_it_is_written_is_told_of_no_more(line: Line[str], told: Told) -> None:
    waiting = message("3")
    line._waiting.append((time.monotonic() + 60, waiting))
    written = line._unconfirmed[1][1]
    assert line.withdraw([waiting, written]) == [waiting]
    line._drop()
    assert "3" not in [about for about, _ in told]


def test_nothing_is_handed_over_without_a_connection(line: Line[str], told: Told) -> None:
    assert not line.hand_over([message("3")])
    line._drop()
    assert "3" not in [about for about, _ in told]


def test_a_line_that_was_never_started_can_be_stopped(line: Line[str]) -> None:
    line.stop()
    asked = time.monotonic()
    assert not line.await_connected(60)
    assert time.monotonic() - asked < 30
