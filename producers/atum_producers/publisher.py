"""Publishing with confirms, from a thread of its own and within a time budget.

The relay never waits for RabbitMQ: `publish` hands messages over and returns. What is confirmed is reported by
`confirmed()`; what is not (broker down, blocked, queue gone, budget spent) is forgotten here, because Postgres
still has it as unpublished and the sweeper brings it back.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pika
import pika.exceptions
from pika.adapters.select_connection import SelectConnection

from atum_schema import topology
from atum_schema.steps import Reached, Step, go_on

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from atum_schema.formats import Outgoing

log = logging.getLogger(__name__)

_RECONNECT_S = (0.1, 0.5, 1.0, 2.0, 5.0)
_TICK_S = 0.5
# What a message confirms is a batch's id for a ticket, a pair for a dead letter.
_HANDED_OVER = {UUID: Step.TICKET_HANDED_OVER, tuple: Step.LETTER_HANDED_OVER}
_ARRIVED = {UUID: Step.TICKET_ARRIVED, tuple: Step.LETTER_ARRIVED}
_CONFIRMED = {UUID: Step.TICKET_CONFIRMED, tuple: Step.LETTER_CONFIRMED}


class Publisher:
    """One connection and one thread. `queues` are declared on every (re)connect and when one has vanished.

    `timeout_s` is the budget from `publish` to the confirm; when a confirm is late the connection is dropped,
    since a blocked or half-open one says nothing. `connections` counts the connections made: after each, nobody
    knows which tickets the broker still has.
    """

    def __init__(
        self, amqp_url: str, *, queues: Iterable[str], timeout_s: float, reached: Reached = go_on
    ) -> None:
        self._parameters = pika.URLParameters(amqp_url)
        self._parameters.heartbeat = 15
        self._parameters.blocked_connection_timeout = timeout_s
        self._parameters.socket_timeout = timeout_s
        self._parameters.stack_timeout = timeout_s
        self._queues = tuple(queues)
        self._timeout_s = timeout_s
        self._reached = reached
        self.connections = 0
        self._lock = threading.Lock()
        self._waiting: deque[tuple[float, Outgoing]] = deque()
        self._confirmed: list[UUID | tuple[UUID, int]] = []
        self._unconfirmed: dict[int, tuple[float, Outgoing]] = {}
        self._returned: dict[str, str] = {}
        self._declaring: set[str] = set()
        self._tag = 0
        self._connection: Any = None
        self._channel: Any = None
        self._ready = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="atum-publisher", daemon=True)

    def start(self) -> None:
        """Start the thread; connecting goes on in the background for as long as it takes."""
        self._thread.start()

    def stop(self) -> None:
        """Close the connection and end the thread. What is unconfirmed stays unpublished in Postgres."""
        self._stopping.set()
        self._call(self._close)
        self._thread.join(timeout=self._timeout_s + 1)

    @property
    def connected(self) -> bool:
        """Whether RabbitMQ takes messages now."""
        return self._ready.is_set()

    def publish(self, messages: Sequence[Outgoing]) -> None:
        """Hand messages over; they are confirmed within the time budget, or forgotten."""
        if not messages or not self.connected:
            return
        deadline = time.monotonic() + self._timeout_s
        with self._lock:
            self._waiting.extend((deadline, message) for message in messages)
        self._call(self._drain)

    def confirmed(self) -> list[UUID | tuple[UUID, int]]:
        """Take what was confirmed since the last call: batch ids, and (mail id, cycle) pairs."""
        with self._lock:
            taken, self._confirmed = self._confirmed, []
        return taken

    # Everything below runs on the publisher's thread.

    def _call(self, function: Callable[[], None]) -> None:
        # The lock keeps the loop from being closed between the look and the call.
        with self._lock:
            if self._connection is not None:
                self._connection.ioloop.add_callback_threadsafe(function)

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            was_ready = self._serve_one_connection()
            failures = 0 if was_ready else failures + 1
            self._stopping.wait(_RECONNECT_S[min(failures, len(_RECONNECT_S) - 1)])

    def _serve_one_connection(self) -> bool:
        was_ready = False
        try:
            self._connection = SelectConnection(
                self._parameters,
                on_open_callback=self._opened,
                on_open_error_callback=self._lost,
                on_close_callback=self._lost,
            )
            self._connection.ioloop.start()
        except (pika.exceptions.AMQPError, OSError) as error:
            log.warning("publisher: connection failed: %s", type(error).__name__)
        finally:
            was_ready = self._ready.is_set()
            self._ready.clear()
            self._drop()
        return was_ready

    def _drop(self) -> None:
        with self._lock:
            connection, self._connection, self._channel = self._connection, None, None
            if connection is not None:
                # pika leaves the loop's wake-up sockets open otherwise.
                connection.ioloop.close()
            self._waiting.clear()
        self._unconfirmed.clear()
        self._returned.clear()
        self._declaring.clear()
        self._tag = 0

    def _lost(self, connection: Any, reason: object) -> None:
        if not self._stopping.is_set():
            log.warning("publisher: connection lost: %s", type(reason).__name__)
        connection.ioloop.stop()

    def _opened(self, connection: Any) -> None:
        connection.channel(on_open_callback=self._channel_opened)

    def _channel_opened(self, channel: Any) -> None:
        self._channel = channel
        channel.add_on_close_callback(self._channel_closed)
        channel.add_on_return_callback(self._on_returned)
        channel.confirm_delivery(ack_nack_callback=self._on_outcome, callback=lambda _frame: self._declare())

    def _channel_closed(self, _channel: Any, reason: object) -> None:
        if not self._stopping.is_set():
            log.warning("publisher: channel closed: %s", reason)
            self._close()

    def _declare(self, place: int = 0) -> None:
        if place == len(self._queues):
            self.connections += 1
            self._ready.set()
            self._tick()
            return
        self._channel.queue_declare(
            self._queues[place],
            durable=True,
            arguments=topology.ARGUMENTS,
            callback=lambda _frame: self._declare(place + 1),
        )

    def _drain(self) -> None:
        channel = self._channel
        if channel is None or not channel.is_open:
            return
        while True:
            with self._lock:
                if not self._waiting:
                    return
                deadline, message = self._waiting.popleft()
            self._tag += 1
            self._unconfirmed[self._tag] = (deadline, message)
            properties = pika.BasicProperties(
                delivery_mode=2,
                content_type="application/json",
                message_id=message.message_id,
                headers=dict(message.headers) or None,
            )
            channel.basic_publish("", message.queue, message.body, properties, mandatory=True)
            self._reached(_HANDED_OVER[type(message.confirms)])

    def _on_returned(self, _channel: Any, method: Any, properties: Any, _body: bytes) -> None:
        # The queue is gone. RabbitMQ confirms a returned message as well, later: remember not to believe it.
        self._returned[properties.message_id] = method.routing_key
        self._redeclare(method.routing_key)

    def _on_outcome(self, frame: Any) -> None:
        method = frame.method
        tags = (
            [t for t in self._unconfirmed if t <= method.delivery_tag]
            if method.multiple
            else [method.delivery_tag]
        )
        good = isinstance(method, pika.spec.Basic.Ack)
        done = [self._unconfirmed.pop(tag)[1] for tag in tags if tag in self._unconfirmed]
        for message in done:
            self._reached(_ARRIVED[type(message.confirms)])
        returned = [self._returned.pop(message.message_id, None) is not None for message in done]
        kept = [m.confirms for m, came_back in zip(done, returned, strict=True) if good and not came_back]
        if kept:
            with self._lock:
                self._confirmed.extend(kept)
        for confirmed in kept:
            self._reached(_CONFIRMED[type(confirmed)])

    def _redeclare(self, queue: str) -> None:
        # One at a time: RabbitMQ can lose the name of a quorum queue that many declare at once.
        if queue in self._declaring:
            return
        self._declaring.add(queue)
        log.warning("publisher: declaring the vanished queue %s again", queue)
        self._channel.queue_declare(
            queue,
            durable=True,
            arguments=topology.ARGUMENTS,
            callback=lambda _frame: self._declaring.discard(queue),
        )

    def _tick(self) -> None:
        if self._connection is None or not self._ready.is_set():
            return
        now = time.monotonic()
        if any(deadline < now for deadline, _ in self._unconfirmed.values()):
            log.warning("publisher: no confirm within %.1f s, dropping the connection", self._timeout_s)
            self._abort()
            return
        self._connection.ioloop.call_later(_TICK_S, self._tick)

    def _abort(self) -> None:
        # pika has no public way to drop a connection without asking its server; its heartbeat checker does this.
        late = pika.exceptions.ConnectionBlockedTimeout(f"no confirm within {self._timeout_s} s")
        self._connection._terminate_stream(late)  # noqa: SLF001

    def _close(self) -> None:
        connection = self._connection
        if connection is not None and not (connection.is_closing or connection.is_closed):
            connection.close()
