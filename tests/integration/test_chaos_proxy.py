"""The fault proxy: every fault on real sockets, and nothing left behind."""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from atum_ops.chaos.faults import NONE, Faults, Way
from atum_ops.chaos.proxy import Proxy
from atum_ops.stack.ports import LOOPBACK, free_port
from tests.nodes import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

_PATIENCE_S = 20.0


class Server:
    """Takes connections one after another; `accepted` is the newest."""

    def __init__(self) -> None:
        self._listener = socket.create_server((LOOPBACK, 0))
        self._listener.settimeout(_PATIENCE_S)
        self.port: int = self._listener.getsockname()[1]

    def take(self) -> socket.socket:
        accepted, _ = self._listener.accept()
        accepted.settimeout(_PATIENCE_S)
        return accepted

    def has_caller(self, seconds: float) -> bool:
        self._listener.settimeout(seconds)
        try:
            self.take().close()
        except TimeoutError:
            return False
        finally:
            self._listener.settimeout(_PATIENCE_S)
        return True

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server()
    yield one
    one.close()


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    with Proxy(server.port) as one:
        yield one


def dial(port: int) -> socket.socket:
    return socket.create_connection((LOOPBACK, port), timeout=_PATIENCE_S)


@contextmanager
def joined(proxy: Proxy, server: Server) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Give a client's socket and the server's."""
    with dial(proxy.port) as near, server.take() as far:
        yield near, far


def read(one: socket.socket, count: int) -> bytes:
    """Read exactly so many bytes; fewer only at the end."""
    got = bytearray()
    while len(got) < count and (chunk := one.recv(count - len(got))):
        got += chunk
    return bytes(got)


def is_silent(one: socket.socket, seconds: float = 0.3) -> bool:
    one.settimeout(seconds)
    try:
        one.recv(1)
    except TimeoutError:
        return True
    finally:
        one.settimeout(_PATIENCE_S)
    return False


def read_until_reset(one: socket.socket) -> bytes:
    got = bytearray()
    try:
        while chunk := one.recv(1000):
            got += chunk
    except ConnectionResetError:
        return bytes(got)
    raise AssertionError(f"an orderly end after {len(got)} bytes")


def write_until_full(one: socket.socket, most: int) -> int:
    one.setblocking(False)
    sent = 0
    try:
        while sent < most:
            sent += one.send(bytes(1_000_000))
            # Time for the proxy to take it on.
            time.sleep(0.001)
    except BlockingIOError:
        return sent
    raise AssertionError(f"{sent} bytes and still not full")


def test_bytes_and_ends_pass_both_ways(proxy: Proxy, server: Server) -> None:
    with joined(proxy, server) as (near, far):
        near.sendall(b"question")
        near.shutdown(socket.SHUT_WR)
        assert read(far, 100) == b"question"
        far.sendall(b"answer")
        far.shutdown(socket.SHUT_WR)
        assert read(near, 100) == b"answer"
        assert eventually(lambda: proxy.connections == 0)


@pytest.mark.parametrize(
    "faults",
    [
        NONE,
        Faults(slice_bytes=30_000),
        Faults(latency_ms=2, jitter_ms=2),
        Faults(bandwidth=20_000_000),
        Faults(slice_bytes=90_000, slice_gap_ms=0.1, latency_ms=1, jitter_ms=1, bandwidth=50_000_000),
    ],
    ids=["none", "sliced", "late", "narrow", "all"],
)
def test_megabytes_arrive_whole_and_in_order(proxy: Proxy, server: Server, faults: Faults) -> None:
    proxy.set(faults)
    body = os.urandom(3_000_000)
    with joined(proxy, server) as (near, far):
        sender = threading.Thread(target=near.sendall, args=(body,))
        sender.start()
        assert read(far, len(body)) == body
        sender.join()


def test_a_reset_of_the_server_reaches_the_client(proxy: Proxy, server: Server) -> None:
    with joined(proxy, server) as (near, far):
        near.sendall(b"unread")
        assert far.recv(1, socket.MSG_PEEK)
        # Closing with unread bytes sends RST (tcp(7)).
        far.close()
        with pytest.raises(ConnectionResetError):
            near.recv(1)


def test_a_server_that_refuses_resets_the_client() -> None:
    # The reset may come while the client still connects.
    with Proxy(free_port()) as proxy, pytest.raises(ConnectionResetError), dial(proxy.port) as near:
        near.recv(1)


def test_reset_ends_every_connection_on_both_sides_at_once(proxy: Proxy, server: Server) -> None:
    with joined(proxy, server) as (near, far), joined(proxy, server) as (near2, far2):
        assert proxy.reset() == 2
        for one in (near, far, near2, far2):
            with pytest.raises(ConnectionResetError):
                one.recv(1)
    with joined(proxy, server) as (near, far):
        near.sendall(b"on")
        assert read(far, 2) == b"on"


def test_down_refuses_new_connections_and_keeps_living_ones(proxy: Proxy, server: Server) -> None:
    with joined(proxy, server) as (near, far):
        proxy.down()
        proxy.down()
        with pytest.raises(ConnectionRefusedError):
            dial(proxy.port)
        near.sendall(b"still")
        assert read(far, 5) == b"still"
    proxy.heal()
    with joined(proxy, server) as (near, far):
        near.sendall(b"again")
        assert read(far, 5) == b"again"


def test_a_partition_carries_neither_bytes_nor_ends_until_it_heals(proxy: Proxy, server: Server) -> None:
    with joined(proxy, server) as (near, far), joined(proxy, server) as (left, kept):
        proxy.partition()
        near.sendall(b"up")
        far.sendall(b"down")
        left.close()
        assert is_silent(near)
        assert is_silent(far)
        assert is_silent(kept)
        proxy.heal()
        assert read(far, 2) == b"up"
        assert read(near, 4) == b"down"
        assert read(kept, 1) == b""


def test_a_partition_of_one_way_lets_the_other_through(proxy: Proxy, server: Server) -> None:
    with joined(proxy, server) as (near, far):
        proxy.partition(Way.DOWN)
        near.sendall(b"up")
        far.sendall(b"down")
        assert read(far, 2) == b"up"
        assert is_silent(near)
        proxy.heal()
        assert read(near, 4) == b"down"


def test_a_client_that_calls_during_a_partition_reaches_the_server_after_it(
    proxy: Proxy, server: Server
) -> None:
    proxy.partition(Way.UP)
    with dial(proxy.port) as near:
        near.sendall(b"hello")
        assert not server.has_caller(0.3)
        proxy.heal()
        with server.take() as far:
            assert read(far, 5) == b"hello"


def test_a_cut_cable_is_noticed_by_the_user_timeout(proxy: Proxy, server: Server) -> None:
    with joined(proxy, server) as (near, far):
        near.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1_000)
        proxy.unplug()
        near.sendall(b"into the void")
        with pytest.raises(TimeoutError, match="Connection timed out"):
            near.recv(1)
        assert is_silent(far)


def test_a_frozen_server_is_not_noticed_by_the_user_timeout(proxy: Proxy, server: Server) -> None:
    with joined(proxy, server) as (near, _):
        near.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 500)
        proxy.partition()
        near.sendall(b"into the void")
        assert is_silent(near, 2)


def test_after_a_cut_cable_everything_arrives(proxy: Proxy, server: Server) -> None:
    with joined(proxy, server) as (near, far):
        proxy.unplug()
        proxy.unplug()
        near.sendall(b"up")
        far.sendall(b"down")
        assert is_silent(near)
        with pytest.raises(TimeoutError):
            socket.create_connection((LOOPBACK, proxy.port), timeout=0.3)
        proxy.heal()
        assert read(far, 2) == b"up"
        assert read(near, 4) == b"down"
    with joined(proxy, server) as (near, far):
        near.sendall(b"new")
        assert read(far, 3) == b"new"


def test_latency_delays_each_way_and_is_pipelined(proxy: Proxy, server: Server) -> None:
    proxy.set(Faults(latency_ms=200))
    with joined(proxy, server) as (near, far):
        began = time.monotonic()
        for _ in range(150):
            near.sendall(b"x")
            time.sleep(0.005)
        read(far, 150)
        far.sendall(b"y")
        read(near, 1)
        took = time.monotonic() - began
    assert took >= 0.4
    # One after another, they would take 30 s.
    assert took < 20


def test_jitter_varies_with_the_seed_and_keeps_the_order(server: Server) -> None:
    with Proxy(server.port, seed=7) as proxy:
        proxy.set(Faults(latency_ms=20, jitter_ms=20))
        with joined(proxy, server) as (near, far):
            for number in range(50):
                near.sendall(bytes([number]))
                time.sleep(0.001)
            assert read(far, 50) == bytes(range(50))


def test_bandwidth_is_kept(proxy: Proxy, server: Server) -> None:
    proxy.set(Faults(bandwidth=100_000), way=Way.UP)
    with joined(proxy, server) as (near, far):
        began = time.monotonic()
        near.sendall(bytes(50_000))
        read(far, 50_000)
        assert time.monotonic() - began >= 0.45


def test_slices_are_small_writes(proxy: Proxy, server: Server) -> None:
    proxy.set(Faults(slice_bytes=10, slice_gap_ms=20), way=Way.UP)

    def arrives_in_slices() -> bool:
        with joined(proxy, server) as (near, far):
            near.sendall(bytes(200))
            sizes: list[int] = []
            while sum(sizes) < 200:
                sizes.append(len(far.recv(1000)))
        return len(sizes) > 2

    # A late reader finds some joined, and a very late one all.
    assert eventually(arrives_in_slices)


@pytest.mark.parametrize("count", [0, 1, 5_000])
def test_a_connection_is_cut_after_exactly_so_many_bytes(proxy: Proxy, server: Server, count: int) -> None:
    proxy.set(Faults(cut_after=count), way=Way.UP)
    with joined(proxy, server) as (near, far):
        near.sendall(bytes(20_000))
        assert len(read_until_reset(far)) == count
        with pytest.raises(ConnectionResetError):
            near.recv(1)


def test_a_slow_reader_is_felt_by_the_writer(proxy: Proxy, server: Server) -> None:
    with joined(proxy, server) as (near, far):
        sent = write_until_full(near, 200_000_000)
        assert read(far, sent) == bytes(sent)


def test_ten_thousand_small_messages_go_there_and_back_in_seconds(proxy: Proxy, server: Server) -> None:
    with joined(proxy, server) as (near, far):

        def echo() -> None:
            while chunk := far.recv(65_536):
                far.sendall(chunk)

        echoing = threading.Thread(target=echo)
        echoing.start()
        began = time.monotonic()
        for _ in range(10_000):
            near.sendall(b"x" * 64)
            read(near, 64)
        took = time.monotonic() - began
        near.shutdown(socket.SHUT_WR)
        echoing.join()
    # Whoever waited for a tick of a clock each time would need minutes.
    assert took < 60


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_nothing_is_left_behind(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    # Whoever picks a port keeps its name open.
    port = free_port()
    monkeypatch.setattr("atum_ops.chaos.proxy.free_port", lambda: port)
    before = open_files()
    with Proxy(server.port) as proxy:
        proxy.set(Faults(latency_ms=1000))
        with joined(proxy, server) as (near, _), joined(proxy, server):
            near.sendall(b"on its way")
            proxy.partition()
            with dial(proxy.port):
                assert eventually(lambda: proxy.connections == 3)
            left = dial(proxy.port)
            assert proxy.connections
    with left, pytest.raises(ConnectionResetError):
        left.recv(1)
    # Others may let go of theirs meanwhile.
    assert eventually(lambda: open_files() <= before)
    assert not any(one.name == f"chaos-proxy-{proxy.port}" for one in threading.enumerate())


def test_a_url_keeps_everything_but_the_address(proxy: Proxy) -> None:
    port = proxy.port
    assert proxy.url("postgresql://atum:s%40c@127.0.0.1:5/mail?a=b") == (
        f"postgresql://atum:s%40c@127.0.0.1:{port}/mail?a=b"
    )
    assert proxy.url("http://127.0.0.1:5") == f"http://127.0.0.1:{port}"


def test_a_senseless_fault_is_refused() -> None:
    with pytest.raises(ValueError, match="bandwidth is 0, below 1"):
        Faults(bandwidth=0)


class SlowHand(Proxy):
    """Takes its time between the decision to ring and the ringing."""

    def _ring(self) -> None:
        time.sleep(0.1)
        super()._ring()


def test_a_proxy_that_has_traffic_while_it_is_told_to_end_ends_quietly(server: Server) -> None:
    over = threading.Event()

    def chatter(client: socket.socket) -> None:
        with suppress(OSError):
            while not over.wait(0.005):
                client.sendall(b"x")

    with SlowHand(server.port) as proxy:
        client = socket.create_connection((LOOPBACK, proxy.port))
        accepted = server.take()
        talker = threading.Thread(target=chatter, args=(client,))
        talker.start()
    over.set()
    talker.join()
    client.close()
    accepted.close()
