"""A server that reads slowly: writing has a total deadline too."""

from __future__ import annotations

import socket
import time

from atum_workers.deadline import Deadline
from atum_workers.outcome import Deferred, Unclear
from atum_workers.postmark import Postmark
from tests.integration.test_transport import MAIL, SOON, Peer, serving


def test_a_server_that_reads_slowly_does_not_outlive_the_deadline() -> None:
    def script(peer: Peer) -> None:
        peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        try:
            while peer.socket.recv(65536):
                time.sleep(0.2)
        except ConnectionResetError:
            pass

    with serving(script) as server:
        provider = Postmark(base_url=server.url, token="t")
        started = time.monotonic()
        (outcome,) = provider.post([{**MAIL, "TextBody": "x" * 20_000_000}], Deadline.start(1.0))
        elapsed = time.monotonic() - started
        provider.close()
    assert isinstance(outcome, Deferred | Unclear)
    assert elapsed < SOON
