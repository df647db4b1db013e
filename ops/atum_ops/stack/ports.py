"""Free TCP ports on the loopback interface."""

from __future__ import annotations

import os
import random
import socket
from collections import deque
from pathlib import Path

from atum_schema.errors import StackError

LOOPBACK = "127.0.0.1"
_LOWEST = 15_000
_TRIES = 200
# Not the generator of the process: who seeds that alike in several processes would have them all pick the same port.
_CHANCE = random.SystemRandom()
# File descriptors of the names that our latest picks hold until they are surely in use: the kernel forgets them with the process, however it ends.
_HELD: deque[int] = deque(maxlen=64)


def free_port() -> int:
    """Pick a port that nobody listens on now, and that no other process has just picked here.

    It lies below the range that the kernel gives to outgoing connections (ip(7), ip_local_port_range), so
    that a node which restarts on its port does not find a client's socket there. Somebody may still take
    it before it is used: callers retry with another one.
    """
    ephemeral = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for _ in range(_TRIES):
        port = _CHANCE.randrange(_LOWEST, max(ephemeral, _LOWEST + 5_000))
        if _hold(port) and _bindable(port):
            return port
    raise StackError(f"no free TCP port between {_LOWEST} and {ephemeral} on {LOOPBACK}")


def _hold(port: int) -> bool:
    """Take the port's name among all processes of this network (unix(7), abstract sockets); False where somebody has it."""
    name = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        name.bind(f"\0atum-port-{port}")
    except OSError:
        name.close()
        return False
    if len(_HELD) == _HELD.maxlen:
        os.close(_HELD.popleft())
    _HELD.append(name.detach())
    return True


def _bindable(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
