"""Reading a queue once, from its head to where it ended when that began. What stays is put at its tail, confirmed.

::

    take up to `at_once` ─▶ sort ─▶ publish again what stays ─▶ confirmed ─▶ ack all that was taken ─▶ take …

What is not acknowledged goes back by itself, so a process that dies here loses nothing; at worst it leaves copies.
Requeueing instead would count as a failed delivery each time, and RabbitMQ 4 drops what failed often.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pika
import pika.exceptions
from pika.adapters.select_connection import SelectConnection

from atum_schema import away, topology
from atum_schema.errors import Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from atum_schema.formats import Outgoing

_HEARTBEAT_S: Final = 60
_LOOK_S: Final = 0.25
_MARK: Final = "rotation"


class Sorted(NamedTuple):
    """What becomes of some messages."""

    #: Those that stay, made anew.
    stay: Sequence[Outgoing]
    #: Called once RabbitMQ has confirmed them.
    confirmed: Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much and how long."""

    #: Messages that are taken, sorted and published again together.
    at_once: int = 1000
    #: Without anything happening for so long the broker is taken for unreachable.
    patience_s: float = 10.0
    #: A queue that gives nothing for so long has no more, whatever it said of its length.
    idle_s: float = 2.0


class Rotation:
    """Rotates a queue once, on the calling thread. `sort` gets bodies in order; its errors end the rotation."""

    def __init__(
        self,
        amqp_url: str,
        queue: str,
        *,
        mark: str,
        sort: Callable[[Sequence[bytes]], Sorted],
        limits: Limits | None = None,
    ) -> None:
        self._parameters = pika.URLParameters(amqp_url)
        self._limits = limits or Limits()
        self._parameters.heartbeat = _HEARTBEAT_S
        self._parameters.blocked_connection_timeout = self._limits.patience_s
        self._parameters.socket_timeout = self._limits.patience_s
        self._parameters.stack_timeout = self._limits.patience_s
        self._queue = queue
        self._mark = mark
        self._sort = sort
        self._connection: Any = None
        self._channel: Any = None
        self._left = 0
        self._came_round = False
        self._taken: list[tuple[int, bytes]] = []
        self._sorted: Sorted | None = None
        self._unconfirmed: set[int] = set()
        self._published = 0
        self._still_s = 0.0
        self._error: BaseException | None = None
        self._done = False

    def run(self) -> None:
        """Rotate the queue; it is declared if it is gone. Raises `Unreachable`, and whatever `sort` raises."""
        self._connection = SelectConnection(
            self._parameters,
            on_open_callback=lambda connection: connection.channel(on_open_callback=self._opened),
            on_open_error_callback=self._lost,
            on_close_callback=self._lost,
        )
        try:
            self._connection.ioloop.start()
        finally:
            self._connection.ioloop.close()
        if self._error is not None:
            raise self._error
        if not self._done:
            raise Unreachable("RabbitMQ ended the connection while mail.dead was read")

    def _lost(self, connection: Any, reason: object) -> None:
        if not self._done and self._error is None:
            self._error = Unreachable(f"cannot use RabbitMQ: {away.words(reason)}")
        connection.ioloop.stop()

    def _fail(self, error: BaseException) -> None:
        self._error = error
        self._close()

    def _close(self) -> None:
        if not (self._connection.is_closing or self._connection.is_closed):
            self._connection.close()

    def _opened(self, channel: Any) -> None:
        self._channel = channel
        channel.add_on_close_callback(self._channel_closed)
        channel.add_on_return_callback(self._returned)
        channel.confirm_delivery(ack_nack_callback=self._answered, callback=lambda _frame: self._declare())

    def _channel_closed(self, _channel: Any, reason: Any) -> None:
        if not self._done and self._error is None:
            self._fail(Unreachable(f"RabbitMQ closed the channel: {reason}"))

    def _declare(self) -> None:
        self._channel.queue_declare(
            self._queue, durable=True, arguments=topology.ARGUMENTS, callback=self._declared
        )

    def _declared(self, frame: Any) -> None:
        self._left = int(frame.method.message_count)
        if not self._left:
            self._finish()
            return
        self._channel.basic_qos(
            prefetch_count=self._limits.at_once,
            callback=lambda _frame: self._channel.basic_consume(self._queue, self._delivered),
        )
        self._look()

    def _look(self) -> None:
        """Notice when nothing happens any more."""
        if self._done or self._error is not None:
            return
        self._still_s += _LOOK_S
        if self._sorted is None and self._still_s >= self._limits.idle_s:
            self._came_round = True
            self._work()
        elif self._still_s >= self._limits.patience_s:
            self._fail(Unreachable(f"RabbitMQ confirmed nothing for {self._limits.patience_s:g} s"))
        self._connection.ioloop.call_later(_LOOK_S, self._look)

    def _delivered(self, _channel: Any, method: Any, properties: Any, body: bytes) -> None:
        if self._done or self._error is not None or self._sorted is not None or self._came_round:
            return
        self._still_s = 0.0
        if (properties.headers or {}).get(_MARK) == self._mark:
            # Somebody else took messages meanwhile: these are our own, put there by this rotation.
            self._came_round = True
        else:
            self._taken.append((method.delivery_tag, body))
        if self._came_round or len(self._taken) == min(self._left, self._limits.at_once):
            self._work()

    def _work(self) -> None:
        if not self._taken:
            self._finish()
            return
        try:
            self._sorted = self._sort([body for _, body in self._taken])
        except Exception as error:  # noqa: BLE001 (raised again by `run`)
            self._fail(error)
            return
        for outgoing in self._sorted.stay:
            self._published += 1
            self._unconfirmed.add(self._published)
            properties = pika.BasicProperties(
                delivery_mode=2,
                content_type="application/json",
                message_id=outgoing.message_id,
                headers={**outgoing.headers, _MARK: self._mark},
            )
            self._channel.basic_publish("", self._queue, outgoing.body, properties, mandatory=True)
        self._acknowledge()

    def _returned(self, _channel: Any, _method: Any, _properties: Any, _body: bytes) -> None:
        self._fail(Unreachable(f"the queue {self._queue} vanished while it was read"))

    def _answered(self, frame: Any) -> None:
        self._still_s = 0.0
        method = frame.method
        if not isinstance(method, pika.spec.Basic.Ack):
            self._fail(Unreachable("RabbitMQ refused a message"))
            return
        if method.multiple:
            self._unconfirmed = {tag for tag in self._unconfirmed if tag > method.delivery_tag}
        else:
            self._unconfirmed.discard(method.delivery_tag)
        self._acknowledge()

    def _acknowledge(self) -> None:
        """Let go of what was taken, once what stays is safe at the tail."""
        if self._sorted is None or self._unconfirmed or self._error is not None:
            return
        try:
            self._sorted.confirmed()
        except Exception as error:  # noqa: BLE001 (raised again by `run`)
            self._fail(error)
            return
        self._left -= len(self._taken)
        last = self._taken[-1][0]
        self._taken, self._sorted = [], None
        self._still_s = 0.0
        if self._left <= 0 or self._came_round:
            self._channel.basic_ack(last, multiple=True)
            self._finish()
        else:
            self._channel.basic_ack(last, multiple=True)

    def _finish(self) -> None:
        self._done = True
        self._close()
