"""A client's connection joined to one to the server."""

from __future__ import annotations

import errno
import selectors
import socket
import struct
import time
from typing import TYPE_CHECKING, Final

from atum_ops.chaos.faults import Way
from atum_ops.chaos.stream import Stream

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping

    from atum_ops.chaos.faults import Faults

_READ: Final = selectors.EVENT_READ
_WRITE: Final = selectors.EVENT_WRITE
# Closing sends RST and forgets what was not sent yet (socket(7), SO_LINGER with a time of zero).
_RST_ON_CLOSE: Final = struct.pack("ii", 1, 0)
_CONNECTING: Final = {0, errno.EINPROGRESS}


class Link:
    """Two sockets and the two streams between them; belongs to the thread of its selector.

    The server is called as soon as neither direction is a black hole, as a handshake would get through only then.
    """

    def __init__(
        self,
        client: socket.socket,
        server: tuple[str, int],
        *,
        selector: selectors.BaseSelector,
        faults: Mapping[Way, Faults],
        rng: random.Random,
        buffer: memoryview,
    ) -> None:
        self._client = client
        self._server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        for one in (self._client, self._server):
            one.setblocking(False)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._address = server
        self._connected = False
        self._selector = selector
        self._buffer = buffer
        self._watched = {self._client: 0, self._server: 0}
        self._up = Stream(self._client, self._server, rng)
        self._down = Stream(self._server, self._client, rng)
        #: Whether both sockets are closed.
        self.closed = False
        self.change(faults)

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        """The open sockets."""
        return () if self.closed else (self._client, self._server)

    @property
    def wake_at(self) -> float | None:
        """Time of the monotonic clock at which `wake` should be called; None if a socket must be ready first."""
        up, down = self._up.wake_at, self._down.wake_at
        return up if down is None else down if up is None else min(up, down)

    def change(self, faults: Mapping[Way, Faults]) -> None:
        """Let other faults rule from now on."""
        if self.closed:
            return
        self._up.change(faults[Way.UP])
        self._down.change(faults[Way.DOWN])
        if not self._connected and not any(one.blackhole for one in faults.values()):
            self._connected = True
            if self._server.connect_ex(self._address) not in _CONNECTING:
                self.reset()
        self.wake(time.monotonic())

    def wake(self, now: float) -> None:
        """Write what may be written at the time `now` of the monotonic clock."""
        if self.closed or not self._connected:
            return
        try:
            self._up.push(now)
            self._down.push(now)
        except OSError:
            self.reset()
        self._settle()

    def reset(self) -> None:
        """Close both sockets at once with RST; harmless when they are closed."""
        if not self.closed:
            for one in (self._client, self._server):
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST_ON_CLOSE)
            self._close()

    def _client_ready(self, events: int) -> None:
        self._ready(events, reads=self._up, writes=self._down)

    def _server_ready(self, events: int) -> None:
        self._ready(events, reads=self._down, writes=self._up)

    def _ready(self, events: int, *, reads: Stream, writes: Stream) -> None:
        if self.closed:
            return
        try:
            if events & _WRITE:
                writes.push(time.monotonic())
            if events & _READ:
                reads.pull(self._buffer)
        except OSError:
            self.reset()
        self._settle()

    def _settle(self) -> None:
        if self.closed:
            return
        up, down = self._up, self._down
        if up.done and down.done:
            self._close()
            return
        self._watch(self._client, up.wants_read, down.blocked)
        self._watch(self._server, down.wants_read, up.blocked)

    def _watch(self, one: socket.socket, reads: bool, writes: bool) -> None:
        events = reads * _READ | writes * _WRITE
        before = self._watched[one]
        if events == before:
            return
        self._watched[one] = events
        ready = self._client_ready if one is self._client else self._server_ready
        # Not even asked about while nothing is wanted: epoll would tell of ends and resets all the same.
        if not events:
            self._selector.unregister(one)
        elif before:
            self._selector.modify(one, events, ready)
        else:
            self._selector.register(one, events, ready)

    def _close(self) -> None:
        self.closed = True
        for one in (self._client, self._server):
            if self._watched[one]:
                self._selector.unregister(one)
            one.close()
