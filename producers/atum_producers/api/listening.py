"""The sockets of a server, bound before anything else begins: a port that is taken is said in one line."""

from __future__ import annotations

import socket
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from atum_schema.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def bound(host: str, port: int, *, setting: str) -> Iterator[list[socket.socket]]:
    """Bind a port at all addresses of a host; it listens when a server takes the sockets.

    `setting` is the variable with the port. Raises `SettingsError` when it cannot be had.
    """
    with ExitStack() as stack:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            sockets = [stack.enter_context(_bound(family, address)) for family, _, _, _, address in found]
        except OSError as error:
            raise SettingsError(f"{setting}: cannot listen on {host}:{port}: {error.strerror}") from None
        yield sockets


def _bound(family: int, address: tuple[object, ...]) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # Else it takes the port of IPv4, too, which is bound by itself.
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(address)
    except OSError:
        made.close()
        raise
    return made
