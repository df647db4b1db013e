"""A limit on how long a server that answers nothing any more is waited for."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator


class Wire(Protocol):
    """A socket, or what has one."""

    def fileno(self) -> int:
        """Give its descriptor."""


@contextmanager
def cut_after(connection: Wire, seconds: float) -> Iterator[None]:
    """Break the connection, so that whoever waits for it gets an error, if the block takes longer than this.

    A frozen server's kernel still acknowledges: no keepalive and no TCP time-out ever ends that wait. And one that says a byte
    now and then meets every time-out of a single read.
    """
    descriptor = os.dup(connection.fileno())
    timer = threading.Timer(seconds, _cut, (descriptor,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        os.close(descriptor)


def _cut(descriptor: int) -> None:
    with suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as end:
        end.shutdown(socket.SHUT_RDWR)
