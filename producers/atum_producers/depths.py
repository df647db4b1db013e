"""How many messages lie in queues that nothing in Postgres tells of, and who consumes them.

A thread and a connection of its own, which publishes nothing: no alarm of RabbitMQ blocks it, and nobody waits for it. It asks
by passive declarations, for which RabbitMQ wants no permission.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pika
import pika.exceptions

from atum_schema import traces
from atum_schema.seldom import Seldom

if TYPE_CHECKING:
    from collections.abc import Sequence

log = logging.getLogger(__name__)

EVERY_S: Final = 5.0
"""Seconds between two looks."""

_HEARTBEAT_S: Final = 30
_ANSWER_S: Final = 5.0
_LOOK_S: Final = 0.2
_END_S: Final = 1.0
_NOT_FOUND: Final = 404


class Depth(NamedTuple):
    """A queue as RabbitMQ shows it; one that is not there is empty."""

    name: str
    #: That wait; not those that a consumer has in hand.
    messages: int
    consumers: int


class Depths(threading.Thread):
    """Looks every few seconds until `stop`; while RabbitMQ is away it has nothing to tell."""

    def __init__(self, amqp_url: str, *, queues: Sequence[str], every_s: float = EVERY_S) -> None:
        super().__init__(name="atum-depths", daemon=True)
        self._parameters = pika.URLParameters(amqp_url)
        self._parameters.heartbeat = _HEARTBEAT_S
        self._parameters.socket_timeout = self._parameters.stack_timeout = _ANSWER_S
        self._parameters.blocked_connection_timeout = _ANSWER_S
        self._queues = tuple(queues)
        self._every_s = every_s
        self._stopping = threading.Event()
        self._complaints = Seldom()
        self._seen: list[Depth] = []

    def stop(self) -> None:
        """End the thread; RabbitMQ is not waited for."""
        self._stopping.set()
        if self.is_alive():
            self.join(_END_S)

    def take(self) -> list[Depth]:
        """Take what was seen since the last call: of each queue the last look, or nothing. From any thread."""
        taken, self._seen = self._seen, []
        return taken

    def run(self) -> None:
        """Look until `stop`."""
        while not self._stopping.is_set():
            try:
                self._serve_one_connection()
            except (pika.exceptions.AMQPError, OSError):
                # Whoever publishes says so, and how long it lasts.
                pass
            except Exception as error:  # noqa: BLE001 (a thread that ends would leave these queues unseen)
                if self._complaints.due():
                    log.error("depths: an error of ours; looking again", extra=traces.where(error))  # noqa: TRY400 (as elsewhere)
            self._stopping.wait(self._every_s)

    def _serve_one_connection(self) -> None:
        connection = pika.BlockingConnection(self._parameters)
        try:
            channel: Any = None
            while not self._stopping.is_set():
                seen = []
                for name in self._queues:
                    if channel is None or not channel.is_open:
                        channel = connection.channel()
                    seen.append(ask(channel, name))
                self._seen = [depth for depth in seen if depth is not None]
                self._rest(connection)
        finally:
            if connection.is_open:
                connection.close()

    def _rest(self, connection: Any) -> None:
        """Wait for the next look, and answer heartbeats meanwhile."""
        until = time.monotonic() + self._every_s
        while (left := until - time.monotonic()) > 0 and not self._stopping.is_set():
            connection.process_data_events(time_limit=min(left, _LOOK_S))


def ask(channel: Any, name: str) -> Depth | None:
    """Ask for one queue; None where RabbitMQ does not say. A queue that is not there closes the channel."""
    try:
        shown = channel.queue_declare(name, passive=True).method
    except pika.exceptions.ChannelClosedByBroker as error:
        return Depth(name, 0, 0) if error.reply_code == _NOT_FOUND else None
    return Depth(name, shown.message_count, shown.consumer_count)
