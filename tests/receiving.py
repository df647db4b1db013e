"""A receiver of webhooks for tests: it keeps what was posted to it, and answers as it is told."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Received(NamedTuple):
    """One POST: when it came (unix seconds), its path, headers and event."""

    at: float
    path: str
    headers: dict[str, str]
    event: dict[str, Any]

    @property
    def trace(self) -> str:
        return self.headers["x-pm-webhook-trace-id"]

    @property
    def about(self) -> tuple[str, str]:
        return self.event["RecordType"], self.event.get("Recipient") or self.event.get("Email") or ""


class Receiver:
    """What came, and `answer`, which gives the status for each."""

    def __init__(self) -> None:
        self.url = ""
        self.received: list[Received] = []
        #: How many were opened.
        self.connections = 0
        self.answer: Callable[[Received], int] = lambda _: 200

    def about(self, *address: str) -> list[tuple[str, str]]:
        """Give record type and recipient of what came, in order; of some recipients or of all."""
        return [one.about for one in self.received if not address or one.about[1] in address]


def after(seconds: float) -> int:
    """Answer 200, but only so many seconds later."""
    time.sleep(seconds)
    return 200


@contextmanager
def receiver() -> Iterator[Receiver]:
    """Run a receiver on a free port."""
    kept = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            kept.connections += 1

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            one = Received(time.time(), self.path, headers, orjson.loads(body))
            kept.received.append(one)
            self.send_response(kept.answer(one))
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            """Say nothing of a sender that went away."""

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        kept.url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield kept
        finally:
            server.shutdown()
            thread.join()
