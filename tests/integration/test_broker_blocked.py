"""RabbitMQ down or blocked by an alarm: applications and relays never wait for it longer than their budget."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.nodes import eventually, private_rabbit, raise_alarm
from tests.system import System, letters

if TYPE_CHECKING:
    from collections.abc import Iterator

    from atum_ops.stack.rabbit import RabbitNode
    from tests.system import Part


@pytest.fixture(scope="module")
def rabbit() -> Iterator[RabbitNode]:
    """A RabbitMQ for this module alone, to block and to kill."""
    with private_rabbit() as node:
        yield node


def test_mail_leaves_while_an_alarm_blocks_the_broker_because_workers_pull_it_from_postgres(
    database_url: str, rabbit: RabbitNode
) -> None:
    with System(database_url=database_url, amqp_url=rabbit.url, relays=0) as system:
        relay = system.start_relay()
        system.mailer.enqueue(letters(1, name="before"))
        system.settled()
        raise_alarm(rabbit)
        try:
            asked = time.monotonic()
            ids = system.mailer.enqueue(letters(50))
            assert time.monotonic() - asked < 20
            # The relay gives the broker its budget, and goes on without it.
            assert eventually(lambda: is_given_up(relay), seconds=60)
            system.settled()
            assert system.copies(ids) == [1] * 50
        finally:
            rabbit.rabbitmqctl("set_vm_memory_high_watermark", "absolute", "1GB")
        system.settled()
        system.check(sent=51)


def is_given_up(relay: Part) -> bool:
    said = relay.output()
    return "no confirm in time" in said or "ConnectionBlockedTimeout" in said


def test_mail_is_accepted_and_leaves_while_the_broker_is_down(database_url: str, rabbit: RabbitNode) -> None:
    with System(database_url=database_url, amqp_url=rabbit.url) as system:
        rabbit.kill()
        asked = time.monotonic()
        ids = system.mailer.enqueue(letters(50))
        assert time.monotonic() - asked < 20
        system.settled()
        assert system.statuses(ids) == {"sent": 50}
        rabbit.start()
        later = system.mailer.enqueue(letters(5, name="later"))
        system.settled()
        assert system.copies(later) == [1] * 5
        system.check(sent=55)
