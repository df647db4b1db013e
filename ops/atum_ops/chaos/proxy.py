"""A TCP proxy on loopback whose faults can be switched while it runs.

It stands between the system and PostgreSQL, RabbitMQ or the provider. There are two ways to carry nothing: a
`partition` looks like a frozen server (the kernel acknowledges what is sent, so TCP_USER_TIMEOUT and keepalives see
a healthy peer), and `unplug` like a cut cable (nothing is acknowledged, and they decide).
"""

from __future__ import annotations

import random
import selectors
import socket
import threading
import time
from collections import deque
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self, TypeVar
from urllib.parse import urlsplit

from atum_ops.chaos import packets
from atum_ops.chaos.faults import NONE, Faults, Way
from atum_ops.chaos.link import Link
from atum_ops.stack.ports import LOOPBACK, free_port
from atum_schema.errors import StackError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

T = TypeVar("T")

_BACKLOG: Final = 512
_BUFFER: Final = 262_144
_OBEYED_S: Final = 10.0
_TRIES: Final = 20


class Proxy:
    """Context manager: while inside, clients of `port` reach `upstream_port` on loopback, with the faults set.

    One thread serves all connections. Every method returns once it has taken effect, and may be called from any
    thread but the proxy's. `seed` decides jitter and the sizes of slices.
    """

    def __init__(self, upstream_port: int, *, seed: int = 0) -> None:
        self._upstream = (LOOPBACK, upstream_port)
        self._rng = random.Random(seed)  # noqa: S311 - no secret
        self._faults = {Way.UP: NONE, Way.DOWN: NONE}
        self._links: set[Link] = set()
        self._buffer = memoryview(bytearray(_BUFFER))
        self._commands: deque[Callable[[], None]] = deque()
        self._stopping = False
        self._deaf: list[socket.socket] = []
        #: The port that clients connect to; stays the same.
        self.port = 0

    def __enter__(self) -> Self:
        self._listener: socket.socket | None = self._listen_anywhere()
        self._selector = selectors.DefaultSelector()
        self._bell, self._rung = socket.socketpair()
        for one in (self._bell, self._rung):
            one.setblocking(False)
        self._selector.register(self._rung, selectors.EVENT_READ, self._obey)
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        self._thread = threading.Thread(target=self._run, name=f"chaos-proxy-{self.port}", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The thread itself takes note: one that saw it earlier would be gone before the bell is rung.
        self._commands.append(self._stop)
        try:
            self._ring()
            self._thread.join(_OBEYED_S)
        finally:
            self._bell.close()

    def url(self, upstream: str) -> str:
        """Give the URL `upstream`, whatever its scheme, with our address instead of the server's."""
        parts = urlsplit(upstream)
        credentials, at, _ = parts.netloc.rpartition("@")
        return parts._replace(netloc=f"{credentials}{at}{LOOPBACK}:{self.port}").geturl()

    def set(self, faults: Faults, *, way: Way = Way.BOTH) -> None:
        """Let these faults, and no others, rule in this direction, on living and on new connections."""
        ways = (Way.UP, Way.DOWN) if way is Way.BOTH else (way,)
        self._call(lambda: self._change(dict.fromkeys(ways, faults)))

    def partition(self, way: Way = Way.BOTH) -> None:
        """Carry nothing more in this direction; new connections are accepted and lead nowhere."""
        self.set(Faults(blackhole=True), way=way)

    def unplug(self) -> None:
        """Cut the cable: nothing is carried or acknowledged, both ways; who calls now is not heard.

        After healing TCP goes on at its own pace: the longer it was cut, the longer until the next retransmission.
        """
        self._call(self._lose_packets)
        self.partition()

    def down(self) -> None:
        """Refuse new connections. Living ones go on: see `reset`."""
        self._call(self._unlisten)

    def reset(self) -> int:
        """Reset all living connections on both sides; give their number."""
        return self._call(self._reset_all)

    def heal(self) -> None:
        """Take new connections and carry everything, unchanged and at once."""
        self._call(self._hear_packets)
        self._call(self._listen_again)
        self.set(NONE)

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return self._call(lambda: len(self._links))

    def _call(self, function: Callable[[], T]) -> T:
        result: Future[T] = Future()

        def command() -> None:
            try:
                result.set_result(function())
            except BaseException as error:  # noqa: BLE001 - the caller's, not ours
                result.set_exception(error)

        self._commands.append(command)
        self._ring()
        return result.result(_OBEYED_S)

    def _ring(self) -> None:
        # A full bell has been rung enough.
        with suppress(BlockingIOError):
            self._bell.send(b"!")

    def _listen_anywhere(self) -> socket.socket:
        for _ in range(_TRIES):
            self.port = free_port()
            with suppress(OSError):
                return self._listen()
        raise StackError(f"no free TCP port on {LOOPBACK} after {_TRIES} tries")

    def _listen(self) -> socket.socket:
        listener = socket.create_server((LOOPBACK, self.port), backlog=_BACKLOG)
        listener.setblocking(False)
        return listener

    # Everything below runs on the proxy's thread.

    def _run(self) -> None:
        try:
            while not self._stopping:
                for key, events in self._selector.select(self._patience()):
                    key.data(events)
                now = time.monotonic()
                for link in list(self._links):
                    if link.closed:
                        self._links.discard(link)
                    elif link.wake_at is not None and link.wake_at <= now:
                        link.wake(now)
        finally:
            self._reset_all()
            self._unlisten()
            self._selector.close()
            self._rung.close()

    def _patience(self) -> float | None:
        times = [link.wake_at for link in self._links if link.wake_at is not None]
        return max(0.0, min(times) - time.monotonic()) if times else None

    def _stop(self) -> None:
        self._stopping = True

    def _obey(self, events: int) -> None:
        del events
        self._rung.recv(4096)
        while self._commands:
            self._commands.popleft()()

    def _accept(self, events: int) -> None:
        del events
        with suppress(BlockingIOError, ConnectionAbortedError):
            while self._listener is not None:
                client, _ = self._listener.accept()
                self._links.add(self._link(client))

    def _link(self, client: socket.socket) -> Link:
        return Link(
            client,
            self._upstream,
            selector=self._selector,
            faults=self._faults,
            rng=self._rng,
            buffer=self._buffer,
        )

    def _change(self, faults: dict[Way, Faults]) -> None:
        self._faults = {**self._faults, **faults}
        for link in self._links:
            link.change(self._faults)

    def _lose_packets(self) -> None:
        if not self._deaf:
            listener = [] if self._listener is None else [self._listener]
            self._deaf = [*listener, *(one for link in self._links for one in link.sockets)]
            for one in self._deaf:
                packets.lose(one)

    def _hear_packets(self) -> None:
        for one in self._deaf:
            # Closed ones have nothing to hear any more.
            if one.fileno() >= 0:
                packets.hear(one)
        self._deaf = []

    def _reset_all(self) -> int:
        living = [link for link in self._links if not link.closed]
        for link in living:
            link.reset()
        self._links.clear()
        return len(living)

    def _unlisten(self) -> None:
        if self._listener is not None:
            self._selector.unregister(self._listener)
            self._listener.close()
            self._listener = None

    def _listen_again(self) -> None:
        if self._listener is None:
            self._listener = self._listen()
            self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
