"""One guarded server process: start, signal, freeze, kill, wait."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from atum_ops.stack import guard
from atum_schema.errors import StackError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from atum_ops.stack.account import Account

_KILL_SECONDS = 20.0
_POLL_SECONDS = 0.01


class GuardedProcess:
    """A server and everything it forks, under a guard that ends all of it when we or the server end.

    Output goes to the end of the file `log`. `account` is the user to run as, or None for our own.
    Raises StackError when the program cannot be executed. Safe to create in any thread.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        directory: Path,
        environment: Mapping[str, str],
        log: Path,
        account: Account | None = None,
    ) -> None:
        identity = [] if account is None else ["--user", str(account.uid), "--group", str(account.gid)]
        script = [sys.executable, "-I", "-S", guard.__file__, "--parent", str(os.getpid()), *identity]
        with log.open("ab") as output:
            self._guard = subprocess.Popen(
                [*script, "--", *command],
                cwd=directory,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=output,
                start_new_session=True,
            )
        assert self._guard.stdout is not None  # noqa: S101 - asked for just above
        with self._guard.stdout as answer:
            line = answer.readline().strip()
        if not line:
            self._guard.wait()
            raise StackError(f"{command[0]} could not be executed; see {log}")
        #: Process id of the program itself (the guard is its parent).
        self.pid = int(line)

    @property
    def running(self) -> bool:
        return self._guard.poll() is None

    def tree(self) -> list[int]:
        """Process ids of the server and all it forked, parents first; empty when all have ended."""
        return guard.descendants(self._guard.pid) if self.running else []

    def named(self, name: str) -> int | None:
        """Process id of the first process in the tree with this command name (as in /proc/PID/comm)."""
        for pid in self.tree():
            try:
                comm = Path(f"/proc/{pid}/comm").read_text().strip()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if comm == name:
                return pid
        return None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the server alone."""
        if self.running:
            guard.signal_all([self.pid], number)

    def freeze(self) -> None:
        """SIGSTOP everything, parents first, so that none forks a child that we miss."""
        guard.signal_all(self.tree(), signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT everything, children first."""
        guard.signal_all(self.tree()[::-1], signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL everything and wait until it is gone."""
        deadline = time.monotonic() + _KILL_SECONDS
        while self.running:
            guard.signal_all(self.tree(), signal.SIGKILL)
            if self.wait(_POLL_SECONDS):
                return
            if time.monotonic() > deadline:
                raise StackError(
                    f"process {self.pid} does not end after SIGKILL (uninterruptible input/output?)"
                )

    def wait(self, seconds: float) -> bool:
        """Wait until everything has ended, at most this long; True when it has."""
        try:
            self._guard.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True
