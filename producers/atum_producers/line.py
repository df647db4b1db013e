"""A line to RabbitMQ: messages are handed over, and what became of each is told.

One connection and one thread, so that nobody else ever waits for RabbitMQ. The relay's publisher, `BrokerMailer` and
the intake's rejections are built on it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import pika
import pika.exceptions
from pika.adapters.select_connection import SelectConnection

from atum_schema import away, topology, traces
from atum_schema.seldom import quieten
from atum_schema.standing import Standing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

log = logging.getLogger(__name__)

T = TypeVar("T")

_RECONNECT_S: Final = (0.1, 0.5, 1.0, 2.0, 5.0)
_SHORTEST_S: Final = 0.25
_TICK_S: Final = 0.5
_TICKS: Final = 4
_HEARTBEAT_S: Final = 15
_ACCESS_REFUSED: Final = 403


class Outcome(Enum):
    """What became of a message that was handed over."""

    #: RabbitMQ has it.
    CONFIRMED = auto()
    #: RabbitMQ said no (basic.nack), and does not have it.
    REFUSED = auto()
    #: There is no such queue, so RabbitMQ does not have it.
    RETURNED = auto()
    #: It was never written.
    UNWRITTEN = auto()
    #: It was written, and the connection ended before its confirm.
    UNCERTAIN = auto()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Message(Generic[T]):
    """One message for the default exchange, published as mandatory."""

    #: Routing key.
    queue: str
    body: bytes
    #: AMQP properties; `correlation_id` is the line's own.
    properties: pika.BasicProperties
    #: What is told, with the outcome.
    about: T


class Line(Generic[T]):
    """One connection and one thread. `queues` are declared on every (re)connect and when one has vanished.

    `timeout_s` is the budget from `hand_over` to the confirm; when a confirm is late the connection is dropped, since
    a blocked or half-open one says nothing. `told` learns the outcome of each message, on the line's thread;
    `written` that it was given to the connection. Neither may raise. A user who may not declare queues
    (ACCESS_REFUSED) publishes to those that are there. `connections` counts the connections made; `opened` is called
    after each, on the line's thread.
    """

    def __init__(
        self,
        amqp_url: str,
        *,
        name: str,
        queues: Iterable[str],
        timeout_s: float,
        told: Callable[[T, Outcome], None],
        written: Callable[[T], None] | None = None,
        opened: Callable[[], None] | None = None,
    ) -> None:
        self._parameters = pika.URLParameters(amqp_url)
        self._parameters.heartbeat = _HEARTBEAT_S
        self._parameters.blocked_connection_timeout = timeout_s
        self._parameters.socket_timeout = timeout_s
        self._parameters.stack_timeout = timeout_s
        quieten(__name__)
        self._name = name
        self._queues = tuple(queues)
        self._timeout_s = timeout_s
        self._told = told
        self._written = written or _nobody
        self._tell_opened = opened or _nothing
        self.connections = 0
        #: What went wrong last, in words without addresses; empty while nothing did.
        self.trouble = ""
        self._lock = threading.Lock()
        self._waiting: deque[tuple[float, Message[T]]] = deque()
        self._unconfirmed: dict[int, tuple[float, Message[T]]] = {}
        self._returned: set[int] = set()
        self._declaring: set[str] = set()
        self._may_declare = True
        self._tag = 0
        #: The last message before RabbitMQ said that it takes no more; None: it has not said so. It stays when the
        #: connection is dropped for that: a new one is told of an alarm only when it publishes.
        self._blocked_after: int | None = None
        self._connection: Any = None
        self._channel: Any = None
        self._ready = threading.Event()
        self._stopping = threading.Event()
        self._longing = 0
        self._wanted = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"atum-{name}", daemon=True)

    def start(self) -> None:
        """Start the thread; connecting goes on in the background for as long as it takes."""
        self._thread.start()

    def stop(self) -> None:
        """Close the connection and end the thread."""
        self._stopping.set()
        self._ready.set()
        self._wanted.set()
        with self._lock:
            if self._connection is not None:
                self._connection.ioloop.add_callback_threadsafe(self._close)
        if self._thread.ident is not None:
            self._thread.join(timeout=self._timeout_s + 1)

    @property
    def connected(self) -> bool:
        """Whether RabbitMQ takes messages now."""
        return self._ready.is_set() and not self._stopping.is_set()

    @property
    def standing(self) -> Standing:
        """How this line fares. An alarm is known only to a connection that has published during it."""
        if self._blocked_after is not None:
            return Standing.BLOCKED
        return Standing.CONNECTED if self.connected else Standing.AWAY

    def await_connected(self, seconds: float) -> bool:
        """Wait so long for a connection at most, and have it made without long pauses; whether there is one."""
        if not self.connected:
            with self._longed_for():
                self._ready.wait(seconds)
        return self.connected

    def hand_over(self, messages: Sequence[Message[T]]) -> bool:
        """Hand messages over, to be told their outcomes. False without a connection: then nothing was handed over."""
        deadline = time.monotonic() + self._timeout_s
        with self._lock:
            if self._connection is None or not self.connected:
                return False
            self._waiting.extend((deadline, message) for message in messages)
            self._connection.ioloop.add_callback_threadsafe(self._drain)
        return True

    def withdraw(self, messages: Sequence[Message[T]]) -> list[Message[T]]:
        """Take messages back; give those that were not written, and never will be. Nothing more is told of those."""
        asked = set(map(id, messages))
        with self._lock:
            taken = [message for _, message in self._waiting if id(message) in asked]
            if taken:
                self._waiting = deque(one for one in self._waiting if id(one[1]) not in asked)
        return taken

    @contextmanager
    def _longed_for(self) -> Iterator[None]:
        with self._lock:
            self._longing += 1
            self._wanted.set()
        try:
            yield
        finally:
            with self._lock:
                self._longing -= 1
                if not self._longing and not self._stopping.is_set():
                    self._wanted.clear()

    # Everything below runs on the line's thread.

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            was_ready = self._serve_one_connection()
            failures = 0 if was_ready else failures + 1
            pause = _RECONNECT_S[min(failures, len(_RECONNECT_S) - 1)]
            # The first bit of the pause is there even if somebody waits: nobody shall hammer a server that is down.
            self._stopping.wait(min(pause, _SHORTEST_S))
            self._wanted.wait(max(0.0, pause - _SHORTEST_S))

    def _serve_one_connection(self) -> bool:
        was_ready = False
        try:
            connection = SelectConnection(
                self._parameters,
                on_open_callback=self._opened,
                on_open_error_callback=self._failed,
                on_close_callback=self._lost,
            )
            with self._lock:
                self._connection = connection
            if not self._stopping.is_set():
                connection.ioloop.start()
        except (pika.exceptions.AMQPError, OSError) as error:
            self._complain("connection failed", error)
        except Exception as error:  # noqa: BLE001 (whoever waits for this thread would wait for ever)
            self.trouble = type(error).__name__
            about = {"connection": self._name, **traces.where(error)}
            log.error("broker: an error of ours; connecting again", extra=about)  # noqa: TRY400 (as for all)
        finally:
            was_ready = self._leave()
        return was_ready

    def _leave(self) -> bool:
        """Leave a connection; whether it was of use. An alarm holds until one that is says that it is over."""
        was_ready = self._ready.is_set()
        self._blocked_after = 0 if was_ready and self._blocked_after is not None else None
        self._drop()
        return was_ready

    def _drop(self) -> None:
        with self._lock:
            if not self._stopping.is_set():
                self._ready.clear()
            connection, self._connection, self._channel = self._connection, None, None
            if connection is not None:
                # pika leaves the loop's wake-up sockets open otherwise.
                connection.ioloop.close()
            unwritten = [message for _, message in self._waiting]
            self._waiting.clear()
        uncertain = [(tag, message) for tag, (_, message) in self._unconfirmed.items()]
        returned, self._returned = self._returned, set()
        self._unconfirmed.clear()
        self._declaring.clear()
        self._tag = 0
        for message in unwritten:
            self._told(message.about, Outcome.UNWRITTEN)
        for tag, message in uncertain:
            self._told(message.about, Outcome.RETURNED if tag in returned else Outcome.UNCERTAIN)

    def _complain(self, what: str, reason: object) -> None:
        if not self._stopping.is_set():
            self.trouble = f"{what}: {away.words(reason)}"
            about = {"connection": self._name, "reason": self.trouble, "error": type(reason).__name__}
            log.warning("broker: no connection", extra=about)

    def _failed(self, connection: Any, reason: object) -> None:
        self._complain("connection failed", reason)
        connection.ioloop.stop()

    def _lost(self, connection: Any, reason: object) -> None:
        self._complain("connection lost", reason)
        connection.ioloop.stop()

    def _opened(self, connection: Any) -> None:
        connection.add_on_connection_blocked_callback(self._on_blocked)
        connection.add_on_connection_unblocked_callback(self._on_unblocked)
        self._open_channel(connection)

    def _on_blocked(self, _connection: Any, _frame: Any) -> None:
        self._blocked_after = self._tag

    def _on_unblocked(self, _connection: Any, _frame: Any) -> None:
        self._blocked_after = None

    def _open_channel(self, connection: Any) -> None:
        connection.channel(on_open_callback=self._channel_opened)

    def _channel_opened(self, channel: Any) -> None:
        self._channel = channel
        channel.add_on_close_callback(self._channel_closed)
        channel.add_on_return_callback(self._on_returned)
        channel.confirm_delivery(ack_nack_callback=self._on_outcome, callback=lambda _frame: self._declare())

    def _channel_closed(self, _channel: Any, reason: Any) -> None:
        if self._stopping.is_set():
            return
        if self._may_declare and not self.connected and _is_refusal(reason):
            self._may_declare = False
            log.warning(
                "broker: may not declare queues; those that are there are used",
                extra={"connection": self._name},
            )
            self._open_channel(self._connection)
            return
        self.trouble = f"channel closed: {reason}"
        log.warning("broker: channel closed", extra={"connection": self._name, "detail": str(reason)})
        self._close()

    def _declare(self, place: int = 0) -> None:
        if place == len(self._queues) or not self._may_declare:
            self.connections += 1
            self.trouble = ""
            self._ready.set()
            self._tell_opened()
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
            # What comes back has no delivery tag: this is how it is known again.
            message.properties.correlation_id = str(self._tag)
            channel.basic_publish("", message.queue, message.body, message.properties, mandatory=True)
            self._written(message.about)

    def _on_returned(self, _channel: Any, method: Any, properties: Any, _body: bytes) -> None:
        # The queue is gone. RabbitMQ confirms a returned message as well, later: remember not to believe it.
        self._returned.add(int(properties.correlation_id))
        self._redeclare(method.routing_key)

    def _on_outcome(self, frame: Any) -> None:
        method = frame.method
        tags = (
            [tag for tag in self._unconfirmed if tag <= method.delivery_tag]
            if method.multiple
            else [method.delivery_tag]
        )
        good = isinstance(method, pika.spec.Basic.Ack)
        if self._blocked_after is not None and method.delivery_tag > self._blocked_after:
            self._blocked_after = None
        for tag in tags:
            if tag not in self._unconfirmed:
                continue
            _, message = self._unconfirmed.pop(tag)
            if tag in self._returned:
                self._returned.discard(tag)
                self._told(message.about, Outcome.RETURNED)
            else:
                self._told(message.about, Outcome.CONFIRMED if good else Outcome.REFUSED)

    def _redeclare(self, queue: str) -> None:
        # One at a time: RabbitMQ can lose the name of a quorum queue that many declare at once.
        if queue in self._declaring or not self._may_declare:
            return
        self._declaring.add(queue)
        log.warning(
            "broker: declaring a vanished queue again", extra={"connection": self._name, "queue": queue}
        )
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
            log.warning(
                "broker: no confirm in time, dropping the connection",
                extra={"connection": self._name, "timeout_s": self._timeout_s},
            )
            self._abort()
            return
        self._connection.ioloop.call_later(min(_TICK_S, self._timeout_s / _TICKS), self._tick)

    def _abort(self) -> None:
        # pika has no public way to drop a connection without asking its server; its heartbeat checker does this.
        late = pika.exceptions.ConnectionBlockedTimeout(f"no confirm within {self._timeout_s} s")
        self._connection._terminate_stream(late)  # noqa: SLF001

    def _close(self) -> None:
        connection = self._connection
        if connection is not None and not (connection.is_closing or connection.is_closed):
            connection.close()


def _is_refusal(reason: object) -> bool:
    return isinstance(reason, pika.exceptions.ChannelClosedByBroker) and reason.reply_code == _ACCESS_REFUSED


def _nobody(_about: object) -> None:
    """Tell nobody."""


def _nothing() -> None:
    """Do nothing."""
