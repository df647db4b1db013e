"""A private RabbitMQ node: its life, its data, its distance from others."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pika
import pika.exceptions
import pytest

from atum_ops.stack import RabbitNode
from atum_ops.stack.find import Places
from atum_schema.errors import StackError
from tests.nodes import all_gone, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pika.adapters.blocking_connection import BlockingChannel

    from tests.nodes import VirtualHosts

QUEUE = "mail.kept"


@contextmanager
def channel(url: str) -> Iterator[BlockingChannel]:
    connection = pika.BlockingConnection(pika.URLParameters(url))
    try:
        yield connection.channel()
    finally:
        if connection.is_open:
            connection.close()


def publish(url: str, body: bytes) -> None:
    with channel(url) as broker:
        broker.confirm_delivery()
        broker.queue_declare(QUEUE, durable=True, arguments={"x-queue-type": "quorum"})
        broker.basic_publish("", QUEUE, body, mandatory=True)


def waiting(url: str) -> int:
    with channel(url) as broker:
        return int(broker.queue_declare(QUEUE, passive=True).method.message_count)


def received(url: str) -> list[bytes]:
    """Take two messages without acknowledging them: they go back to the queue."""
    with channel(url) as broker:
        return [broker.basic_get(QUEUE)[2] for _ in range(2)]


def test_confirmed_messages_survive_restart_and_kill_but_not_a_wipe(own_rabbit: RabbitNode) -> None:
    # One story, because each start costs six seconds of processor time.
    url = own_rabbit.url
    publish(url, b"one")
    own_rabbit.restart()
    publish(url, b"two")
    processes = own_rabbit.processes()
    assert own_rabbit.pid in processes
    own_rabbit.kill()
    assert all_gone(processes)
    own_rabbit.start()
    # A queue counts only what its new leader has applied again, which takes a moment.
    assert eventually(lambda: waiting(url) == 2)
    assert received(url) == [b"one", b"two"]

    own_rabbit.wipe()
    assert own_rabbit.url == url
    with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="NOT_FOUND"):
        waiting(url)

    own_rabbit.freeze()
    assert own_rabbit.running
    assert not own_rabbit.is_ready()
    own_rabbit.resume()
    assert eventually(own_rabbit.is_ready)

    processes = own_rabbit.processes()
    own_rabbit.stop()
    assert all_gone(processes)
    assert "SIGTERM received - shutting down" in own_rabbit.log.read_text()


def test_rabbitmqctl_speaks_to_this_node_and_shows_what_went_wrong(rabbit_node: RabbitNode) -> None:
    assert rabbit_node.rabbitmqctl("eval", "node().").strip().strip("'") == rabbit_node.name
    with pytest.raises(StackError, match=r"(?s)delete_user failed: .*nobody"):
        rabbit_node.rabbitmqctl("delete_user", "nobody")


def test_its_port_mapper_and_files_are_its_own(rabbit_node: RabbitNode) -> None:
    commands = _command_names(rabbit_node.processes())
    assert {"beam.smp", "epmd"} <= commands
    assert (rabbit_node.directory / "home" / ".erlang.cookie").stat().st_mode & 0o077 == 0
    assert (rabbit_node.directory / "rabbitmq.conf").stat().st_mode & 0o077 == 0


def _command_names(processes: list[int]) -> set[str]:
    return {Path(f"/proc/{pid}/comm").read_text().strip() for pid in processes}


def test_nobody_enters_with_the_default_password(rabbit_node: RabbitNode) -> None:
    parameters = pika.URLParameters(rabbit_node.url)
    parameters.credentials = pika.PlainCredentials("guest", "guest")
    with pytest.raises(pika.exceptions.AMQPConnectionError):
        pika.BlockingConnection(parameters)


def test_without_rabbitmq_the_error_says_what_to_install(tmp_path: Path) -> None:
    nowhere = Places(path="", postgres_root=tmp_path, rabbit_root=tmp_path)
    with pytest.raises(StackError, match="apt-get install --no-install-recommends rabbitmq-server\n"):
        RabbitNode(tmp_path / "node", places=nowhere)


def test_an_error_shows_the_end_of_the_log_without_its_colours(tmp_path: Path) -> None:
    node = RabbitNode(tmp_path)
    node.log.write_bytes(b"\x1b[38;5;87m[error] \x1b[0meaddrinuse\x1b[0m\n")
    assert node._failure("ended").endswith("\n[error] eaddrinuse")


def test_two_tests_never_share_a_virtual_host(virtual_hosts: VirtualHosts, amqp_url: str) -> None:
    urls = {amqp_url, *(virtual_hosts.fresh() for _ in range(2))}
    assert len(urls) == 3
    for url in urls:
        with channel(url) as broker, pytest.raises(pika.exceptions.ChannelClosedByBroker, match="NOT_FOUND"):
            broker.queue_declare(QUEUE, passive=True)
        publish(url, b"left behind")
