"""RabbitMQ as `health check` sees it: alarms, queues and their arguments, on a real one."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pika
import pytest

from atum_schema import topology
from tests.nodes import private_rabbit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.command_line import Place

NEEDED = [
    "mail.deliver.transactional",
    "mail.deliver.broadcast",
    "mail.reconcile",
    "mail.maintain",
    "mail.dead",
]


def check(place: Place, amqp_url: str, name: str) -> list[dict[str, Any]]:
    place.environment["ATUM_AMQP_URL"] = amqp_url
    answer = place.run("health", "check", "--only", name, "--format=json")
    found = answer.json["checks"]
    verdicts = {each["verdict"] for each in found}
    assert answer.status == int(bool(verdicts & {"warning", "bad"})), answer
    assert isinstance(found, list)
    return found


@contextmanager
def channel(amqp_url: str) -> Iterator[Any]:
    connection = pika.BlockingConnection(pika.URLParameters(amqp_url))
    try:
        yield connection.channel()
    finally:
        connection.close()


def names(amqp_url: str) -> list[str]:
    """Give those of our queues that exist."""
    found = []
    with channel(amqp_url) as one:
        for name in [*NEEDED, topology.INTAKE, topology.REJECTED, topology.REVIVE]:
            fresh = one.connection.channel()
            try:
                fresh.queue_declare(name, passive=True)
                found.append(name)
            except pika.exceptions.ChannelClosedByBroker:
                pass
    return found


def test_a_broker_that_takes_messages_is_good_and_keeps_nothing_of_it(place: Place, amqp_url: str) -> None:
    (found,) = check(place, amqp_url, "broker")
    assert (found["verdict"], "no alarm" in found["found"]) == ("good", True)
    assert names(amqp_url) == []


def test_a_broker_that_does_not_answer_is_bad(place: Place) -> None:
    (found,) = check(place, "amqp://atum:secret@127.0.0.1:1/", "broker")
    assert (found["verdict"], found["found"]) == ("bad", "RabbitMQ does not answer: connection refused")
    (found,) = check(place, "amqp://atum:secret@127.0.0.1:1/", "queues")
    assert found["verdict"] == "unknown"


def test_a_url_that_is_none_is_named_and_not_shown(place: Place) -> None:
    (found,) = check(place, "amqp://atum:secret@127.0.0.1:port/", "broker")
    assert found["verdict"] == "bad"
    assert found["found"] == "ATUM_AMQP_URL is not a RabbitMQ connection URL (amqp://… or amqps://…)"


def test_an_alarm_of_memory_that_blocks_publishers_is_bad(place: Place) -> None:
    with private_rabbit() as node:
        node.rabbitmqctl("set_vm_memory_high_watermark", "0.00001")
        (found,) = check(place, node.url, "broker")
        node.rabbitmqctl("set_vm_memory_high_watermark", "absolute", "1GB")
    assert found["verdict"] == "bad"
    assert "an alarm blocks publishers: low on memory" in found["found"]


def test_queues_that_are_missing_are_named_and_not_made(place: Place, amqp_url: str) -> None:
    found = check(place, amqp_url, "queues")
    assert [each["found"] for each in found] == [f"{name} does not exist" for name in NEEDED]
    assert names(amqp_url) == []


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_queues_that_are_as_they_should_be_are_good(place: Place, amqp_url: str) -> None:
    with channel(amqp_url) as one:
        for name in NEEDED:
            one.queue_declare(name, durable=True, arguments=topology.ARGUMENTS)
            if name != topology.DEAD:
                one.basic_consume(name, lambda *_: None)
        (found,) = check(place, amqp_url, "queues")
    assert (found["verdict"], found["found"]) == ("good", "5 queues are as they should be")


def test_a_queue_with_other_arguments_is_found_and_the_others_are_still_looked_at(
    place: Place, amqp_url: str
) -> None:
    with channel(amqp_url) as one:
        one.queue_declare("mail.dead", durable=True, arguments={"x-queue-type": "classic"})
        one.queue_declare(
            "mail.intake", durable=True, arguments={"x-queue-type": "quorum", "x-message-ttl": 1000}
        )
        one.queue_declare("mail.reconcile", durable=True, arguments=topology.ARGUMENTS)
        found = {each["found"]: each["verdict"] for each in check(place, amqp_url, "queues")}
    wrong = [text for text, verdict in found.items() if verdict == "bad"]
    assert [text.partition(" ")[0] for text in wrong] == ["mail.dead", "mail.intake"]
    assert all("has other arguments than ours" in text for text in wrong)
    assert found["mail.reconcile is consumed by nobody"] == "warning"


def test_somebody_who_consumes_the_dead_letters_is_told(place: Place, amqp_url: str) -> None:
    with channel(amqp_url) as one:
        one.queue_declare("mail.dead", durable=True, arguments=topology.ARGUMENTS)
        one.basic_consume("mail.dead", lambda *_: None)
        found = [each["found"] for each in check(place, amqp_url, "queues")]
    assert "mail.dead is consumed by somebody: what it holds is kept for people" in found
