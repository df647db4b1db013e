"""One port that can stop listening, so that connections are refused, and start again."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_BACKLOG = 1024


class Listener:
    """Takes connections on one address. While it does not, the kernel refuses them and the port stays ours.

    `open` raises OSError when the address is taken or wrong.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._held: socket.socket | None = None
        self._server: asyncio.Server | None = None
        self._factory: Callable[[], asyncio.Protocol] | None = None
        self._turn = asyncio.Lock()

    async def open(self, factory: Callable[[], asyncio.Protocol]) -> str:
        """Listen, with `factory` making one protocol per connection; give the base URL."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        family, kind, protocol, _, address = found[0]
        # A second socket, bound but deaf: without it another program could get the port while nothing listens.
        self._held = socket.socket(family, kind, protocol)
        self._held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._held.bind(address)
        self._host, self._port = self._held.getsockname()[:2]
        self._factory = factory
        await self.listen()
        return (
            f"http://[{self._host}]:{self._port}"
            if ":" in self._host
            else f"http://{self._host}:{self._port}"
        )

    async def listen(self) -> None:
        """Take connections (again)."""
        async with self._turn:
            if self._server is None and self._factory is not None:
                loop = asyncio.get_running_loop()
                options: dict[str, Any] = {"backlog": _BACKLOG, "reuse_address": True}
                self._server = await loop.create_server(self._factory, self._host, self._port, **options)

    async def refuse(self) -> None:
        """Refuse new connections; the open ones stay."""
        async with self._turn:
            server, self._server = self._server, None
            if server is not None:
                server.close()

    async def close(self) -> None:
        """Stop for good."""
        self._factory = None
        await self.refuse()
        if self._held is not None:
            self._held.close()
