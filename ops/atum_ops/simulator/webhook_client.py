"""Posts JSON over HTTP/1.1 on kept-alive connections, as a provider does: no redirects, nothing of the answer but its status."""

from __future__ import annotations

import asyncio
import ssl
from collections import defaultdict
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Sequence

_HEAD_LIMIT: Final = 64 * 1024
_BODY_LIMIT: Final = 1024 * 1024


class _Origin(NamedTuple):
    scheme: str
    host: str
    port: int


class _Wire(NamedTuple):
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class WebhookClient:
    """Keeps connections to whoever is posted to."""

    def __init__(self, *, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._idle: defaultdict[_Origin, list[_Wire]] = defaultdict(list)

    async def post(self, url: str, headers: Sequence[tuple[str, str]], body: bytes) -> int | None:
        """Give the status of the answer; None: there was none in time, or no connection."""
        parts = urlsplit(url)
        origin = _Origin(parts.scheme, parts.hostname or "", parts.port or _default_port(parts.scheme))
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        lines = [f"POST {path} HTTP/1.1", f"Host: {parts.netloc.rpartition('@')[2]}"]
        lines += [f"{name}: {value}" for name, value in headers]
        head = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode()
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._post(origin, head + body)
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError, TimeoutError):
            return None

    def close(self) -> None:
        """Close every connection."""
        for wires in self._idle.values():
            for wire in wires:
                wire.writer.transport.abort()
        self._idle.clear()

    async def _post(self, origin: _Origin, request: bytes) -> int:
        while self._idle[origin]:
            # A kept connection may have been closed meanwhile; then nobody has read the request.
            with suppress(OSError, asyncio.IncompleteReadError):
                return await self._exchange(origin, self._idle[origin].pop(), request)
        tls = ssl.create_default_context() if origin.scheme == "https" else None
        reader, writer = await asyncio.open_connection(origin.host, origin.port, ssl=tls, limit=_HEAD_LIMIT)
        return await self._exchange(origin, _Wire(reader, writer), request)

    async def _exchange(self, origin: _Origin, wire: _Wire, request: bytes) -> int:
        kept = False
        try:
            wire.writer.write(request)
            await wire.writer.drain()
            status, kept = await _answer(wire.reader)
        finally:
            if kept:
                self._idle[origin].append(wire)
            else:
                wire.writer.transport.abort()
        return status


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bool]:
    """Read an answer; give its status and whether the connection can be used again."""
    status, head = 100, [""]
    while 100 <= status < 200:  # noqa: PLR2004 - informational answers come before the one that counts
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        status = int(head[0].partition(" ")[2][:3])
    headers = {
        name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])
    }
    kept = head[0].startswith("HTTP/1.1") and headers.get("connection", "").lower() != "close"
    length = headers.get("content-length", "")
    if status in {204, 304}:
        return status, kept
    if not length.isdecimal() or int(length) > _BODY_LIMIT:
        return status, False
    with suppress(asyncio.IncompleteReadError):
        await reader.readexactly(int(length))
        return status, kept
    return status, False


def _default_port(scheme: str) -> int:
    return 443 if scheme == "https" else 80
