"""What both kinds of private server have in common: a directory, a port, a life."""

from __future__ import annotations

import contextlib
import re
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Self

from atum_ops.stack.ports import free_port
from atum_schema.errors import StackError

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from atum_ops.stack.process import GuardedProcess

_POLL_SECONDS = 0.05
_PORT_TRIES = 5
_TAIL_BYTES = 4_000
_COLOUR = re.compile(rb"\x1b\[[0-9;]*m")
_ADDRESS_IN_USE = re.compile(rb"address already in use|eaddrinuse", re.IGNORECASE)


class Node(ABC):
    """A private server on 127.0.0.1 that keeps its data in `directory`.

    `port` fixes the TCP port; by default a free one is picked at the first start and kept for the node's
    life, through restarts and wipes. All of it ends when this process ends, however that happens. Not safe
    to share between threads. Every method that starts raises StackError, with the end of the server's log,
    when the server does not become ready within `start_seconds`.
    """

    start_seconds = 60.0
    stop_seconds = 30.0
    #: What people call it.
    kind = "server"

    def __init__(self, directory: Path, *, port: int | None = None) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory.resolve()
        self._port = port
        self._process: GuardedProcess | None = None
        self._log_start = 0

    @property
    def port(self) -> int:
        """TCP port on 127.0.0.1. Raises StackError before the first start when none was given."""
        if self._port is None:
            raise StackError(f"{self.kind} has no port yet; start it first")
        return self._port

    @property
    @abstractmethod
    def url(self) -> str:
        """Connection URL with user and password."""

    @property
    def log(self) -> Path:
        """The server's log file."""
        return self.directory / "server.log"

    @property
    def running(self) -> bool:
        """Whether any of its processes is alive (also when frozen)."""
        return self._process is not None and self._process.running

    @property
    def pid(self) -> int:
        """Process id of the server. Raises StackError when it does not run."""
        pid = self._server_pid(self._process) if self._process is not None and self._process.running else None
        if pid is None:
            raise StackError(f"{self.kind} is not running")
        return pid

    def processes(self) -> list[int]:
        """Process ids of the server and of all it forked."""
        return [] if self._process is None else self._process.tree()

    def start(self) -> None:
        """Start and wait until ready. Does nothing when it runs."""
        if self.running:
            return
        chosen = self._port is not None
        for tries_left in reversed(range(_PORT_TRIES)):
            self._port = self._port if chosen else free_port()
            try:
                self._start_once()
            except StackError:
                if chosen or tries_left == 0 or not _ADDRESS_IN_USE.search(self._log_since_start()):
                    if not chosen:
                        self._port = None
                    raise
            else:
                return

    def stop(self) -> None:
        """Shut down in order and wait; SIGKILL what is left after `stop_seconds`. Resumes a frozen node first."""
        if self._process is None:
            return
        self._process.resume()
        self._ask_to_stop(self._process)
        if not self._process.wait(self.stop_seconds):
            self._process.kill()
        self._process = None

    def kill(self) -> None:
        """SIGKILL the server and everything it forked, as a power cut would; the data stay."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def restart(self) -> None:
        """Stop in order, start again on the same port with the same data."""
        self.stop()
        self.start()

    def wipe(self) -> None:
        """Lose everything: kill, delete the data, start empty on the same port with the same URL."""
        self.kill()
        self._delete_data()
        self.start()

    def freeze(self) -> None:
        """SIGSTOP everything: connections stay open and nothing answers."""
        if self._process is not None:
            self._process.freeze()

    def resume(self) -> None:
        """SIGCONT everything."""
        if self._process is not None:
            self._process.resume()

    @abstractmethod
    def is_ready(self) -> bool:
        """Whether it serves clients now. Never raises; takes at most about two seconds."""

    @abstractmethod
    def version(self) -> str:
        """Product and version, such as "PostgreSQL 15.8"."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.stop()
        finally:
            self.kill()

    @abstractmethod
    def _launch(self) -> GuardedProcess:
        """Prepare the directory where needed and start the processes."""

    @abstractmethod
    def _ask_to_stop(self, process: GuardedProcess) -> None:
        """Begin an orderly shutdown."""

    @abstractmethod
    def _delete_data(self) -> None:
        """Delete what a fresh node would not have; the node does not run."""

    def _server_pid(self, process: GuardedProcess) -> int | None:
        return process.pid

    def _start_once(self) -> None:
        self._log_start = self.log.stat().st_size if self.log.exists() else 0
        # A local name: another thread may kill us meanwhile, which clears the attribute.
        process = self._process = self._launch()
        deadline = time.monotonic() + self.start_seconds
        with contextlib.ExitStack() as undo:
            undo.callback(self.kill)
            while not self.is_ready():
                if not process.running:
                    raise StackError(self._failure("ended while starting"))
                if time.monotonic() > deadline:
                    raise StackError(self._failure(f"was not ready after {self.start_seconds:g} s"))
                time.sleep(_POLL_SECONDS)
            undo.pop_all()

    def _failure(self, what: str) -> str:
        tail = _COLOUR.sub(b"", self._log_since_start())[-_TAIL_BYTES:].decode(errors="replace").strip()
        return f"{self.kind} in {self.directory} {what}. The end of its log ({self.log}):\n{tail}"

    def _log_since_start(self) -> bytes:
        if not self.log.exists():
            return b""
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            return log.read()
