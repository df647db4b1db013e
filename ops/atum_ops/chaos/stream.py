"""One direction of a connection through the proxy: bytes wait here as long as the faults say."""

from __future__ import annotations

import socket
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from atum_ops.chaos.faults import NONE

if TYPE_CHECKING:
    import random

    from atum_ops.chaos.faults import Faults

# Reading stops while so much waits, so that a slow reader is felt by the writer.
_MOST_WAITING: Final = 1_048_576
_BANDWIDTH_STEP_S: Final = 0.02
_END: Final = b""


class Cut(ConnectionError):
    """The connection has carried as many bytes as it may."""


class Stream:
    """Moves bytes from `source` to `target`, both non-blocking. Raises OSError when the connection is over.

    Opens, registers and closes nothing: the attributes say what the stream waits for.
    """

    def __init__(self, source: socket.socket, target: socket.socket, rng: random.Random) -> None:
        self._source = source
        self._target = target
        self._faults = NONE
        self._rng = rng
        #: When each chunk may leave, and the chunk; an empty one is the end.
        self._waiting: deque[tuple[float, memoryview]] = deque()
        self._waiting_bytes = 0
        self._last_due = 0.0
        self._free_at = 0.0
        self._carried = 0
        self._ended = False
        #: Whether the target must become writable first.
        self.blocked = False
        #: Time of the monotonic clock at which `push` should be called; None if a socket must be ready first.
        self.wake_at: float | None = None
        #: Whether the end has been passed on.
        self.done = False

    @property
    def wants_read(self) -> bool:
        """Whether the source should be read when it is readable."""
        return not self._ended and not self._faults.blackhole and self._waiting_bytes < _MOST_WAITING

    def change(self, faults: Faults) -> None:
        """Let other faults rule from now on; what waits already keeps its time."""
        # The fast way asks by identity.
        self._faults = NONE if faults == NONE else faults
        self._carried = 0
        self._free_at = 0.0

    def pull(self, buffer: memoryview) -> None:
        """Read once from the source, through `buffer`, and write what may be written."""
        try:
            count = self._source.recv_into(buffer)
        except BlockingIOError:
            return
        self._ended = count == 0
        if count and self._faults is NONE and not self._waiting:
            count -= (start := self._send(buffer[:count]))
            if count:
                self._wait(bytes(buffer[start : start + count]), 0.0)
                # A part was taken, so the rest would be refused; and nothing else may ever come to push it.
                self.blocked = True
            return
        now = time.monotonic()
        self._wait(bytes(buffer[:count]), now + self._delay())
        self.push(now)

    def push(self, now: float) -> None:
        """Write what may be written at the time `now` of the monotonic clock."""
        self.blocked = False
        self.wake_at = None
        while self._waiting and not self._faults.blackhole:
            due, chunk = self._waiting[0]
            if max(due, self._free_at) > now:
                self.wake_at = max(due, self._free_at)
                return
            if not chunk:
                self._target.shutdown(socket.SHUT_WR)
                self.done = True
                self._waiting.clear()
                return
            sent = self._send(chunk[: self._room()])
            if self.blocked:
                return
            self._carry(sent, now)
            self._waiting_bytes -= sent
            if sent == len(chunk):
                self._waiting.popleft()
            else:
                self._waiting[0] = (due, chunk[sent:])

    def _send(self, chunk: memoryview) -> int:
        try:
            return self._target.send(chunk)
        except BlockingIOError:
            self.blocked = True
            return 0

    def _wait(self, chunk: bytes, due: float) -> None:
        self._last_due = max(self._last_due, due)
        self._waiting.append((self._last_due, memoryview(chunk)))
        self._waiting_bytes += len(chunk)

    def _delay(self) -> float:
        latency, jitter = self._faults.latency_ms, self._faults.jitter_ms
        return max(0.0, latency + self._rng.uniform(-jitter, jitter)) / 1000 if latency or jitter else 0.0

    def _room(self) -> int:
        """Say how many bytes may leave in one write. Raises Cut when none may ever."""
        faults = self._faults
        room = _MOST_WAITING
        if faults.bandwidth is not None:
            room = max(1, int(faults.bandwidth * _BANDWIDTH_STEP_S))
        if faults.slice_bytes is not None:
            room = min(room, self._rng.randint(1, faults.slice_bytes))
        if faults.cut_after is not None:
            if self._carried >= faults.cut_after:
                raise Cut(f"cut after {faults.cut_after} bytes")
            room = min(room, faults.cut_after - self._carried)
        return room

    def _carry(self, sent: int, now: float) -> None:
        faults = self._faults
        self._carried += sent
        if faults.cut_after is not None and self._carried >= faults.cut_after:
            raise Cut(f"cut after {faults.cut_after} bytes")
        if faults.bandwidth is not None:
            self._free_at = now + sent / faults.bandwidth
        if faults.slice_bytes is not None:
            self._free_at = max(self._free_at, now + faults.slice_gap_ms / 1000)
