"""Whoever reaches the port of the metrics can take few connections, none for long, and writes nothing into the log."""

from __future__ import annotations

import logging
import socket
import struct
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.registry import Collector

from atum_schema import metrics_catalogue as m
from atum_schema.metrics import Meter
from atum_schema.metrics_server import MOST, TOTAL_S, serve
from tests.nodes import eventually
from tests.scraping import scrape

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client import Metric

WORDS = "jane@example.net"
HALF = b"GET /metrics HTTP/1.1\r\nHost: x\r\n"


def connect(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=20)
    connection.sendall(HALF)
    return connection


def is_cut(connection: socket.socket) -> bool:
    connection.settimeout(0.05)
    try:
        return connection.recv(1) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True


def ours() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if "process_request_thread" in thread.name}


def test_who_connects_and_says_nothing_takes_no_more_than_a_few_threads() -> None:
    before = ours()
    port = serve(Meter("relay").registry, "127.0.0.1", 0)
    with ExitStack() as stack:
        connections = [stack.enter_context(connect(port)) for _ in range(3 * MOST)]
        assert eventually(lambda: sum(map(is_cut, connections[MOST:])) == 2 * MOST, seconds=60)
        assert len(ours() - before) <= MOST


def test_who_is_slow_is_cut_off_and_the_next_one_is_answered() -> None:
    port = serve(Meter("relay").registry, "127.0.0.1", 0, total_s=1.0)
    with ExitStack() as stack:
        connections = [stack.enter_context(connect(port)) for _ in range(MOST)]
        ends = time.monotonic() + 60
        while not all(map(is_cut, connections)):
            assert time.monotonic() < ends, "somebody who says a byte now and then is waited for"
            for connection in connections:
                try:
                    connection.sendall(b"x")
                except OSError:
                    continue
    assert eventually(lambda: scrape(f"http://127.0.0.1:{port}/metrics").has(m.CONNECTED), seconds=60)
    assert TOTAL_S <= 10


def test_who_breaks_off_leaves_nothing_in_the_log(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    # Other servers of this process may have threads of that name.
    before = ours()
    port = serve(Meter("relay").registry, "127.0.0.1", 0)
    for _ in range(3):
        connection = connect(port)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
    assert scrape(f"http://127.0.0.1:{port}/metrics").has(m.CONNECTED)
    assert eventually(lambda: not ours() - before)
    assert capfd.readouterr().err == ""
    assert not caplog.records


@pytest.mark.parametrize(
    "accept",
    [
        "application/openmetrics-text; version=latest",
        "text/plain; version=x.y; escaping=nothing",
        "application/openmetrics-text; version=1.0.0; escaping=nothing",
        "application/openmetrics-text; version=; =;;",
    ],
)
def test_who_wants_a_format_that_nobody_knows_is_answered_and_leaves_nothing_in_the_log(
    accept: str, caplog: pytest.LogCaptureFixture
) -> None:
    port = serve(Meter("relay").registry, "127.0.0.1", 0)
    with connect(port) as connection:
        connection.sendall(f"Accept: {accept}\r\n\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert b" 200 OK" in answer
    assert m.CONNECTED.full_name.encode() in answer
    assert not caplog.records


class Broken(Collector):
    def collect(self) -> Iterable[Metric]:
        raise ValueError(WORDS)


def test_a_scrape_that_cannot_be_answered_is_a_line_of_the_log_without_the_errors_words(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    registry = CollectorRegistry()
    registry.register(Broken())
    port = serve(registry, "127.0.0.1", 0)
    with caplog.at_level(logging.ERROR), connect(port) as connection:
        connection.sendall(b"\r\n")
        assert b" 500 " in connection.recv(100)
    [record] = caplog.records
    assert record.__dict__["error"] == "ValueError"
    assert WORDS not in f"{record.__dict__}"
    assert capfd.readouterr().err == ""


def test_metrics_are_served_on_an_address_of_ipv6_too() -> None:
    try:
        port = serve(Meter("relay").registry, "::1", 0)
    except OSError:
        pytest.skip("no IPv6 here")
    assert scrape(f"http://[::1]:{port}/metrics").has(m.CONNECTED)
