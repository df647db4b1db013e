"""The fence around the tests: loopback only."""

from __future__ import annotations

import socket
import tempfile
from pathlib import Path

import pytest

from tests.conftest import ConnectionToTheOutside

# TEST-NET-1 and the documentation prefix: nobody is there (RFC 5737, RFC 3849).
OUTSIDE = [(socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"), (socket.AF_INET, "example.com")]


@pytest.mark.parametrize(("family", "host"), OUTSIDE)
@pytest.mark.parametrize("method", ["connect", "connect_ex"])
def test_connections_beyond_this_machine_are_refused(family: int, host: str, method: str) -> None:
    with socket.socket(family) as client, pytest.raises(ConnectionToTheOutside):
        getattr(client, method)((host, 25))


def test_loopback_and_unix_sockets_are_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname()).close()
        socket.create_connection(("localhost", server.getsockname()[1])).close()
    with (
        tempfile.TemporaryDirectory() as directory,
        socket.socket(socket.AF_UNIX) as server,
        socket.socket(socket.AF_UNIX) as client,
    ):
        path = str(Path(directory) / "s")
        server.bind(path)
        server.listen()
        client.connect(path)
