"""Client programs that stay for the jobs that follow: their imports take up to a second, a job some milliseconds."""

from __future__ import annotations

import atexit
import json
import select
import subprocess
import tempfile
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

_STOP_S = 10
_TAIL_CHARACTERS = 4000


class Resident:
    """A running program that answers each line of JSON by one. It ends when its stdin does, so never after us."""

    def __init__(self, command: Sequence[str], *, directory: Path, environment: Mapping[str, str]) -> None:
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115 - open as long as the program runs
        self._process = subprocess.Popen(
            command,
            cwd=directory,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
        )
        atexit.register(self.close)

    def ask(self, job: Mapping[str, Any], *, seconds: float) -> Any:
        """Give a job and wait for its answer. Raises AssertionError, with what it said, when none comes in time."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        try:
            stdin.write(json.dumps(job) + "\n")
            stdin.flush()
        except BrokenPipeError:
            raise AssertionError(f"the program has ended: {self._tail()}") from None
        if not select.select([stdout], [], [], seconds)[0]:
            raise AssertionError(f"no answer within {seconds:g} s: {self._tail()}")
        line = stdout.readline()
        if not line:
            raise AssertionError(f"the program ended with {self._process.wait(_STOP_S)}: {self._tail()}")
        return json.loads(line)

    def close(self) -> None:
        """End the program."""
        atexit.unregister(self.close)
        self._process.kill()
        self._process.wait(_STOP_S)
        # What could not be written to a program that has ended is tried again here.
        with suppress(BrokenPipeError), self._process:
            pass
        self._said.close()

    def _tail(self) -> str:
        self._said.seek(0)
        return self._said.read()[-_TAIL_CHARACTERS:]


class Residents:
    """The idle ones of one command. Who asks at the same time as another gets a program of its own."""

    def __init__(self, command: Sequence[str], *, directory: Path, environment: Mapping[str, str]) -> None:
        self._command = command
        self._directory = directory
        self._environment = environment
        self._idle: list[Resident] = []

    @contextmanager
    def one(self) -> Iterator[Resident]:
        """Give one that nobody else has; one that failed is not given again."""
        try:
            resident = self._idle.pop()
        except IndexError:
            resident = Resident(self._command, directory=self._directory, environment=self._environment)
        try:
            yield resident
        except BaseException:
            resident.close()
            raise
        self._idle.append(resident)
