"""Dead mails stand in `mail.dead`: one message each, with the reason, readable by Dramatiq."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from dramatiq import Message

from atum_ops.simulator.config import SimulatorConfig
from atum_ops.simulator.faults import FaultKind, FaultPlan, FaultRule
from atum_schema import topology
from tests.nodes import eventually
from tests.system import System, letters

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.nodes import Databases, VirtualHosts


@pytest.fixture(scope="module")
def system(databases: Databases, virtual_hosts: VirtualHosts) -> Iterator[System]:
    with (
        databases.fresh() as database_url,
        System(
            database_url=database_url,
            amqp_url=virtual_hosts.fresh(),
            simulation=SimulatorConfig(signatures=frozenset({"example.com"})),
            # Every mail is refused for its sender: else the lane would pause.
            settings={
                "ATUM_ATTEMPTS": "2",
                "ATUM_RETRY_MAX_S": "0.1",
                "ATUM_OUTAGE_REQUESTS": "10000",
                # Whose confirm comes too late is published twice.
                "ATUM_PUBLISH_TIMEOUT_S": "30",
            },
        ) as system,
    ):
        yield system


def all_published(system: System) -> bool:
    return not system.query("SELECT FROM atum.dead_letter WHERE published_at IS NULL")


def dead_letters(system: System) -> list[tuple[Any, Any, bytes]]:
    """Take what stands in `mail.dead`: delivery, properties, body."""
    taken = []
    with system.broker() as channel:
        while (letter := channel.basic_get(topology.DEAD, auto_ack=True))[0] is not None:
            taken.append(letter)
    return taken


def ours(properties: Any) -> dict[str, Any]:
    """Give the headers without those that RabbitMQ adds on delivery."""
    return {name: value for name, value in properties.headers.items() if not name.startswith("x-")}


def test_every_dead_mail_has_one_message_with_its_reason(system: System) -> None:
    rule = FaultRule(kind=FaultKind.TOO_LARGE, recipient="huge")
    system.simulator.set_faults(FaultPlan(rules=(rule,)))
    strangers = system.mailer.enqueue(letters(30, name="s", sender="someone@elsewhere.example"))
    huge = system.mailer.enqueue(letters(1, name="huge")[0])
    fine = system.mailer.enqueue(letters(3, name="fine"))
    system.settled()
    assert eventually(lambda: all_published(system))
    letters_found = dead_letters(system)
    by_mail = {tuple(Message.decode(body).args): properties for _, properties, body in letters_found}
    assert sorted(by_mail) == sorted([(str(one), 1) for one in [*strangers, huge]])
    assert len(letters_found) == 31
    assert system.copies(fine) == [1] * 3
    assert ours(by_mail[str(huge), 1]) == {"reason": "too_large", "attempts": 1, "cycle": 1}
    headers = ours(by_mail[str(strangers[0]), 1])
    assert headers["reason"] == system.mailer.get(strangers[0]).reason
    assert headers["attempts"] == 2
    assert headers["code"] in {400, 401}
    assert all(properties.delivery_mode == 2 for properties in by_mail.values())
    for _, _, body in letters_found:
        message = Message.decode(body)
        assert (message.actor_name, message.queue_name) == ("revive", topology.REVIVE)
        assert b"@" not in body
    system.check()


def test_messages_that_stay_are_not_published_again_while_mail_flows(system: System) -> None:
    dead_letters(system)
    one = system.mailer.enqueue(letters(1, name="again", sender="someone@elsewhere.example")[0])
    assert system.mailer.wait(one, timeout=60).status == "dead"
    assert eventually(lambda: all_published(system))
    # A relay looks for unpublished messages every second: give it a few looks' worth of work.
    system.mailer.enqueue(letters(1, name="pace", sender="someone@elsewhere.example"))
    system.settled()
    assert eventually(lambda: all_published(system))
    assert len(dead_letters(system)) == 2
