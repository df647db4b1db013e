"""Serving metrics by HTTP so that nobody who reaches the port harms the process: few at once, and none for long.

The server of prometheus_client begins a thread for whoever connects, waits for ever for what he says, and prints tracebacks
between the lines of the log. A Prometheus whose host was cut off costs it a thread and a descriptor for good.
"""

from __future__ import annotations

import logging
import socket
import sys
import threading
import time
from contextlib import suppress
from socketserver import TCPServer, ThreadingMixIn
from typing import TYPE_CHECKING, Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import make_wsgi_app
from prometheus_client.exposition import choose_encoder

from atum_schema import traces

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from prometheus_client import CollectorRegistry

log = logging.getLogger(__name__)

MOST: Final = 16
"""Requests at once; who comes besides is hung up on."""

TOTAL_S: Final = 10.0
"""From the connection to the last byte of the answer, whoever is slow: what scrapes wait for by default."""


def serve(registry: CollectorRegistry, host: str, port: int, *, total_s: float = TOTAL_S) -> int:
    """Serve metrics on daemon threads for as long as the process lives; give the port. Raises `OSError`."""
    server = _Server(host, port, _app(registry), total_s=total_s)
    threading.Thread(target=server.serve_forever, name="atum-metrics", daemon=True).start()
    return server.server_port


class _Handler(WSGIRequestHandler):
    def log_message(self, *_args: Any) -> None:
        """Say nothing: whoever asks may say anything."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 2 * MOST

    def __init__(self, host: str, port: int, app: Any, *, total_s: float) -> None:
        self._total_s = total_s
        self._lock = threading.Lock()
        #: Until when each connection may take.
        self._until: dict[Any, float] = {}
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        self.address_family, _, _, _, address = found[0]
        super().__init__((str(address[0]), port), _Handler)
        self.set_app(app)

    def server_bind(self) -> None:
        # Not HTTPServer's: it asks the DNS for a name that nobody needs.
        TCPServer.server_bind(self)
        host, port = self.server_address[:2]
        self.server_name, self.server_port = str(host), int(port)
        self.setup_environ()

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            has_room = len(self._until) < MOST
            if has_room:
                self._until[request] = time.monotonic() + self._total_s
        if has_room:
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._until.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Cut off who takes too long; called twice a second, and after each connection."""
        now = time.monotonic()
        with self._lock:
            late = [request for request, until in self._until.items() if until <= now]
            for request in late:
                # Not closed: its own thread does that, and another may have the descriptor by then.
                with suppress(OSError):
                    request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        del request, client_address
        error = sys.exception()
        if error is not None and not isinstance(error, OSError):
            _complain(error)


def _app(registry: CollectorRegistry) -> Callable[..., Iterable[bytes]]:
    inner = make_wsgi_app(registry)

    def app(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        environ["HTTP_ACCEPT"] = _understood(environ.get("HTTP_ACCEPT", ""))
        try:
            answer: Iterable[bytes] = inner(environ, start)
        except Exception as error:  # noqa: BLE001  wsgiref would print it
            _complain(error)
            start("500 Internal Server Error", [])
            return [b""]
        return answer

    return app


def _understood(accept: str) -> str:
    """Give what a client accepts, or nothing where the library trips over it: a version is whatever the client says."""
    try:
        choose_encoder(accept)
    except Exception:  # noqa: BLE001  the client's own fault, and no reason for a line of the log
        return ""
    return accept


def _complain(error: BaseException) -> None:
    log.error("metrics: a scrape could not be answered", extra=traces.where(error))
