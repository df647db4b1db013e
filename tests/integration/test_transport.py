"""One POST against a raw socket server that behaves badly."""

from __future__ import annotations

import gc
import select
import socket
import threading
import time
import tracemalloc
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import httpx
import orjson
import pytest

from atum_workers import transport
from atum_workers.deadline import Deadline
from atum_workers.outcome import Accepted, Deferred, Outcome, Unclear
from atum_workers.postmark import Postmark
from tests.deadlines import OnceSent
from tests.nodes import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OK: Final = orjson.dumps({"ErrorCode": 0, "Message": "OK", "MessageID": "m-1"})
MAIL: Final[dict[str, Any]] = {"From": "a@example.com", "To": "b@example.org", "TextBody": "x" * 2000}
# Far longer than a deadline of these tests, far shorter than what the servers would drag them out to.
SOON: Final = 20.0
#: Nobody listens there, and nobody begins to.
NOWHERE: Final = "http://127.0.0.1:1"


def response(body: bytes, *, status: str = "200 OK", extra: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{extra}\r\n".encode() + body


@dataclass(slots=True, kw_only=True)
class Peer:
    """One connection, as the server sees it."""

    socket: socket.socket
    received: bytearray = field(default_factory=bytearray)
    #: How it ended: "closed" politely, or "reset".
    ended: str = ""

    def read(self) -> bool:
        """Read what is there or comes; False at the end of the connection."""
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            self.ended = "reset"
            return False
        self.received += data
        self.ended = "" if data else "closed"
        return bool(data)

    @property
    def head(self) -> str:
        return self.received.partition(b"\r\n\r\n")[0].decode()

    @property
    def body(self) -> bytes:
        return bytes(self.received.partition(b"\r\n\r\n")[2])

    def complete(self) -> bool:
        length = [line for line in self.head.splitlines() if line.lower().startswith("content-length:")]
        return bool(length) and len(self.body) >= int(length[0].partition(":")[2])

    def read_request(self) -> None:
        while not self.complete() and self.read():
            pass

    def read_to_the_end(self) -> None:
        while self.read():
            pass

    def gone(self) -> bool:
        return bool(select.select([self.socket], [], [], 0)[0]) and not self.read()


@dataclass(slots=True, kw_only=True)
class Server:
    url: str
    port: int
    peers: list[Peer]
    threads: list[threading.Thread]

    def finish(self) -> list[Peer]:
        """Wait until every connection is over, one at least; give them all."""
        assert eventually(lambda: bool(self.threads))
        for thread in self.threads:
            thread.join(SOON)
            assert not thread.is_alive(), "a connection was left open"
        return self.peers


@contextmanager
def serving(script: Callable[[Peer], None]) -> Iterator[Server]:
    """A server on a free port that runs the script for each connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        server = Server(url=f"http://127.0.0.1:{port}", port=port, peers=[], threads=[])

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                peer = Peer(socket=connection)
                server.peers.append(peer)
                thread = threading.Thread(target=run, args=(peer,), daemon=True)
                server.threads.append(thread)
                thread.start()

        def run(peer: Peer) -> None:
            with peer.socket:
                peer.socket.settimeout(30)
                script(peer)

        acceptor = threading.Thread(target=accept, daemon=True)
        acceptor.start()
        try:
            yield server
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            acceptor.join()


def post(url: str, *, seconds: float = 60.0, mails: int = 1) -> list[Outcome]:
    provider = Postmark(base_url=url, token="secret-token")
    try:
        return provider.post([MAIL] * mails, Deadline.start(seconds))
    finally:
        provider.close()


def post_and_wait(url: str, seconds: float) -> Outcome:
    """Post one mail, and wait for the answer for so long once the request is out."""
    once = OnceSent(seconds)
    provider = Postmark(base_url=url, token="secret-token", reached=once.reached)
    try:
        (outcome,) = provider.post([MAIL], once.deadline)
    finally:
        provider.close()
    return outcome


def answer_ok(peer: Peer) -> None:
    peer.read_request()
    peer.socket.sendall(response(OK))
    peer.read_to_the_end()


def test_a_good_answer_is_an_acceptance() -> None:
    with serving(answer_ok) as server:
        assert post(server.url) == [Accepted(message_id="m-1")]


def test_the_request_has_a_length_its_token_and_its_whole_body() -> None:
    with serving(answer_ok) as server:
        post(server.url)
        (peer,) = server.finish()
    head = peer.head.lower()
    assert head.startswith("post /email http/1.1")
    assert f"content-length: {len(peer.body)}" in head
    assert "transfer-encoding" not in head
    assert "x-postmark-server-token: secret-token" in head
    assert "accept: application/json" in head
    assert orjson.loads(peer.body) == MAIL


def test_several_mails_go_to_the_batch_endpoint() -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.socket.sendall(response(b"[" + OK + b"," + OK + b"]"))
        peer.read_to_the_end()

    with serving(script) as server:
        assert post(server.url, mails=2) == [Accepted(message_id="m-1")] * 2
        (peer,) = server.finish()
    assert peer.head.lower().startswith("post /email/batch http/1.1")


def test_a_connection_is_used_again() -> None:
    def script(peer: Peer) -> None:
        for _ in range(3):
            peer.read_request()
            peer.socket.sendall(response(OK))
            peer.received.clear()
        peer.read_to_the_end()

    with serving(script) as server:
        provider = Postmark(base_url=server.url, token="t")
        for _ in range(3):
            assert provider.post([MAIL], Deadline.start(60)) == [Accepted(message_id="m-1")]
        provider.close()
        assert len(server.finish()) == 1


def test_a_connection_that_the_server_closed_while_it_was_idle_is_not_used() -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.socket.sendall(response(OK))

    with serving(script) as server:
        provider = Postmark(base_url=server.url, token="t")
        for turn in range(1, 3):
            assert provider.post([MAIL], Deadline.start(60)) == [Accepted(message_id="m-1")]
            assert len(server.finish()) == turn
        provider.close()


def drip(head: bytes) -> Callable[[Peer], None]:
    def script(peer: Peer) -> None:
        peer.read_request()
        try:
            peer.socket.sendall(head)
            give_up_at = time.monotonic() + 3 * SOON
            while not peer.gone() and time.monotonic() < give_up_at:
                peer.socket.sendall(b" ")
                time.sleep(0.05)
        except (ConnectionResetError, BrokenPipeError):
            peer.ended = "reset"

    return script


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n186a0\r\n",
        b"HTTP/1.1 200 OK\r\nX-Never-Ends: ",
    ],
    ids=["body", "chunk", "header"],
)
def test_a_dripping_server_does_not_outlive_the_deadline_and_is_reset(head: bytes) -> None:
    with serving(drip(head)) as server:
        started = time.monotonic()
        outcome = post_and_wait(server.url, 0.5)
        assert time.monotonic() - started < SOON
        assert isinstance(outcome, Unclear)
        assert outcome.reason == "no_answer"
        (peer,) = server.finish()
    assert peer.ended == "reset"


def test_a_silent_server_is_abandoned_at_the_deadline_with_a_reset() -> None:
    with serving(Peer.read_to_the_end) as server:
        started = time.monotonic()
        outcome = post_and_wait(server.url, 0.3)
        assert 0.2 < time.monotonic() - started < SOON
        assert isinstance(outcome, Unclear)
        (peer,) = server.finish()
    assert peer.complete()
    assert peer.ended == "reset"


@pytest.mark.parametrize("size", [2_000, 400_000])
def test_a_process_that_was_frozen_before_the_last_bytes_never_completes_the_request(
    monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    clock = [0.0]
    whole: list[bytes] = []

    def frozen_in_between(body: bytes, deadline: Deadline) -> Iterator[bytes]:
        whole.append(body)
        parts = real(body, deadline)
        yield next(parts)
        give_up_at = time.monotonic() + SOON
        while not (server.peers and server.peers[0].body) and time.monotonic() < give_up_at:
            time.sleep(0.01)
        clock[0] = 3600.0
        yield from parts

    real = transport.withheld
    monkeypatch.setattr(transport, "withheld", frozen_in_between)
    with serving(Peer.read_to_the_end) as server:
        provider = Postmark(base_url=server.url, token="t")
        deadline = Deadline.start(60, boot=lambda: clock[0], wall=lambda: clock[0])
        (outcome,) = provider.post([{**MAIL, "TextBody": "x" * size}], deadline)
        (peer,) = server.finish()
        provider.close()
    assert isinstance(outcome, Deferred)
    assert (outcome.reason, outcome.charged) == ("not_sent", False)
    assert peer.ended == "reset"
    assert 0 < len(peer.body) <= len(whole[0]) - 64
    assert not peer.complete()


def test_nothing_is_sent_once_the_deadline_has_passed() -> None:
    with serving(Peer.read_to_the_end) as server:
        (outcome,) = post(server.url, seconds=0.0)
    assert isinstance(outcome, Deferred)
    assert not outcome.charged
    assert not any(peer.received for peer in server.peers)


def test_a_redirect_is_not_followed() -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.socket.sendall(response(b"", status="307 Temporary Redirect", extra="Location: /elsewhere\r\n"))
        peer.read_to_the_end()

    with serving(script) as server:
        (outcome,) = post(server.url)
        (peer,) = server.finish()
    assert isinstance(outcome, Unclear)
    assert outcome.http_status == 307
    assert peer.received.count(b"HTTP/1.1") == 1


def test_proxies_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(answer_ok) as proxy, serving(answer_ok) as server:
        for variable in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(variable, proxy.url)
            monkeypatch.setenv(variable.lower(), proxy.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        assert post(server.url) == [Accepted(message_id="m-1")]
        assert proxy.peers == []
        assert len(server.peers) == 1


def test_a_refused_connection_was_certainly_not_sent() -> None:
    (outcome,) = post(NOWHERE)
    assert outcome == Deferred(reason="not_sent", detail="not sent: ConnectError", charged=False)


def reset(peer: Peer) -> None:
    peer.read_request()
    peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, transport._RST_ON_CLOSE)


def half_an_answer(peer: Peer) -> None:
    peer.read_request()
    peer.socket.sendall(response(OK)[:-5])


def no_http(peer: Peer) -> None:
    peer.read_request()
    peer.socket.sendall(b"220 mail.example.com ESMTP\r\n")


def another_protocol(peer: Peer) -> None:
    peer.read_request()
    peer.socket.sendall(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")


def bad_gzip(peer: Peer) -> None:
    peer.read_request()
    peer.socket.sendall(response(OK, extra="Content-Encoding: gzip\r\n"))


BREAKING: Final = [Peer.read_request, reset, half_an_answer, no_http, another_protocol, bad_gzip]


@pytest.mark.parametrize("script", BREAKING)
def test_a_connection_that_breaks_after_the_request_leaves_the_outcome_unclear_without_a_second_post(
    script: Callable[[Peer], None],
) -> None:
    with serving(script) as server:
        outcomes = post(server.url, mails=3)
        peers = server.finish()
    assert {type(outcome) for outcome in outcomes} == {Unclear}
    assert len(outcomes) == 3
    assert len(peers) == 1


@pytest.mark.parametrize("script", BREAKING)
def test_nothing_of_a_mail_stays_in_memory_until_somebody_looks_for_garbage(
    script: Callable[[Peer], None],
) -> None:
    def forgetting(peer: Peer) -> None:
        script(peer)
        peer.received.clear()

    big = MAIL | {"TextBody": "x" * 3_000_000}
    with (
        serving(forgetting) as server,
        closing(Postmark(base_url=server.url, token="secret-token")) as provider,
    ):
        provider.post([big], Deadline.start(20))
        server.finish()
        gc.collect()
        gc.disable()
        try:
            tracemalloc.start()
            provider.post([big], Deadline.start(20))
            server.finish()
            kept, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
            gc.enable()
    assert kept < 1_000_000


def test_the_token_is_in_no_outcome_and_no_repr() -> None:
    with serving(reset) as server:
        provider = Postmark(base_url=server.url, token="secret-token")
        shown = f"{provider!r} {vars(provider)!r} {provider.post([MAIL], Deadline.start(60))!r}"
        provider.close()
    assert "secret-token" not in shown


def test_every_socket_operation_of_the_client_goes_through_the_clock() -> None:
    client = transport.client("http://127.0.0.1:9", {}, transport.Clock())
    try:
        assert isinstance(client._transport, httpx.HTTPTransport)
        assert isinstance(client._transport._pool._network_backend, transport._Backend)
        assert not client.follow_redirects
        assert not client.trust_env
    finally:
        client.close()
