"""The exporter's connection: one, kept, that can only read and never waits for long."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self

import psycopg

from atum_schema import database

if TYPE_CHECKING:
    from types import TracebackType

    from atum_schema.database import Connection

STATEMENT_S: Final = 2.0
"""How long the server works on one statement."""

_LOCK_S: Final = 1.0

LIMIT: Final = """
SELECT set_config('default_transaction_read_only', 'on', false),
       set_config('statement_timeout', %(statement_ms)s, false), set_config('lock_timeout', %(lock_ms)s, false)
"""


class Link:
    """Opens the connection when it is asked for, and again after `drop`. A context manager: drops it at the end.

    It is used by one thread; `cut` is for another one.
    """

    def __init__(self, url: str, *, statement_s: float = STATEMENT_S) -> None:
        self._url = url
        self._limits = {"statement_ms": f"{statement_s * 1000:.0f}", "lock_ms": f"{_LOCK_S * 1000:.0f}"}
        self._lock = threading.Lock()
        self._connection: Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.drop()

    def connection(self) -> Connection:
        """Give the connection. Raises `psycopg.Error`."""
        if self._connection is None:
            opened = database.connect(self._url, name="exporter")
            with self._lock:
                self._connection = opened
            opened.execute(LIMIT, self._limits)
        return self._connection

    def drop(self) -> None:
        """Close it, whatever state it is in."""
        with self._lock:
            left, self._connection = self._connection, None
            if left is not None:
                left.close()

    def cut(self) -> None:
        """Break it under the thread that waits on it: a server that is frozen answers no cancellation either."""
        with self._lock:
            if self._connection is not None:
                with suppress(OSError, psycopg.Error):
                    _shut(self._connection.fileno())


def _shut(descriptor: int) -> None:
    # A copy, since closing the socket object must not close libpq's own descriptor.
    with socket.socket(fileno=os.dup(descriptor)) as end:
        end.shutdown(socket.SHUT_RDWR)
