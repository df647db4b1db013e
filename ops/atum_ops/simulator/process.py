"""A simulator in a process of its own, for tests, the demo and benchmarks."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

import orjson

from atum_ops.simulator.config import SimulatorConfig
from atum_ops.simulator.records import LedgerRecord, Summary
from atum_schema.errors import StackError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType

    from atum_ops.simulator.faults import FaultPlan

_START_S = 20.0
_STOP_S = 5.0
_CONTROL_S = 60.0
_READ = 1 << 20
_LOG_TAIL = 4000


class SimulatorProcess:
    """Context manager around one simulator process.

    It listens on the same port after each `start`. The process ends with this one: it stops when the pipe between
    them closes, even if this process is killed. Only the process started here is ever signalled.
    """

    def __init__(self, config: SimulatorConfig | None = None, *, start_s: float = _START_S) -> None:
        self.config = config or SimulatorConfig()
        self._start_s = start_s
        self._process: subprocess.Popen[bytes] | None = None
        self._leash: int | None = None
        self._url = ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Base URL, without a trailing slash."""
        return self._url

    @property
    def pid(self) -> int | None:
        """Process id, or None when it does not run."""
        return self._process.pid if self._process is not None else None

    def start(self) -> None:
        """Start and wait until connections are taken. Raises StackError, with its log, when that does not happen."""
        if self._process is not None:
            return
        ready, ready_child = os.pipe()
        leash_child, self._leash = os.pipe()
        try:
            with (
                tempfile.TemporaryDirectory(prefix="atum-simulator-") as directory,
                tempfile.TemporaryFile() as log,
            ):
                settings = Path(directory, "config.json")
                settings.touch(mode=0o600)
                settings.write_bytes(orjson.dumps(self.config.to_document()))
                self._process = _spawn(settings, ready_child, leash_child, log)
                os.close(ready_child)
                ready_child = -1
                self._url = self._await(ready, log)
        except BaseException:
            self.kill()
            raise
        finally:
            for descriptor in (ready, ready_child, leash_child):
                if descriptor >= 0:
                    os.close(descriptor)
        self.config = replace(self.config, port=urlsplit(self._url).port or 0)

    def stop(self) -> None:
        """SIGTERM, and SIGKILL when that does not help within seconds."""
        if self._process is not None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_STOP_S)
        self.kill()

    def kill(self) -> None:
        """SIGKILL."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
        if self._leash is not None:
            os.close(self._leash)
            self._leash = None

    def restart(self) -> None:
        """Stop and start again on the same port."""
        self.stop()
        self.start()

    def summary(self) -> Summary:
        """Count what was really accepted, and what went wrong."""
        return Summary.from_document(self._call("GET", "summary"))

    def ledger(self, *, after: int = 0, limit: int | None = None) -> Iterator[LedgerRecord]:
        """Give the records of accepted messages with `seq` > `after`, in order, as they stood when asked."""
        path = f"ledger?after={after}" + (f"&limit={limit}" if limit is not None else "")
        with self._request("GET", path) as response:
            for line in _lines(response):
                yield LedgerRecord.from_document(orjson.loads(line))

    def set_faults(self, plan: FaultPlan) -> None:
        """Replace the fault plan; it starts from its beginning."""
        self._call("POST", "faults", plan.to_document())

    def set_inactive(self, addresses: Iterable[str]) -> None:
        """Replace the list of inactive (suppressed) recipients."""
        self._call("POST", "inactive", {"addresses": list(addresses)})

    def reset(self) -> None:
        """Forget messages, counters and inactive addresses; the fault plan starts from its beginning."""
        self._call("POST", "reset", {})

    def _await(self, ready: int, log: IO[bytes]) -> str:
        deadline = time.monotonic() + self._start_s
        said = b""
        while not said.endswith(b"\n"):
            readable, _, _ = select.select([ready], [], [], max(deadline - time.monotonic(), 0))
            piece = os.read(ready, 4096) if readable else b""
            if not piece:
                what = "ended" if readable else f"did not listen within {self._start_s:g} s"
                log.seek(0)
                raise StackError(f"the simulator {what}: {log.read()[-_LOG_TAIL:].decode(errors='replace')}")
            said += piece
        return said.decode().strip()

    def _call(self, method: str, path: str, document: object = None) -> dict[str, Any]:
        with self._request(method, path, document) as response:
            result: dict[str, Any] = orjson.loads(response.read())
            return result

    @contextlib.contextmanager
    def _request(self, method: str, path: str, document: object = None) -> Iterator[HTTPResponse]:
        address = urlsplit(self._url)
        connection = HTTPConnection(address.hostname or "", address.port, timeout=_CONTROL_S)
        try:
            body = orjson.dumps(document) if document is not None else None
            headers = {"X-Control-Token": self.config.control_token}
            connection.request(method, f"/_control/{path}", body=body, headers=headers)
            with connection.getresponse() as response:
                if response.status != 200:  # noqa: PLR2004 - HTTP OK
                    raise StackError(f"the simulator answered {response.status}: {response.read().decode()}")
                yield response
        finally:
            connection.close()


def _spawn(settings: Path, ready: int, leash: int, log: IO[bytes]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "atum_ops.simulator", "--config", str(settings)]
    command += ["--ready-fd", str(ready), "--stop-fd", str(leash)]
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        pass_fds=(ready, leash),
        start_new_session=True,
    )


def _lines(response: HTTPResponse) -> Iterator[bytes]:
    rest = b""
    while piece := response.read1(_READ):
        *whole, rest = (rest + piece).split(b"\n")
        yield from whole
    if rest:
        raise StackError("the ledger stream ended in the middle of a record")
