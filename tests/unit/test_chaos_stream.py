"""One direction of a connection through the proxy of the chaos tests."""

from __future__ import annotations

import random
import socket

import pytest

from atum_ops.chaos.stream import Stream

COUNT = 60_000


def test_the_rest_of_what_was_taken_in_part_waits_for_room() -> None:
    writer, source = socket.socketpair()
    target, reader = socket.socketpair()
    with writer, source, target, reader:
        source.setblocking(False)
        target.setblocking(False)
        target.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        writer.sendall(bytes(COUNT))
        stream = Stream(source, target, random.Random(1))  # noqa: S311 - no secret
        stream.pull(memoryview(bytearray(2 * COUNT)))
        with pytest.raises(BlockingIOError):
            source.recv(1)
        # Nobody writes any more and no time will come: the target's room is all that can bring the rest.
        assert stream.blocked
        assert stream.wake_at is None
        got = 0
        while got < COUNT:
            got += len(reader.recv(COUNT))
            stream.push(0.0)
    assert got == COUNT
