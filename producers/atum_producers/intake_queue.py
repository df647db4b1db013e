"""Taking jobs from `mail.intake`, and giving acknowledgements back: the intake's side of RabbitMQ."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import pika
import pika.exceptions

from atum_producers.lenient import LenientConnection
from atum_schema import topology

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence
    from types import TracebackType

_HEARTBEAT_S: Final = 30
_ANSWER_S: Final = 10.0
_ACCESS_REFUSED: Final = 403


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Delivery:
    """A message as it came. Unacknowledged, it returns to the queue when the connection ends."""

    #: Delivery tag; rises.
    tag: int
    body: bytes
    properties: pika.BasicProperties

    @property
    def returned(self) -> int:
        """How often it has returned to the queue before, as RabbitMQ counts; 0 if it does not say."""
        count = (self.properties.headers or {}).get("x-delivery-count", 0)
        return count if isinstance(count, int) else 0


class Queue:
    """Context manager: a consumer of `mail.intake` on a connection of its own, for one thread.

    Reads no more from the connection than was asked for, but for some kilobytes: large jobs wait in RabbitMQ. Its methods raise
    `pika.exceptions.AMQPError` or `OSError` when the connection has ended; make a new one then.
    """

    def __init__(self, amqp_url: str, *, prefetch: int) -> None:
        self._parameters = pika.URLParameters(amqp_url)
        self._parameters.heartbeat = _HEARTBEAT_S
        self._parameters.socket_timeout = _ANSWER_S
        self._parameters.stack_timeout = _ANSWER_S
        self._parameters.blocked_connection_timeout = _ANSWER_S
        self._prefetch = prefetch
        self._arrived: deque[Delivery] = deque()
        self._size = 0
        self._unacked: dict[int, None] = {}
        self._cancelled = False

    def __enter__(self) -> Self:
        self._connection = pika.BlockingConnection(self._parameters, _impl_class=LenientConnection)
        try:
            self._channel = self._declared()
            self._channel.add_on_cancel_callback(self._on_cancelled)
            self._channel.basic_qos(prefetch_count=self._prefetch)
            self._channel.basic_consume(topology.INTAKE, self._on_delivery)
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def take(self, *, wait_s: float, number: int, size: int) -> list[Delivery]:
        """Give what is there, up to so many jobs and (before the last one) bytes; wait for the first one at most so long."""
        if not self._arrived:
            self._connection.process_data_events(time_limit=wait_s)
        while len(self._arrived) < number and self._size < size:
            before = len(self._arrived)
            self._connection.process_data_events(time_limit=0)
            if len(self._arrived) == before:
                break
        if self._cancelled:
            raise pika.exceptions.ConsumerCancelled
        return list(self._leaving(number, size))

    def ack(self, tags: Collection[int]) -> None:
        """Acknowledge what is settled, with few frames."""
        for tag, multiple in acknowledgements(self._unacked, tags):
            self._channel.basic_ack(tag, multiple=multiple)
        for tag in tags:
            del self._unacked[tag]

    def _leaving(self, number: int, size: int) -> Iterator[Delivery]:
        taken = 0
        while self._arrived and number and taken < size:
            delivery = self._arrived.popleft()
            self._size -= len(delivery.body)
            taken += len(delivery.body)
            number -= 1
            yield delivery

    def _declared(self) -> Any:
        channel = self._connection.channel()
        try:
            channel.queue_declare(topology.INTAKE, durable=True, arguments=topology.ARGUMENTS)
        except pika.exceptions.ChannelClosedByBroker as refusal:
            if refusal.reply_code != _ACCESS_REFUSED:
                raise
            # Who may not declare it may still find it there.
            channel = self._connection.channel()
        return channel

    def _on_delivery(self, _channel: Any, method: Any, properties: pika.BasicProperties, body: bytes) -> None:
        self._arrived.append(Delivery(tag=method.delivery_tag, body=body, properties=properties))
        self._size += len(body)
        self._unacked[method.delivery_tag] = None

    def _on_cancelled(self, _frame: object) -> None:
        self._cancelled = True

    def _close(self) -> None:
        try:
            if self._connection.is_open:
                self._connection.close()
        except (pika.exceptions.AMQPError, OSError):
            # It had ended already, which returns the jobs all the same.
            return


def acknowledgements(unacked: Iterable[int], settled: Iterable[int]) -> Sequence[tuple[int, bool]]:
    """Say how to acknowledge `settled`: (delivery tag, whether all lower ones are meant too), in order.

    `unacked` are all that are not acknowledged yet, rising.
    """
    done = set(settled)
    answers: list[tuple[int, bool]] = []
    unbroken = True
    together = None
    for tag in unacked:
        if tag not in done:
            unbroken = False
        elif unbroken:
            together = tag
        else:
            answers.append((tag, False))
    return answers if together is None else [(together, True), *answers]
