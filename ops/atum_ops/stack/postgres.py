"""A private PostgreSQL server."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from typing import TYPE_CHECKING

import psycopg
from psycopg import pq

from atum_ops.stack.account import hand_over, reachable, unprivileged
from atum_ops.stack.find import Places, find_postgres, usual_places
from atum_ops.stack.node import Node
from atum_ops.stack.packages import POSTGRES_PACKAGE, remedy
from atum_ops.stack.ports import LOOPBACK
from atum_ops.stack.pristine import SUPERUSER, Pristine
from atum_ops.stack.process import GuardedProcess
from atum_schema.errors import StackError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_ANSWER_SECONDS = 2

#: For a laptop: memory and WAL large enough for a load test, crash safety as shipped (fsync stays on).
SETTINGS: Mapping[str, str] = {
    "listen_addresses": LOOPBACK,
    # None at all: a path below a deep directory would exceed the 107 bytes of a socket's name.
    "unix_socket_directories": "",
    "fsync": "on",
    "shared_buffers": "256MB",
    "max_connections": "200",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "logging_collector": "off",
    "log_destination": "stderr",
}


class PostgresNode(Node):
    """A PostgreSQL server of our own: superuser `atum`, a random password, database `postgres`.

    `pristine` shares one initialised cluster between nodes (they share its password too); by default the
    node makes its own, once, so that a wipe is a copy (0.1 s) and not an initdb (1 s). As root it runs as
    the user `postgres`, else `nobody`; where that user cannot reach `directory`, the attribute `directory`
    names a temporary one instead. Raises StackError when PostgreSQL is not installed.
    """

    kind = "PostgreSQL"

    def __init__(
        self,
        directory: Path,
        *,
        port: int | None = None,
        pristine: Pristine | None = None,
        places: Places | None = None,
    ) -> None:
        programs = find_postgres(places or usual_places())
        if programs is None:
            raise StackError(remedy([POSTGRES_PACKAGE]))
        self._programs = programs
        self._account = unprivileged()
        super().__init__(reachable(directory, self._account), port=port)
        hand_over(self.directory, self._account)
        #: The empty cluster this node copies; may be shared.
        self.pristine = pristine or Pristine(
            self.directory / "pristine", programs=programs, account=self._account
        )

    @property
    def data(self) -> Path:
        """The data directory (PGDATA)."""
        return self.directory / "data"

    @property
    def url(self) -> str:
        """`postgresql://atum:…@127.0.0.1:PORT/postgres`."""
        return f"postgresql://{SUPERUSER}:{self.pristine.password}@{LOOPBACK}:{self.port}/postgres"

    def is_ready(self) -> bool:
        """Whether a client can log in."""
        if not self.running:
            return False
        # PQping alone would be content with another server that took the port; login alone fills the log.
        address = f"host={LOOPBACK} port={self.port} connect_timeout={_ANSWER_SECONDS}"
        return pq.Ping(pq.PGconn.ping(address.encode())) is pq.Ping.OK and self._lets_in()

    def version(self) -> str:
        """Give the product and version, as `postgres --version` tells them."""
        output = subprocess.run(
            [str(self._programs / "postgres"), "--version"], capture_output=True, text=True, check=True
        ).stdout
        return f"PostgreSQL {output.split()[2]}"

    def _lets_in(self) -> bool:
        try:
            psycopg.connect(self.url, connect_timeout=_ANSWER_SECONDS).close()
        except psycopg.OperationalError:
            return False
        return True

    def _launch(self) -> GuardedProcess:
        if not self.data.exists():
            self.pristine.copy_to(self.data)
        options = [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]
        return GuardedProcess(
            [str(self._programs / "postgres"), "-D", str(self.data), "-p", str(self.port), *options],
            directory=self.directory,
            environment={**os.environ, "LC_ALL": "C"},
            log=self.log,
            account=self._account,
        )

    def _ask_to_stop(self, process: GuardedProcess) -> None:
        # "Fast" shutdown: SIGTERM would wait for every client to leave (PostgreSQL docs, Shutting Down the Server).
        process.signal(signal.SIGINT)

    def _delete_data(self) -> None:
        if self.data.exists():
            shutil.rmtree(self.data)
