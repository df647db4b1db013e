"""HTTP/1.1 with patience that ends: uvicorn has no time limit for a request's head, and no bound that spares the busy.

uvicorn's own `limit_concurrency` counts connections that only sit there, and would turn genuine requests away for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from atum_producers.api.patience import Line

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sized

#: Bytes of a request's head, or of what follows its body.
HEAD_BYTES: Final = 65_536
#: Requests that one connection may have sent before it gets an answer, besides the one that is at work.
AHEAD: Final = 100
_GOODBYE_S: Final = 0.5
_SLOW: Final = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
_LARGE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
)
_FULL: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
)


class Waiting:
    """The connections from which no request has come yet, longest waiting first; bounds how many there are in all.

    `unread` are those that do not read what is answered.
    """

    def __init__(self, *, timeout_s: float, connections: int) -> None:
        self.line: Line[PatientProtocol] = Line(timeout_s, lambda connection: connection.give_up())
        self.unread: Line[PatientProtocol] = Line(timeout_s, lambda connection: connection.drop())
        self._most = connections

    def make_room(self, connections: int) -> bool:
        """Close who has been waiting longest if there are too many; False if nobody waits that could be closed."""
        if connections <= self._most:
            return True
        idlest = self.line.first
        if idlest is None:
            return False
        idlest.drop()
        return True


class _TooManyAhead(Exception):
    """A connection has sent more requests at once than are kept for it."""


class _InTurn(FlowControl):
    """Reads on when everything that came is at work: uvicorn does so with each answer, and keeps what comes for ever."""

    def __init__(self, transport: asyncio.Transport, queued: Sized) -> None:
        super().__init__(transport)
        self._queued = queued

    def resume_reading(self) -> None:
        if not self._queued:
            super().resume_reading()


class PatientProtocol(HttpToolsProtocol):
    """One connection. A head that takes longer than `timeout_s`, or is larger than `HEAD_BYTES`, ends it.

    So does what is neither head nor body, as the trailers of a chunked one, and more than `AHEAD` requests at once; and
    answers that are not read for as long.
    """

    waiting: Waiting

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = _InTurn(transport, self.pipeline)
        self._head = 0
        self._leaving = False
        if self.waiting.make_room(len(self.connections)):
            self._wait()
        else:
            transport.write(_FULL)
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.waiting.line.leave(self)
        self.waiting.unread.leave(self)
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        # uvicorn waits for ever until it can write the next answer.
        self.waiting.unread.enter(self)
        super().pause_writing()

    def resume_writing(self) -> None:
        self.waiting.unread.leave(self)
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        self._head += len(data)
        super().data_received(data)
        if self._head <= HEAD_BYTES:
            return
        if self in self.waiting.line:
            self._refuse(_LARGE)
        else:
            # Another request is at work, whose answer must not have this one in it.
            self.drop()

    def on_headers_complete(self) -> None:
        self.waiting.line.leave(self)
        self._head = 0
        if len(self.pipeline) == AHEAD:
            self.drop()
            # Or the parser would go on with what else has come.
            raise _TooManyAhead
        super().on_headers_complete()
        if self._leaving:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        # Who was answered and goes on sends what nobody reads.
        if self not in self.waiting.line:
            self._head = 0
        super().on_body(body)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        # The last request that came may still be at work, when several came at once.
        if self._is_idle() and not self.transport.is_closing():
            self._wait()

    def shutdown(self) -> None:
        """Answer what comes next, and say that it is the last: a request may be on its way to us."""
        if not self._is_idle():
            super().shutdown()
            return
        self._leaving = True
        self.loop.call_later(_GOODBYE_S, lambda: self.transport.close() if self._is_idle() else None)

    def drop(self) -> None:
        """End the connection at once, whatever is still in its buffers."""
        self.waiting.line.leave(self)
        self.transport.abort()

    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _wait(self) -> None:
        # uvicorn's own timer for idle connections stops with the first byte; this one does not.
        self._unset_keepalive_if_required()
        self._head = 0
        self.waiting.line.enter(self)

    def give_up(self) -> None:
        """End a connection whose head took too long."""
        if self._head:
            self._refuse(_SLOW)
        else:
            self.drop()

    def _refuse(self, answer: bytes) -> None:
        self.waiting.line.leave(self)
        self.transport.write(answer)
        # Whoever does not read its answer must not keep the connection.
        self.transport.close()
        self.loop.call_later(1.0, self.transport.abort)


def protocol(waiting: Waiting) -> type[PatientProtocol]:
    """Make the protocol class of one server."""
    members: dict[str, Any] = {"waiting": waiting}
    return type("ServedProtocol", (PatientProtocol,), members)
