"""HTTP for one POST that must end by a deadline and must not be completed after it.

httpx's timeouts are per read: a server that drips one byte at a time outlives them. Here every read and write of
the socket gets what is left of a *total* deadline, so the whole exchange ends in time.
"""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import httpcore
import httpx

from atum_workers.deadline import DeadlineExceeded

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable, Iterator

    from atum_workers.deadline import Deadline

_CONNECTIONS: Final = 256
# How long the kernel keeps trying to deliver bytes that nobody acknowledges (tcp(7), TCP_USER_TIMEOUT).
_USER_TIMEOUT_MS: Final = 20_000
# Closing sends RST instead of waiting politely: what was abandoned must not be completed by bytes still queued.
_RST_ON_CLOSE: Final = struct.pack("ii", 1, 0)
SOCKET_OPTIONS: Final = (
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _USER_TIMEOUT_MS),
    (socket.SOL_SOCKET, socket.SO_LINGER, _RST_ON_CLOSE),
)


class Clock(threading.local):
    """The deadline of the exchange that this thread is in."""

    deadline: Deadline | None = None

    @contextmanager
    def bound(self, deadline: Deadline) -> Iterator[None]:
        """Bind every socket operation of this thread to the deadline."""
        self.deadline = deadline
        try:
            yield
        finally:
            self.deadline = None

    def cut(self, timeout: float | None, expired: type[Exception]) -> float | None:
        """Shorten a timeout to what is left. Raises `expired` when nothing is."""
        if self.deadline is None:
            return timeout
        left = self.deadline.remaining()
        if left <= 0:
            raise expired("the total deadline has passed")
        return left if timeout is None else min(timeout, left)


def client(base_url: str, headers: dict[str, str], clock: Clock) -> httpx.Client:
    """Make the client: no redirects, no retries, no proxies from the environment, RST on close."""
    transport = httpx.HTTPTransport(socket_options=list(SOCKET_OPTIONS), retries=0)
    # httpx has no parameter for the network backend of its pool; a test fails if this attribute goes away.
    transport._pool = httpcore.ConnectionPool(  # noqa: SLF001
        ssl_context=httpx.create_ssl_context(),
        max_connections=_CONNECTIONS,
        max_keepalive_connections=_CONNECTIONS,
        # Shorter than any proxy's, so that a POST rarely meets a connection that is just being closed.
        keepalive_expiry=5.0,
        http1=True,
        retries=0,
        socket_options=list(SOCKET_OPTIONS),
        network_backend=_Backend(clock),
    )
    return httpx.Client(
        base_url=base_url,
        headers=headers,
        transport=transport,
        follow_redirects=False,
        trust_env=False,
        timeout=httpx.Timeout(None, connect=10.0),
    )


def untie(error: BaseException) -> None:
    """Let go of what an error and its causes hold, the body of the request among it.

    h11 raises what it says of a peer from a method of the error itself: a circle that stays until somebody looks for garbage.
    """
    cause: BaseException | None = error
    while cause is not None and cause.__traceback__ is not None:
        cause.__traceback__ = None
        cause = cause.__cause__ or cause.__context__


class _Backend(httpcore.NetworkBackend):
    def __init__(self, clock: Clock) -> None:
        self._inner = httpcore.SyncBackend()
        self._clock = clock

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        timeout = self._clock.cut(timeout, httpcore.ConnectTimeout)
        stream = self._inner.connect_tcp(host, port, timeout, local_address, socket_options)
        return _Stream(stream, self._clock)

    def sleep(self, seconds: float) -> None:
        self._inner.sleep(seconds)


class _Stream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream, clock: Clock) -> None:
        self._inner = inner
        self._clock = clock

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, self._clock.cut(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        sock = self.get_extra_info("socket")
        view = memoryview(buffer)
        try:
            # httpcore's own loop gives every send the whole timeout: a slow reader would outlive the deadline.
            while view:
                sock.settimeout(self._clock.cut(timeout, httpcore.WriteTimeout))
                view = view[sock.send(view) :]
        except TimeoutError as error:
            raise httpcore.WriteTimeout(str(error)) from error
        except OSError as error:
            raise httpcore.WriteError(str(error)) from error

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        timeout = self._clock.cut(timeout, httpcore.ConnectTimeout)
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, timeout), self._clock)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


_LAST: Final = 64


def withheld(body: bytes, deadline: Deadline) -> Iterator[bytes]:
    """Give the body in two parts; the last bytes only after a final check of the deadline.

    A server cannot accept a request whose end it has not seen, so a process that was frozen before this point
    has sent nothing. Raises `DeadlineExceeded`.
    """
    yield body[:-_LAST]
    if deadline.remaining() <= 0:
        raise DeadlineExceeded("frozen before the end of the request")
    yield body[-_LAST:]
