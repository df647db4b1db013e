"""Producers that know only the broker, and an intake for them: in this process, or as a process to kill."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, LiteralString, Self

import orjson
import pika
import pika.exceptions
import psycopg

from atum_producers.intake import Intake
from atum_schema import settings, topology
from atum_schema.encryption import new_key
from atum_schema.ids import new_mail_id
from tests.nodes import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from types import TracebackType
    from uuid import UUID

    from tests.system import Part, System

INTAKE = [sys.executable, "-m", "atum_ops", "intake"]


def document(place: int = 0, *, name: str = "r", **fields: Any) -> dict[str, Any]:
    """Make a job as any language would; a field that is None is left out."""
    whole = {
        "version": 1,
        "id": str(new_mail_id()),
        "from": "App <app@example.com>",
        "to": f"{name}{place}@example.net",
        "subject": f"Hello {place}",
        "text": "Hi",
        **fields,
    }
    return {key: value for key, value in whole.items() if value is not None}


def publish(amqp_url: str, bodies: Iterable[bytes | dict[str, Any]], **properties: Any) -> None:
    """Publish jobs with confirms, as a producer in plain pika does."""
    connection = pika.BlockingConnection(pika.URLParameters(amqp_url))
    try:
        channel = connection.channel()
        channel.queue_declare(topology.INTAKE, durable=True, arguments=topology.ARGUMENTS)
        channel.confirm_delivery()
        for body in bodies:
            channel.basic_publish(
                "",
                topology.INTAKE,
                body if isinstance(body, bytes) else orjson.dumps(body),
                pika.BasicProperties(
                    **{"delivery_mode": 2, "content_type": "application/json", **properties}
                ),
                mandatory=True,
            )
    finally:
        connection.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A job in `mail.rejected`."""

    body: bytes
    properties: Any

    @property
    def field(self) -> str:
        return str(self.properties.headers["field"])

    @property
    def reason(self) -> str:
        return str(self.properties.headers["reason"])


def depth(amqp_url: str, queue: str) -> int:
    """Count the messages that are ready in a queue; -1 while there is no such queue or no broker."""
    try:
        connection = pika.BlockingConnection(pika.URLParameters(amqp_url))
    except (pika.exceptions.AMQPError, OSError):
        return -1
    try:
        return int(connection.channel().queue_declare(queue, passive=True).method.message_count)
    except pika.exceptions.AMQPError:
        return -1
    finally:
        if connection.is_open:
            connection.close()


def take_rejected(amqp_url: str, number: int) -> list[Rejected]:
    """Wait for so many rejected jobs, and take all there are."""
    assert eventually(lambda: depth(amqp_url, topology.REJECTED) >= number), (
        depth(amqp_url, topology.REJECTED),
        depth(amqp_url, topology.INTAKE),
    )
    connection = pika.BlockingConnection(pika.URLParameters(amqp_url))
    try:
        channel = connection.channel()
        taken = []
        while (message := channel.basic_get(topology.REJECTED, auto_ack=True))[0] is not None:
            taken.append(Rejected(properties=message[1], body=message[2] or b""))
    finally:
        connection.close()
    return taken


class Inbox:
    """Context manager: a database, a virtual host, and an intake on a thread between them."""

    def __init__(
        self, database_url: str, amqp_url: str, *, stored: Callable[[], None] | None = None, **overrides: Any
    ) -> None:
        self.database_url = database_url
        self.amqp_url = amqp_url
        loaded = settings.load_from(
            {
                "ATUM_DATABASE_URL": database_url,
                "ATUM_AMQP_URL": amqp_url,
                "ATUM_CONTENT_KEYS": new_key("test"),
                # Who waits for a confirm no longer than a busy broker needs for it publishes twice.
                "ATUM_PUBLISH_TIMEOUT_S": "10",
            },
            **overrides,
        )
        self.settings = loaded
        self.intake = Intake(loaded, stored=stored)
        self._thread = threading.Thread(target=self.intake.run, name="test-intake")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.intake.stop()
        self._thread.join(60)
        assert not self._thread.is_alive()

    def sql(self, statement: LiteralString, **values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            return connection.execute(statement, values).fetchall()

    def ids(self) -> set[str]:
        """Give the ids of all mails in the log."""
        return {str(mail_id) for (mail_id,) in self.sql("SELECT id FROM atum.mail")}

    def tally(self) -> dict[tuple[str, str], int]:
        """Give the counters."""
        return {(name, reason): number for name, reason, number in self.sql("SELECT * FROM atum.tally")}

    def await_mails(self, number: int, *, seconds: float = 60) -> None:
        """Wait until so many mails are in the log, and no job is in the queue."""
        assert eventually(lambda: len(self.ids()) >= number, seconds=seconds), len(self.ids())
        assert eventually(lambda: depth(self.amqp_url, topology.INTAKE) == 0)


def start_intake(system: System) -> Part:
    """Start an intake as a process, and wait until it serves."""
    return system.await_output(system.start_part(INTAKE), "serving")


def copies_by_subject(system: System) -> Counter[str]:
    """Count what the provider accepted, by subject."""
    return Counter(record.subject for record in system.simulator.ledger())


@contextmanager
def publishing(
    amqp_url: str, jobs: Sequence[Mapping[str, Any]], *, pause_s: float = 0.0
) -> Iterator[list[UUID]]:
    """Publish jobs from a thread that tries each again until RabbitMQ confirms it; give those that it did."""
    confirmed: list[UUID] = []
    thread = threading.Thread(target=_insist, args=(amqp_url, jobs, pause_s, confirmed), name="test-producer")
    thread.start()
    try:
        yield confirmed
    finally:
        thread.join(120)
        assert not thread.is_alive()


def _insist(amqp_url: str, jobs: Sequence[Mapping[str, Any]], pause_s: float, confirmed: list[Any]) -> None:
    pause = threading.Event()
    left = list(jobs)
    while left:
        try:
            connection = pika.BlockingConnection(pika.URLParameters(amqp_url))
            channel = connection.channel()
            channel.queue_declare(topology.INTAKE, durable=True, arguments=topology.ARGUMENTS)
            channel.confirm_delivery()
            while left:
                channel.basic_publish(
                    "",
                    topology.INTAKE,
                    orjson.dumps(dict(left[0])),
                    pika.BasicProperties(delivery_mode=2),
                    mandatory=True,
                )
                confirmed.append(left.pop(0)["id"])
                pause.wait(pause_s)
            connection.close()
        except (pika.exceptions.AMQPError, OSError):
            pause.wait(0.2)
