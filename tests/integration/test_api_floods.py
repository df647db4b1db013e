"""Connections that send more than anybody waits for cost no memory."""

from __future__ import annotations

import re
import socket
import threading
import time
from contextlib import suppress
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
import pytest

from atum_producers.api.protocol import AHEAD
from tests.api import Api, add_client, letter

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Bytes that a connection may cost, with what the server makes of them.
MOST = 30 << 20
FLOOD_S = 3.0
REQUEST = b"GET /healthz HTTP/1.1\r\n\r\n"
CHUNKED = (
    "POST /v1/mails HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n"
    "Transfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\n"
)


def resident(pid: int) -> int:
    """Bytes of memory that a process has."""
    lines = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))


def drained(raw: socket.socket) -> None:
    with suppress(OSError):
        while raw.recv(1 << 20):
            pass


def flooded(api: Api, blocks: Iterable[bytes]) -> int:
    """Send these blocks for some seconds on one connection that reads what is answered; give what they cost at most."""
    before = most = resident(api.process.pid)
    until = time.monotonic() + FLOOD_S
    with socket.create_connection(("127.0.0.1", api.port), timeout=0.5) as raw:
        reader = threading.Thread(target=drained, args=[raw])
        reader.start()
        # Who is hung up on has cost what it has cost.
        with suppress(ConnectionError):
            for block in blocks:
                with suppress(TimeoutError):
                    raw.sendall(block)
                most = max(most, resident(api.process.pid))
                if time.monotonic() > until:
                    break
        raw.close()
        reader.join()
    return most - before


def test_requests_that_come_faster_than_they_are_answered_cost_no_memory(database_url: str) -> None:
    with Api(database_url) as api, api.http() as another:
        assert another.get("/healthz").status_code == 200
        assert flooded(api, repeat(REQUEST * 10_000)) < MOST
        assert another.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    "trailers",
    [b"".join(b"X-%d: %s\r\n" % (place, b"a" * 200) for place in range(2_000)), b"a" * (1 << 20)],
    ids=["many", "one without end"],
)
def test_what_follows_a_body_costs_no_memory(database_url: str, trailers: bytes) -> None:
    def blocks() -> Iterable[bytes]:
        yield CHUNKED.format(key=add_client(database_url)).encode() + b"X: "
        yield from repeat(trailers)

    with Api(database_url) as api, api.http() as another:
        assert another.get("/healthz").status_code == 200
        assert flooded(api, blocks()) < MOST
        assert another.get("/healthz").status_code == 200


def test_as_many_requests_at_once_as_are_kept_are_all_answered(database_url: str) -> None:
    requests = REQUEST * AHEAD + b"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n"
    with Api(database_url) as api, socket.create_connection(("127.0.0.1", api.port), timeout=10) as raw:
        raw.sendall(requests)
        answers = b"".join(iter(lambda: raw.recv(1 << 16), b""))
    assert re.findall(rb"HTTP/1.1 (\d+)", answers) == [b"200"] * (AHEAD + 1)


def test_large_requests_that_come_at_once_are_all_taken(database_url: str) -> None:
    key = add_client(database_url)
    body = orjson.dumps(letter(text="x" * 2_000_000))
    head = (
        f"POST /v1/mails HTTP/1.1\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n"
    ).encode()
    requests = (head + b"\r\n" + body) * 4 + head + b"Connection: close\r\n\r\n" + body
    with Api(database_url) as api, socket.create_connection(("127.0.0.1", api.port), timeout=20) as raw:
        raw.sendall(requests)
        answers = b"".join(iter(lambda: raw.recv(1 << 16), b""))
    assert re.findall(rb"HTTP/1.1 (\d+)", answers) == [b"202"] * 5


def test_who_does_not_read_the_answers_is_cut_off(database_url: str) -> None:
    settings = {"ATUM_API_HEAD_TIMEOUT_S": "0.5"}
    with Api(database_url, settings=settings) as api, socket.socket() as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.connect(("127.0.0.1", api.port))
        raw.settimeout(20)
        raw.sendall(b"GET /openapi.json HTTP/1.1\r\n\r\n" * AHEAD)
        time.sleep(2)
        answers = b""
        with suppress(ConnectionResetError):
            answers = b"".join(iter(lambda: raw.recv(1 << 16), b""))
    assert answers.count(b"HTTP/1.1 200") < AHEAD
