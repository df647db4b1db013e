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
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

import orjson

from atum_ops.simulator.config import SimulatorConfig
from atum_ops.simulator.remote import Remote
from atum_ops.simulator.webhook_events import TRIGGERS
from atum_schema.errors import StackError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from types import TracebackType

    from atum_ops.simulator.faults import FaultPlan
    from atum_ops.simulator.records import LedgerRecord, Summary, TruthRecord
    from atum_ops.simulator.webhook_faults import WebhookFaults

_START_S = 60.0
_STOP_S = 15.0
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
        self._remote: Remote | None = None

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
                settings.write_bytes(orjson.dumps(self._with_control_port().to_document()))
                self._process = _spawn(settings, ready_child, leash_child, log)
                os.close(ready_child)
                ready_child = -1
                self._url, control_url = self._await(ready, log).split()
        except BaseException:
            self.kill()
            raise
        finally:
            for descriptor in (ready, ready_child, leash_child):
                if descriptor >= 0:
                    os.close(descriptor)
        self._remote = Remote(control_url, self.config.control_token)
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
        return self._control().summary()

    def ledger(self, *, after: int = 0, limit: int | None = None) -> Iterator[LedgerRecord]:
        """Give the records of accepted messages with `seq` > `after`, in order, as they stood when asked."""
        return self._control().ledger(after=after, limit=limit)

    def truth(self) -> Iterator[TruthRecord]:
        """Give what is true of each recipient of each accepted message that has a fate, in order."""
        return self._control().truth()

    def webhooks(self) -> dict[str, Any]:
        """Give `webhooks` with their statistics, `counts`, their `faults`, the `fates`, and what is still to come.

        `upcoming` counts the steps that have not happened yet, `pending` the deliveries that are not done.
        """
        return self._control().webhooks()

    def register_webhook(
        self,
        url: str,
        *,
        stream: str = "outbound",
        triggers: Iterable[str] = TRIGGERS,
        basic: tuple[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Have events of a stream posted to a URL from now on, with these credentials; there is no probe.

        Raises SettingsError when it makes no sense; so do the next ones.
        """
        self._control().register_webhook(
            {
                "Url": url,
                "MessageStream": stream,
                "HttpAuth": {"Username": basic[0], "Password": basic[1]} if basic is not None else None,
                "HttpHeaders": [{"Name": name, "Value": value} for name, value in (headers or {}).items()],
                "Triggers": {trigger: {"Enabled": True} for trigger in triggers},
            }
        )

    def remove_webhook(self, webhook_id: int) -> None:
        """Forget a webhook."""
        self._control().remove_webhook(webhook_id)

    def set_webhook_faults(self, faults: WebhookFaults) -> None:
        """Let these faults hit webhooks from now on."""
        self._control().set_webhook_faults(faults)

    def set_webhook_outage(self, outage: str) -> None:
        """Begin an outage of webhooks, `lost` or `failing`, or end it (""); the other faults stay."""
        self._control().set_webhook_outage(outage)

    def set_fates(self, shares: Mapping[str, float] | None) -> None:
        """Give fates other shares, from the next message on; None: messages have no fate."""
        self._control().set_fates(shares)

    def status(self) -> dict[str, Any]:
        """Give what is being played (`scenario`), `conditions`, the plan (`faults`), and how often each kind `fired`."""
        return self._control().status()

    def set_faults(self, plan: FaultPlan) -> None:
        """Replace the fault plan; it starts from its beginning."""
        self._control().set_faults(plan)

    def scenario(self, name: str, seconds: float | None = None) -> None:
        """Play a scenario, for so many seconds or until it is cleared. Ends the one before.

        Raises SettingsError for a name or a time that makes no sense.
        """
        self._control().scenario(name, seconds)

    def clear_scenario(self) -> None:
        """End the scenario, if one is being played: plan, conditions and port are again as they were."""
        self._control().clear_scenario()

    def tune(self, **conditions: float | bool) -> None:
        """Change some of the `Conditions`, as in `tune(latency_ms=100, index_lag_s=20)`; the others stay.

        Raises SettingsError when one is unknown or wrong.
        """
        self._control().tune(conditions)

    def set_inactive(self, addresses: Iterable[str]) -> None:
        """Replace all suppressions: these addresses have bounced, on every stream."""
        self._control().set_inactive(list(addresses))

    def set_suppressions(self, suppressions: Iterable[Mapping[str, str]]) -> None:
        """Replace all suppressions, each with `EmailAddress`, and `MessageStream`, `SuppressionReason`, `Origin` as wanted.

        Raises SettingsError when one makes no sense.
        """
        self._control().set_suppressions(list(suppressions))

    def content(self, message_id: str) -> dict[str, Any] | None:
        """Give a message as it was sent, attachments included, or None when it is no longer kept."""
        return self._control().content(message_id)

    def reset(self) -> None:
        """Forget messages, counters, suppressions, tuning and scenario; the plan starts from its beginning."""
        self._control().reset()

    def _with_control_port(self) -> SimulatorConfig:
        # Its own, so that the control side answers whatever is played; new at each start, as nobody else knows it.
        return self.config if self.config.control_port is not None else replace(self.config, control_port=0)

    def _control(self) -> Remote:
        if self._remote is None:
            raise StackError("the simulator was not started")
        return self._remote

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
