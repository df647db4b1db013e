"""Dramatiq on quorum queues, for tickets that may be lost, repeated or reordered.

What the stock broker does differently, and why it is changed here:

- it keeps delayed messages and retries in the broker (`.DQ`, `.XQ`): due times live in Postgres, so neither exists;
- it publishes without confirms by default: confirms are on;
- after a reconnect, the ack of an old message can hit a new message with the same delivery tag: every message
  remembers its consumer, and only that one may ack it;
- when the broker cancels a consumer (its queue was deleted), the iterator simply ends: here it is a lost
  connection, so the queue is declared again and consumed again;
- a message that is no Dramatiq message, or names another queue, ends the thread that meets it, and comes again: people
  move messages with tools of the broker, so such a one is refused here.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

import orjson
import pika
from dramatiq.brokers.rabbitmq import RabbitmqBroker, _RabbitmqConsumer
from dramatiq.errors import ConnectionClosed

from atum_schema import topology
from atum_schema.standing import Standing

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from dramatiq.middleware import Middleware

log = logging.getLogger(__name__)


class TicketBroker(RabbitmqBroker):
    """A RabbitMQ broker for tickets: quorum queues only, confirms on, no delays, no dead letters of its own."""

    def __init__(self, amqp_url: str, *, middleware: list[Middleware] | None = None) -> None:
        super().__init__(url=amqp_url, confirm_delivery=True, middleware=middleware or [])
        # One `Worker` per queue is what the worker's main wants; each brings a middleware of the same type.
        self.logger.addFilter(_is_no_middleware_of_the_same_type)
        #: The consumers that are at work, by queue.
        self.attached: dict[str, TicketConsumer] = {}
        #: Called after each connection of a consumer.
        self.opened: Callable[[], None] = _nothing
        parameters = pika.URLParameters(amqp_url)
        # Without these a blocked or half-open connection would be waited for without end.
        parameters.heartbeat = 15
        parameters.blocked_connection_timeout = 10
        parameters.socket_timeout = 5
        parameters.stack_timeout = 10
        self.parameters = parameters

    @property
    def consumer_class(self) -> type[_RabbitmqConsumer]:
        return TicketConsumer

    def standing(self, queues: Collection[str]) -> Standing:
        """How a process fares that consumes these queues. It publishes nothing, so it is told of no alarm."""
        return Standing.CONNECTED if self.attached.keys() >= set(queues) else Standing.AWAY

    def declare_queue(self, queue_name: str, *, ensure: bool = False) -> None:
        """Declare a queue, and no delay queue beside it."""
        if queue_name not in self.queues:
            self.emit_before("declare_queue", queue_name)
            self.queues.add(queue_name)
            self.queues_pending.add(queue_name)
            self.emit_after("declare_queue", queue_name)
        if ensure:
            self._ensure_queue(queue_name)  # type: ignore[no-untyped-call]

    def enqueue(self, message: Any, *, delay: int | None = None) -> Any:
        """Publish with confirm. Delays are refused: due times live in Postgres."""
        if delay is not None:
            raise ValueError("delays live in Postgres, not in the broker")
        return super().enqueue(message)

    def _build_queue_arguments(self, queue_name: str) -> dict[str, Any]:
        del queue_name
        return dict(topology.ARGUMENTS)

    def _declare_dq_queue(self, queue_name: str) -> None:
        pass

    def _declare_xq_queue(self, queue_name: str) -> None:
        pass


class TicketConsumer(_RabbitmqConsumer):
    """Acks only its own messages, refuses what is none for it, and notices when the broker cancels it."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)  # type: ignore[no-untyped-call]
        self.iterator = self._readable(self.iterator)
        self.broker.attached[self.queue_name] = self
        self.broker.opened()

    def _readable(self, deliveries: Iterator[Any]) -> Iterator[Any]:
        for method, properties, body in deliveries:
            if method is None or is_for(self.queue_name, body):
                yield method, properties, body
            else:
                log.error(
                    "worker: a message is none for its queue, and is dropped",
                    extra={"queue": self.queue_name},
                )
                self.channel.basic_nack(method.delivery_tag, requeue=False)
                yield None, None, None

    def __next__(self) -> Any:
        try:
            message = super().__next__()  # type: ignore[no-untyped-call]
        except ConnectionClosed:
            self._detach()
            raise
        except StopIteration:
            self._detach()
            self.broker.queues_pending.add(self.queue_name)
            cancelled = RuntimeError("the broker cancelled the consumer")
            raise ConnectionClosed(cancelled) from None  # type: ignore[no-untyped-call]
        if message is not None:
            message.owner = self
        return message

    def close(self) -> None:
        self._detach()
        super().close()  # type: ignore[no-untyped-call]

    def _detach(self) -> None:
        if self.broker.attached.get(self.queue_name) is self:
            del self.broker.attached[self.queue_name]

    def ack(self, message: Any) -> None:
        if message.owner is self:
            super().ack(message)  # type: ignore[no-untyped-call]

    def nack(self, message: Any) -> None:
        if message.owner is self:
            super().nack(message)  # type: ignore[no-untyped-call]


def is_for(queue: str, body: bytes) -> bool:
    """Whether this is a Dramatiq message whose queue is this one: what Dramatiq itself takes for granted."""
    try:
        message: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    return (
        isinstance(message, dict)
        and message.keys() == _FIELDS.keys()
        and all(isinstance(message[name], kind) for name, kind in _FIELDS.items())
        and message["queue_name"] == queue
    )


def _nothing() -> None:
    """Do nothing with a connection."""


def _is_no_middleware_of_the_same_type(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith("You're adding a middleware of the same type twice")


_FIELDS: Final = {
    "queue_name": str,
    "actor_name": str,
    "args": list,
    "kwargs": dict,
    "options": dict,
    "message_id": str,
    "message_timestamp": int,
}
