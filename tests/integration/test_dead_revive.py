"""Messages that RabbitMQ's own tools move from `mail.dead` to `mail.revive` are replayed: each cycle once, no old copy."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import pytest

from atum_ops.simulator.faults import FaultKind, FaultPlan, FaultRule
from atum_schema import database, topology
from atum_workers.revive import Revival
from tests.command_line import DEAD, SENT, Place
from tests.dead import bodies, broker, foreign, message, put
from tests.nodes import eventually
from tests.system import System, letters

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from psycopg_pool import ConnectionPool

    from atum_ops.stack.rabbit import RabbitNode
    from tests.nodes import Databases, VirtualHosts

REFUSES = FaultPlan(rules=(FaultRule(kind=FaultKind.TOO_LARGE, recipient="huge"),))


@pytest.fixture(scope="module")
def system(databases: Databases, virtual_hosts: VirtualHosts) -> Iterator[System]:
    with (
        databases.fresh() as url,
        System(database_url=url, amqp_url=virtual_hosts.fresh()) as system,
    ):
        yield system


def died(system: System, number: int) -> list[UUID]:
    """Enqueue mails that the provider refuses for good; wait until their messages are in `mail.dead`."""
    system.simulator.set_faults(REFUSES)
    ids = system.mailer.enqueue(letters(number, name="huge"))
    system.settled()
    unpublished = "SELECT 1 FROM atum.dead_letter WHERE published_at IS NULL"
    assert eventually(lambda: not system.query(unpublished))
    assert system.statuses(ids) == {"dead": number}
    system.simulator.set_faults(FaultPlan())
    return ids


def shovel(node: RabbitNode, amqp_url: str) -> None:
    """Move what stands in `mail.dead` now to `mail.revive`, as people do: with a shovel that ends by itself."""
    vhost = unquote(urlsplit(amqp_url).path[1:])
    node.enable_plugin("rabbitmq_shovel")
    definition = {
        "src-protocol": "amqp091",
        "src-uri": f"amqp:///{vhost}",
        "src-queue": topology.DEAD,
        "src-delete-after": "queue-length",
        "dest-protocol": "amqp091",
        "dest-uri": f"amqp:///{vhost}",
        "dest-queue": topology.REVIVE,
        "dest-add-forward-headers": True,
        "dest-add-timestamp-header": True,
    }
    node.rabbitmqctl("set_parameter", "--vhost", vhost, "shovel", "to-revive", json.dumps(definition))


def audited(system: System, action: str) -> list[dict[str, Any]]:
    rows = system.query(
        "SELECT detail FROM atum.audit WHERE actor = 'system:revive' AND action = %(action)s", action=action
    )
    return [detail for (detail,) in rows]


def test_what_a_shovel_of_rabbitmq_moves_is_replayed_once_and_old_copies_revive_nothing(
    system: System, rabbit_node: RabbitNode
) -> None:
    """A8: what was replayed once is not replayed again by the same message."""
    ids = died(system, 20)
    death = [
        {"count": 1, "reason": "rejected", "queue": topology.DEAD, "exchange": "", "routing-keys": ["x"]}
    ]
    with broker(system.amqp_url) as channel:
        for mail in ids[:5]:
            put(channel, message(mail), headers={"x-death": death, "reason": "anything"})
        put(channel, message(ids[6], cycle=7))
        put(channel, message(uuid4()))
        for body in foreign():
            put(channel, body)
    shovel(rabbit_node, system.amqp_url)
    everybody_sent = lambda: system.statuses(ids) == {"sent": 20}  # noqa: E731
    assert eventually(everybody_sent, seconds=90), system.statuses(ids)
    assert eventually(lambda: not bodies(system.amqp_url, topology.REVIVE))
    assert eventually(lambda: not bodies(system.amqp_url))
    assert system.copies(ids) == [1] * 20
    assert system.query("SELECT DISTINCT cycle FROM atum.mail WHERE id = ANY(%(ids)s)", ids=ids) == [(2,)]
    assert all(system.story(mail).count("replayed") == 1 for mail in ids)
    ours = set(map(str, ids))
    revived = [one for one in audited(system, "dead.revived") if one["mail"] in ours]
    assert sorted(one["mail"] for one in revived) == sorted(ours)
    assert {one["cycle"] for one in revived} == {1}
    system.check()


def test_a_worker_outlives_messages_that_are_none_of_its_own_in_any_of_its_queues(system: System) -> None:
    queues = (topology.REVIVE, topology.MAINTAIN, topology.deliver_queue("transactional"))
    with broker(system.amqp_url) as channel:
        for queue in queues:
            for body in foreign():
                put(channel, body, queue=queue)
            # A message that names another queue.
            put(channel, message(uuid4()), queue=queue)
    for queue in queues:
        assert eventually(lambda queue=queue: not bodies(system.amqp_url, queue))  # type: ignore[misc]
    ids = died(system, 2)
    with broker(system.amqp_url) as channel:
        for mail in ids:
            put(channel, message(mail), queue=topology.REVIVE)
    assert eventually(lambda: system.statuses(ids) == {"sent": 2})
    assert system.copies(ids) == [1] * 2


@pytest.fixture
def pool(place: Place) -> Iterator[ConnectionPool[Any]]:
    with database.pool(place.url, name="tests", size=2) as one:
        yield one


def reviving(pool: ConnectionPool[Any]) -> Revival:
    return Revival(pool=pool, wait=lambda _: pytest.fail("the database is there"))


def test_a_repeated_message_and_one_of_an_older_cycle_revive_nothing(
    place: Place, pool: ConnectionPool[Any]
) -> None:
    (mail,) = place.ended(DEAD)
    revival = reviving(pool)
    revival.revive(str(mail), 2)
    assert place.mailer.get(mail).status == "dead"
    revival.revive(str(mail), 1)
    revival.revive(str(mail), 1)
    assert place.sql("SELECT count(*) FROM atum.ready") == [(1,)]
    for batch in place.issue():
        place.end(batch, **DEAD)
    revival.revive(str(mail), 1)
    assert place.sql("SELECT status, cycle FROM atum.mail") == [("dead", 2)]
    assert place.sql("SELECT count(*) FROM atum.event WHERE cause = 'replayed'") == [(1,)]
    assert place.sql("SELECT action FROM atum.audit") == [("dead.revived",)]


def test_a_mail_that_must_not_be_sent_is_not_revived_and_the_audit_log_says_why(
    place: Place, pool: ConnectionPool[Any]
) -> None:
    """A9: nobody who complained or bounced is mailed again, whoever moves messages about."""
    dead, gone = place.ended(DEAD, 2)
    (sent,) = place.ended(SENT)
    place.run("suppressions", "add", "r0@example.net", "--stream", "outbound")
    place.sql("DELETE FROM atum.content WHERE mail_id = %(id)s", id=gone)
    revival = reviving(pool)
    for mail in (dead, gone, sent):
        revival.revive(str(mail), 1)
    assert place.sql("SELECT count(*) FROM atum.ready") == [(0,)]
    rows = place.sql("SELECT detail FROM atum.audit WHERE action = 'dead.not_revived' ORDER BY id")
    assert [(one["mail"], one["verdict"]) for (one,) in rows] == [
        (str(dead), "suppressed"),
        (str(gone), "content_gone"),
    ]


def test_what_is_no_dead_letter_changes_nothing(place: Place, pool: ConnectionPool[Any]) -> None:
    (mail,) = place.ended(DEAD)
    revival = reviving(pool)
    for arguments in [
        (),
        (str(mail),),
        (str(mail), "1"),
        (str(mail), 1, 1),
        (1, str(mail)),
        ("x", 1),
        (None, 1),
    ]:
        revival.revive(*arguments)
    revival.revive(str(uuid4()), 1)
    assert place.mailer.get(mail).status == "dead"
    assert place.sql("SELECT count(*) FROM atum.audit") == [(0,)]


def test_an_order_waits_for_the_database_and_is_given_up_when_the_worker_stops(place: Place) -> None:
    (mail,) = place.ended(DEAD)
    waits: list[float] = []

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        return True

    with database.pool("postgresql://127.0.0.1:1/none", name="tests", size=1) as away:
        Revival(pool=away, wait=wait).revive(str(mail), 1)
    assert waits == [1.0]
    assert place.mailer.get(mail).status == "dead"
