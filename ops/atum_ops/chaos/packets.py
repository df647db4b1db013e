"""Losing packets without rights or tools: the kernel drops what a socket's filter refuses, before TCP sees it.

So nothing is acknowledged, and the peer's TCP_USER_TIMEOUT, keepalives and retransmissions do what they would do on
a cut cable. Linux only: socket(7), SO_ATTACH_FILTER.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from typing import Final

# From asm-generic/socket.h; the socket module does not name them.
_SO_ATTACH_FILTER: Final = 26
_SO_DETACH_FILTER: Final = 27
# A classic BPF program of one instruction, `ret #0` (linux/filter.h): accept no byte of any packet.
_REFUSE_ALL: Final = ctypes.create_string_buffer(struct.pack("=HBBI", 0x06, 0, 0, 0))
_PROGRAM: Final = struct.pack("@HP", 1, ctypes.addressof(_REFUSE_ALL))


def lose(one: socket.socket) -> None:
    """Lose every packet that arrives for this socket from now on; a listener loses the calls of new clients."""
    one.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, _PROGRAM)


def hear(one: socket.socket) -> None:
    """Undo `lose`, once."""
    one.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)
