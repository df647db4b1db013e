"""A load of HTTP requests that costs its own machine little: prepared bytes on connections that are kept."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

import httptools

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_DEADLINE_S: Final = 120.0


def request(path: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    """Write a POST of a JSON body."""
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: bench",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *[f"{name}: {value}" for name, value in headers.items()],
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@dataclass(slots=True)
class Measured:
    """What a load came to."""

    seconds: float = 0.0
    #: Answers by status.
    statuses: dict[int, int] = field(default_factory=dict)
    #: Seconds from the first byte of a request to the end of its answer.
    waits: list[float] = field(default_factory=list)


class _Client(asyncio.Protocol):
    """One connection: sends the next request when the last one is answered."""

    def __init__(
        self, requests: Iterator[bytes], measured: Measured, done: Callable[[_Client, Exception | None], None]
    ) -> None:
        self._requests = requests
        self._measured = measured
        self._done = done
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._ended = False
        self._sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclass of asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self._next()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        self._measured.statuses[status] = self._measured.statuses.get(status, 0) + 1
        self._measured.waits.append(time.monotonic() - self._sent_at)
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._ended:
            self._done(self, exc or ConnectionResetError("the server closed the connection"))

    def _next(self) -> None:
        following = next(self._requests, None)
        if self._transport is None:
            return
        if following is None:
            self._ended = True
            self._transport.close()
            self._done(self, None)
            return
        self._sent_at = time.monotonic()
        self._transport.write(following)


async def load(port: int, requests: Iterator[bytes], *, connections: int) -> Measured:
    """Send all requests over this many connections to a port on loopback; raises what breaks a connection."""
    loop = asyncio.get_running_loop()
    measured = Measured()
    over: asyncio.Future[None] = loop.create_future()
    left = connections

    def done(_client: _Client, error: Exception | None) -> None:
        nonlocal left
        left -= 1
        if over.done():
            return
        if error is not None:
            over.set_exception(error)
        elif left == 0:
            over.set_result(None)

    begun = time.monotonic()
    for _ in range(connections):
        await loop.create_connection(lambda: _Client(requests, measured, done), "127.0.0.1", port)
    async with asyncio.timeout(_DEADLINE_S):
        await over
    measured.seconds = time.monotonic() - begun
    return measured
