"""One of our own long-running parts as a child process: for demo, benchmark and tests."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import IO, TYPE_CHECKING, Self

from atum_ops import leash

if TYPE_CHECKING:
    import signal
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import TracebackType


class Service:
    """`atum-mailer <arguments>` as a child. Only this process is ever signalled, and it never outlives us.

    `environment` is added to ours; secrets travel in it and never in the arguments. Output goes to `log`. `module`
    names another one of ours to run, which holds the leash as the commands do.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        environment: Mapping[str, str],
        log: Path,
        module: str = "atum_ops",
    ) -> None:
        self._module = module
        self._arguments = list(arguments)
        self._environment = dict(environment)
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._leash: int | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Process id of the running child."""
        return self._running().pid

    @property
    def running(self) -> bool:
        """Whether the child was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the child."""
        child_end, self._leash = os.pipe()
        with self._log.open("ab") as log:
            self._process = self._launch(child_end, log)
        os.close(child_end)

    def _launch(self, child_end: int, log: IO[bytes]) -> subprocess.Popen[bytes]:
        environment = {**os.environ, **_talking(), **self._environment, leash.VARIABLE: str(child_end)}
        return subprocess.Popen(
            [sys.executable, "-m", self._module, *self._arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(child_end,),
            start_new_session=True,
        )

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the child and nobody else."""
        self._running().send_signal(number)

    def stop(self, *, timeout: float = 10.0) -> int | None:
        """SIGTERM, and SIGKILL after `timeout` seconds; give the exit status."""
        if self._process is None:
            return None
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
        return self._reap()

    def kill(self) -> None:
        """SIGKILL, at once."""
        self._running().kill()
        self._reap()

    def output(self) -> str:
        """Give what the child has written so far."""
        return self._log.read_text("utf-8", errors="replace") if self._log.exists() else ""

    def _reap(self) -> int:
        status = self._running().wait()
        self._process = None
        if self._leash is not None:
            os.close(self._leash)
            self._leash = None
        return status

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("the service was not started")
        return self._process


def _talking() -> dict[str, str]:
    """Have the child say when it serves: whoever starts it waits for that, however quiet the parts of the environment are."""
    return {} if os.environ.get("ATUM_LOG_LEVEL") == "debug" else {"ATUM_LOG_LEVEL": "info"}
