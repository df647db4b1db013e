"""HTTP/1.1 on an asyncio transport: requests in, answers out, and the ways an answer can fail to arrive.

One `Connection` per client. A request is handed to the `Handler` when its body is complete; the handler owes it
exactly one call of `answer`, `answer_later`, `answer_and_close`, `stream`, `drip`, `cut`, `cut_chunked`, `reset` or
`hang`, now or later (RFC 9112).
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from typing import TYPE_CHECKING, Protocol, cast

import httptools

from atum_ops.simulator.entrance import STALL_S, Door, Entrance, is_private
from atum_ops.simulator.exchange import Answer, Request

if TYPE_CHECKING:
    from collections.abc import Iterator

_STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"


class Handler(Protocol):
    """What a connection hands complete requests to."""

    def __call__(self, request: Request, connection: Connection, /) -> None: ...


class Connection(asyncio.Protocol):
    """One client connection. Requests that arrive while one is being answered wait their turn."""

    def __init__(self, handler: Handler, *, body_limit: int, entrance: Entrance) -> None:
        #: Whether it belongs to the control side, which no scenario touches.
        self.private = False
        #: Whether its bytes are left unread, because the door was shut when they came.
        self.stalled = False
        self._handler = handler
        self._body_limit = body_limit
        self._entrance = entrance
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._request = Request()
        self._url = b""
        self._chunks: list[bytes] = []
        self._size = 0
        self._waiting: deque[Request] = deque()
        self._current: Request | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._source: Iterator[bytes] | None = None
        self._blocked = False

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._entrance.connections.add(self)

    def data_received(self, data: bytes) -> None:
        if self._entrance.door is not Door.OPEN and not self.private and not self._admit(data):
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._refuse()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._transport = None
        self._source = None
        for timer in (self._timer, self._idle):
            if timer is not None:
                timer.cancel()
        self._timer = self._idle = None
        self._entrance.connections.discard(self)

    def pause_writing(self) -> None:
        self._blocked = True

    def resume_writing(self) -> None:
        self._blocked = False
        self._pump()

    # httptools callbacks

    def on_message_begin(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        self._request = Request()
        self._url = b""
        self._chunks = []
        self._size = 0

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._request.headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        if (
            self._request.headers.get(b"expect", b"").lower() == b"100-continue"
            and self._transport is not None
        ):
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._size += len(body)
        if self._size <= self._body_limit:
            self._chunks.append(body)
        else:
            # Read on without keeping: a client that is still writing would lose the 413 to a reset.
            self._request.oversized = True
            self._chunks.clear()

    def on_message_complete(self) -> None:
        request = self._request
        path, _, query = self._url.decode("latin-1").partition("?")
        request.method = self._parser.get_method().decode("ascii")
        request.path = path
        request.query = query
        request.body = b"".join(self._chunks)
        request.keep_alive = self._parser.should_keep_alive()
        self._chunks = []
        if self._current is None:
            self._start(request)
        else:
            self._waiting.append(request)

    # what a handler may do with its request

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    @property
    def gone(self) -> bool:
        """Whether the client has closed or reset the connection, or we have."""
        return self._transport is None or self._transport.is_closing()

    def answer(self, answer: Answer) -> None:
        """Send a complete answer and turn to the next request."""
        if self._transport is not None:
            self._transport.write(answer.head() + answer.body)
        self._finish()

    def answer_later(self, answer: Answer, *, after_s: float) -> None:
        """Send a complete answer `after_s` seconds from now, unless the client has gone by then."""
        if self._transport is not None:
            self._timer = self._loop.call_later(after_s, self.answer, answer)

    def answer_and_close(self, answer: Answer) -> None:
        """Send a complete answer that promises to keep the connection, then close it."""
        if self._transport is not None:
            self._transport.write(answer.head() + answer.body)
            self._transport.close()

    def stream(self, source: Iterator[bytes]) -> None:
        """Send 200 with the pieces of `source` as JSON lines, as fast as the client reads them."""
        if self._transport is None:
            return
        self._transport.write(_STREAM_HEAD)
        self._source = source
        self._pump()

    def drip(self, answer: Answer, *, every_s: float, at_most_s: float) -> None:
        """Send the head, then one byte of the body each `every_s` seconds; reset after `at_most_s` seconds."""
        if self._transport is None:
            return
        self._transport.write(answer.head())
        deadline = self._loop.time() + at_most_s
        self._drip_on(answer.body, 0, every_s, deadline)

    def cut(self, answer: Answer) -> None:
        """Send the head and half of the body, then close in good order: the body ends too early."""
        if self._transport is not None:
            self._transport.write(answer.head() + answer.body[: len(answer.body) // 2])
            self._transport.close()

    def cut_chunked(self, answer: Answer) -> None:
        """Send half of the body as one chunk, then close in good order: the last chunk never comes."""
        if self._transport is not None:
            half = answer.body[: len(answer.body) // 2]
            head = answer.head(framing="Transfer-Encoding: chunked")
            self._transport.write(head + b"%x\r\n%b\r\n" % (len(half), half))
            self._transport.close()

    def reset(self) -> None:
        """Close with RST (SO_LINGER 0), so that the client sees "connection reset"."""
        if self._transport is None:
            return
        raw = self._transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def hang(self, *, at_most_s: float) -> None:
        """Say nothing until the client gives up, or reset after `at_most_s` seconds."""
        self._timer = self._loop.call_later(at_most_s, self.reset)

    def close(self) -> None:
        """Drop the connection (the server stops)."""
        if self._transport is not None:
            self._transport.abort()

    # inner workings

    def _start(self, request: Request) -> None:
        self._current = request
        self._handler(request, self)

    def _finish(self) -> None:
        request, self._current = self._current, None
        if self._transport is None:
            return
        if request is not None and not request.keep_alive:
            self._transport.close()
        elif self._waiting:
            self._loop.call_soon(self._next)
        elif self._entrance.idle_s:
            self._idle = self._loop.call_later(self._entrance.idle_s, self._transport.close)

    def _next(self) -> None:
        if self._current is None and self._waiting and self._transport is not None:
            self._start(self._waiting.popleft())

    def _pump(self) -> None:
        while self._source is not None and self._transport is not None and not self._blocked:
            piece = next(self._source, None)
            if piece is None:
                self._source = None
                self._transport.write(b"0\r\n\r\n")
                self._finish()
            elif piece:
                self._transport.write(b"%x\r\n%b\r\n" % (len(piece), piece))

    def _drip_on(self, body: bytes, at: int, every_s: float, deadline: float) -> None:
        if self._transport is None:
            return
        if at >= len(body):
            self._finish()
        elif self._loop.time() >= deadline:
            self.reset()
        else:
            self._transport.write(body[at : at + 1])
            self._timer = self._loop.call_later(every_s, self._drip_on, body, at + 1, every_s, deadline)

    def _admit(self, data: bytes) -> bool:
        if is_private(data):
            self.private = True
            return True
        if self._entrance.door is Door.RESET:
            self.reset()
        elif self._transport is not None:
            self.stalled = True
            self._transport.pause_reading()
            self.hang(at_most_s=STALL_S)
        return False

    def _refuse(self) -> None:
        if self._transport is not None:
            answer = Answer(body=b"", status=400, content_type="text/plain", extra="Connection: close\r\n")
            self._transport.write(answer.head())
            self._transport.close()
