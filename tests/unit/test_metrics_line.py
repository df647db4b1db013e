"""What a line believes of an alarm: it is over when RabbitMQ says so, takes something later, or is gone."""

from __future__ import annotations

import time
from typing import Any

import pika
import pytest
from pika.frame import Method

from atum_producers.line import Line, Message


@pytest.fixture
def line() -> Line[int]:
    """A line that has written two messages on a connection that is ready."""
    made: Line[int] = Line(
        "amqp://127.0.0.1:1", name="test", queues=[], timeout_s=1, told=lambda _about, _outcome: None
    )
    made._ready.set()
    for tag in (1, 2):
        write(made, tag)
    return made


def standing(line: Line[int]) -> str:
    return line.standing.value


def write(line: Line[int], tag: int) -> None:
    line._tag = tag
    message = Message(queue="q", body=b"", properties=pika.BasicProperties(), about=tag)
    line._unconfirmed[tag] = (time.monotonic() + 60, message)


def confirm(line: Line[int], tag: int) -> None:
    frame: Any = Method(1, pika.spec.Basic.Ack(delivery_tag=tag))
    line._on_outcome(frame)


def test_a_line_is_away_until_it_is_ready() -> None:
    line: Line[int] = Line(
        "amqp://127.0.0.1:1", name="test", queues=[], timeout_s=1, told=lambda _about, _outcome: None
    )
    assert standing(line) == "away"
    line._ready.set()
    assert standing(line) == "connected"


def test_a_line_is_blocked_until_rabbitmq_says_that_it_is_not(line: Line[int]) -> None:
    line._on_blocked(None, None)
    assert standing(line) == "blocked"
    line._on_unblocked(None, None)
    assert standing(line) == "connected"


def test_a_late_confirm_of_what_came_before_the_alarm_does_not_end_it(line: Line[int]) -> None:
    line._on_blocked(None, None)
    confirm(line, 2)
    assert standing(line) == "blocked"
    write(line, 3)
    confirm(line, 3)
    assert standing(line) == "connected"


def test_an_alarm_outlives_the_connection_that_was_dropped_for_it_until_a_new_one_gets_a_confirm(
    line: Line[int],
) -> None:
    line._on_blocked(None, None)
    line._leave()
    assert standing(line) == "blocked"
    line._ready.set()
    write(line, 1)
    confirm(line, 1)
    assert standing(line) == "connected"


def test_a_rabbitmq_that_takes_no_connection_is_away_and_not_blocked(line: Line[int]) -> None:
    line._on_blocked(None, None)
    line._leave()
    line._leave()
    assert standing(line) == "away"
