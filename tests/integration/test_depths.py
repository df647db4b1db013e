"""Queues that only RabbitMQ knows: relays look how long they are, and the exporter shows it from Postgres."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from atum_ops.signals import store
from atum_ops.signals.snapshot import QueueSignal
from atum_producers.depths import Depth, Depths
from atum_schema import database
from atum_schema.topology import INTAKE as JOBS
from atum_schema.topology import REJECTED
from tests.exporting import loaded
from tests.intaking import INTAKE, document, publish
from tests.nodes import eventually
from tests.system import System

if TYPE_CHECKING:
    from collections.abc import Mapping

    from atum_ops.stack.rabbit import RabbitNode
    from tests.command_line import Place

SECRET = "a-password-for-tests"


def shown(url: str) -> Mapping[str, QueueSignal]:
    with database.connect(url, name="tests") as connection:
        return store.read(connection, loaded(url)).queues


def test_jobs_that_wait_and_those_that_were_refused_are_seen_by_a_relay(
    database_url: str, amqp_url: str
) -> None:
    with System(database_url=database_url, amqp_url=amqp_url, workers=0) as system:
        assert eventually(lambda: shown(database_url) == {JOBS: QueueSignal(), REJECTED: QueueSignal()})
        publish(amqp_url, [document(1), document(2), b"no mail"])
        assert eventually(lambda: shown(database_url)[JOBS] == QueueSignal(3, 0))
        system.await_output(system.start_part(INTAKE), "serving")
        assert eventually(
            lambda: shown(database_url) == {JOBS: QueueSignal(0, 1), REJECTED: QueueSignal(1, 0)}, seconds=60
        )
        assert system.waiting() == 2


def test_whoever_may_do_nothing_can_look(rabbit_node: RabbitNode, amqp_url: str) -> None:
    publish(amqp_url, [document(1)])
    parts = urlsplit(amqp_url)
    vhost = parts.path.removeprefix("/")
    rabbit_node.rabbitmqctl("add_user", "onlooker", SECRET)
    rabbit_node.rabbitmqctl("set_permissions", "--vhost", vhost, "onlooker", "^$", "^$", "^$")
    try:
        url = f"amqp://onlooker:{SECRET}@{parts.hostname}:{parts.port}/{vhost}"
        depths = Depths(url, queues=["no.such.queue", JOBS], every_s=0.1)
        depths.start()
        assert eventually(lambda: depths.take() == [Depth("no.such.queue", 0, 0), Depth(JOBS, 1, 0)])
        depths.stop()
        assert eventually(lambda: not depths.is_alive())
    finally:
        rabbit_node.rabbitmqctl("delete_user", "onlooker")


def test_what_was_seen_long_ago_is_not_shown(place: Place) -> None:
    place.sql(
        "INSERT INTO atum.broker_queue (name, messages, consumers, looked_at)"
        " SELECT name, 5, 1, clock_timestamp() - make_interval(secs => age) FROM (VALUES ('mail.intake', 30),"
        " ('mail.rejected', 61), ('another', 1)) AS q(name, age) RETURNING name"
    )
    assert shown(place.url) == {JOBS: QueueSignal(5, 1)}


def test_mail_of_a_lane_counts_as_orphaned_while_relays_run_and_none_serves_it(place: Place) -> None:
    def orphaned() -> Mapping[str, int]:
        return store.read(place.connection, loaded(place.url)).orphaned

    place.enqueue(2, lane="broadcast")
    place.enqueue(3)
    assert orphaned() == {}
    place.sql(
        "INSERT INTO atum.part (id, kind, name, version, lanes) VALUES"
        " (gen_random_uuid(), 'relay', 'a', '1', '{transactional}'),"
        " (gen_random_uuid(), 'worker', 'b', '1', '{transactional,broadcast}') RETURNING id"
    )
    assert orphaned() == {"broadcast": 2}
    place.sql(
        "INSERT INTO atum.part (id, kind, name, version, lanes) VALUES"
        " (gen_random_uuid(), 'relay', 'c', '1', '{transactional,broadcast}') RETURNING id"
    )
    assert orphaned() == {}
    place.sql("UPDATE atum.part SET seen_at = seen_at - interval '21 seconds' WHERE name = 'c' RETURNING id")
    assert orphaned() == {"broadcast": 2}
