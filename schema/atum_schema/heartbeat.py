"""Saying that a process of ours is at work: one row each, renewed every few seconds on a thread and a connection of its own.

Nothing waits for it, and nothing depends on it: while the database is away it keeps silent, and goes on afterwards.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
import uuid
from contextlib import suppress
from importlib.metadata import version
from typing import TYPE_CHECKING, Final, Self

import psycopg

from atum_schema import database, traces
from atum_schema.seldom import Seldom

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from atum_schema.database import Connection

log = logging.getLogger(__name__)

EVERY_S: Final = 5.0
"""Seconds between two signs of life."""

_GOOD_BYE_S: Final = 2

BEAT: Final = """
INSERT INTO atum.part AS p (id, kind, name, version, worked_at, broker, lanes)
VALUES (%(id)s, %(kind)s, %(name)s, %(version)s, clock_timestamp() - make_interval(secs => %(idle_s)s), %(broker)s,
        %(lanes)s)
ON CONFLICT (id) DO UPDATE
SET seen_at = clock_timestamp(), worked_at = greatest(p.worked_at, excluded.worked_at), ended_at = NULL,
    broker = excluded.broker, lanes = excluded.lanes
"""

GOOD_BYE: Final = (
    "UPDATE atum.part SET seen_at = clock_timestamp(), ended_at = clock_timestamp() WHERE id = %(id)s"
)

FORGET: Final = "DELETE FROM atum.part WHERE seen_at < clock_timestamp() - interval '1 day'"


def process_name() -> str:
    """Name this process: its host and its id, as batches and signs of life have it."""
    return f"{socket.gethostname()}:{os.getpid()}"


def forget(connection: Connection) -> None:
    """Forget the processes that nobody has seen for a day."""
    connection.execute(FORGET)


class Heartbeat(threading.Thread):
    """Says every few seconds that this process is at work, and when it last got something done; says good-bye at the end.

    A context manager: it starts, and ends by `close`. `kind` is `relay`, `worker`, `intake`, `api` or `webhooks`. `broker`
    says how the process fares with RabbitMQ: `connected`, `blocked` or `away`; None where it does not talk to it. `lanes` are
    those that it serves.
    """

    def __init__(
        self,
        database_url: str,
        kind: str,
        *,
        every_s: float = EVERY_S,
        broker: Callable[[], str | None] = lambda: None,
        lanes: Sequence[str] = (),
    ) -> None:
        super().__init__(name="atum-heartbeat", daemon=True)
        self._url = database_url
        self._kind = kind
        self._every_s = every_s
        self._broker = broker
        self._lanes = list(lanes)
        self._name = process_name()
        self._version = version("atum-mailer")
        self._id = uuid.uuid4()
        self._closing = threading.Event()
        self._complaints = Seldom()
        self._worked: float | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def worked(self) -> None:
        """Note that the process has just done what it is there for. Costs nothing, from any thread."""
        self._worked = time.monotonic()

    def close(self) -> None:
        """Say good-bye, and end. A database that is away is not waited for."""
        self._closing.set()
        if self.is_alive():
            self.join(_GOOD_BYE_S)

    def run(self) -> None:
        """Beat until `close`."""
        while not self._closing.is_set():
            try:
                with database.connect(self._url, name="heartbeat") as connection:
                    self._beat_on(connection)
            except psycopg.Error as error:
                # A schema that is too old for it is no reason not to work.
                if self._complaints.due():
                    log.info("heartbeat: the database is away; going on", extra=traces.kind(error))
                self._closing.wait(self._every_s)

    def _beat_on(self, connection: Connection) -> None:
        while True:
            self._beat(connection)
            if self._closing.wait(self._every_s):
                with suppress(psycopg.Error):
                    connection.execute(GOOD_BYE, {"id": self._id})
                return

    def _beat(self, connection: Connection) -> None:
        worked = self._worked
        values = {
            "id": self._id,
            "kind": self._kind,
            "name": self._name,
            "version": self._version,
            "idle_s": None if worked is None else time.monotonic() - worked,
            "broker": self._broker(),
            "lanes": self._lanes,
        }
        connection.execute(BEAT, values)
