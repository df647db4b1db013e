"""A private PostgreSQL server."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from typing import TYPE_CHECKING

from psycopg import pq

from atum_ops.stack.account import hand_over, reachable, unprivileged
from atum_ops.stack.find import find_postgres, usual_places
from atum_ops.stack.node import Node
from atum_ops.stack.ports import LOOPBACK
from atum_ops.stack.pristine import SUPERUSER, Pristine
from atum_ops.stack.process import GuardedProcess
from atum_schema.errors import StackError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

POSTGRES_REMEDY = "PostgreSQL is not installed. On Debian or Ubuntu: apt-get install postgresql"

#: For a laptop: memory and WAL large enough for a load test, crash safety as shipped (fsync stays on).
SETTINGS: Mapping[str, str] = {
    "listen_addresses": LOOPBACK,
    # None at all: a path below a deep directory would exceed the 107 bytes of a socket's name.
    "unix_socket_directories": "",
    "fsync": "on",
    "shared_buffers": "256MB",
    "max_connections": "200",
    "max_wal_size": "2GB",
    "wal_compression": "on",
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

    def __init__(self, directory: Path, *, port: int | None = None, pristine: Pristine | None = None) -> None:
        programs = find_postgres(usual_places())
        if programs is None:
            raise StackError(POSTGRES_REMEDY)
        self._programs = programs
        self._account = unprivileged()
        super().__init__(reachable(directory, self._account), port=port)
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
        """Whether it accepts connections: libpq's PQping, which needs no login."""
        if not self.running:
            return False
        answer = pq.PGconn.ping(f"host={LOOPBACK} port={self.port} connect_timeout=2".encode())
        return pq.Ping(answer) is pq.Ping.OK

    def version(self) -> str:
        """Give the product and version, as `postgres --version` tells them."""
        output = subprocess.run(
            [str(self._programs / "postgres"), "--version"], capture_output=True, text=True, check=True
        ).stdout
        return f"PostgreSQL {output.split()[2]}"

    def _launch(self) -> GuardedProcess:
        if not self.data.exists():
            self.pristine.copy_to(self.data)
        hand_over(self.directory, self._account)
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
        shutil.rmtree(self.data, ignore_errors=False)
