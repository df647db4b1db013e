"""Everything that runs during an experiment: servers, provider, proxies, and our own processes under their names."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from atum_ops.chaos import plan, weather
from atum_ops.chaos.proxy import Proxy
from atum_ops.service import Service
from atum_ops.simulator.process import SimulatorProcess
from atum_ops.stack import LocalStack
from atum_schema.encryption import new_key
from atum_schema.errors import StackError
from atum_schema.migrate import migrate

if TYPE_CHECKING:
    import signal
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from atum_ops.simulator.config import SimulatorConfig
    from atum_ops.stack import Node

_STARTED_S: Final = 60.0
_RESTARTED_S: Final = 180.0
_POLL_S: Final = 0.05


class Part:
    """One of our processes under a name that it keeps: a new one follows the one that was killed."""

    def __init__(
        self, name: str, module: str, arguments: Sequence[str], *, environment: Mapping[str, str], log: Path
    ) -> None:
        self.name = name
        self._log = log
        self._service = Service(arguments, environment=environment, log=log, module=module)
        self._read_from = 0
        #: Whoever disturbs it holds this.
        self.lock = threading.Lock()

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._service.running

    @property
    def serving(self) -> bool:
        """Whether it has said that it serves, since it was started last."""
        return "serving" in self.said()

    def said(self) -> str:
        """Give what it has written since it was started last."""
        if not self._log.exists():
            return ""
        with self._log.open("rb") as log:
            log.seek(self._read_from)
            return log.read().decode("utf-8", errors="replace")

    def start(self) -> None:
        """Start it."""
        self._read_from = self._log.stat().st_size if self._log.exists() else 0
        self._service.start()

    def replace(self) -> None:
        """SIGKILL it and start the next one."""
        self.end()
        self.start()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._service.signal(number)

    def stop(self) -> None:
        """SIGTERM, and SIGKILL when that does not help."""
        self._service.stop()

    def end(self) -> None:
        """SIGKILL it, if it was started."""
        self._service.stop(timeout=0.0)


@dataclass(kw_only=True)
class Ground:
    """Context manager: all of it runs inside, on private servers; nothing of it runs afterwards.

    `logs` is a folder for what the parts write and the producers' books. The URLs are those of the servers themselves:
    only the parts go through the proxies.
    """

    directory: Path
    logs: Path
    seed: int
    simulation: SimulatorConfig
    settings: Mapping[str, str] = field(default_factory=lambda: weather.SETTINGS)

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            # No URL is passed on: servers that are named are other people's.
            self._stack = undo.enter_context(LocalStack(self.directory))
            self.simulator = undo.enter_context(SimulatorProcess(self.simulation))
            for name in (plan.POSTGRES, plan.RABBIT):
                # Started again beside everything else that runs, at full load.
                self.node(name).start_seconds = _RESTARTED_S
            self.database_url = self._stack.database_url
            migrate(self.database_url)
            ports = {
                plan.POSTGRES: self.node(plan.POSTGRES).port,
                plan.RABBIT: self.node(plan.RABBIT).port,
                plan.PROVIDER: int(self.simulator.url.rpartition(":")[2]),
            }
            self.proxies = {
                name: undo.enter_context(Proxy(port, seed=self.seed)) for name, port in ports.items()
            }
            self.parts = self._make_parts()
            #: Whoever disturbs a server or a link holds its lock.
            self.locks = {name: threading.Lock() for name in (plan.POSTGRES, plan.RABBIT)}
            self.link_locks = {name: threading.Lock() for name in plan.LINKS}
            for part in self.parts.values():
                undo.callback(part.end)
            for part in self.parts.values():
                part.start()
            self._await_serving()
            self._exit = undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exit.close()

    def node(self, name: str) -> Node:
        """Give the server of this name."""
        node = self._stack.postgres if name == plan.POSTGRES else self._stack.rabbit
        if node is None:
            raise StackError(f"there is no private {name}")
        return node

    def describe(self) -> list[str]:
        """Say which servers run where."""
        return self._stack.describe().splitlines()

    def books(self) -> list[Path]:
        """Name the files that producers write their notes to."""
        return [self._book(name) for name in plan.PRODUCERS]

    def stop_producers(self) -> None:
        """Let the producers finish what they are at, and end."""
        for name in plan.PRODUCERS:
            self.parts[name].stop()

    def _book(self, name: str) -> Path:
        return self.logs / f"{name}.book"

    def _make_parts(self) -> dict[str, Part]:
        environment = {
            **self.settings,
            "ATUM_DATABASE_URL": self.proxies[plan.POSTGRES].url(self.database_url),
            "ATUM_AMQP_URL": self.proxies[plan.RABBIT].url(self._stack.amqp_url),
            "ATUM_CONTENT_KEYS": new_key("chaos"),
            "ATUM_POSTMARK_URL": self.proxies[plan.PROVIDER].url(self.simulator.url),
            "ATUM_POSTMARK_TOKEN": self.simulation.token,
        }
        commands = {
            **{name: ("atum_ops", ["relay"]) for name in plan.RELAYS},
            **{name: ("atum_ops", ["worker"]) for name in plan.WORKERS},
            **{
                name: ("atum_ops.chaos.producer", [name, str(self._book(name)), f"{self.seed}"])
                for name in plan.PRODUCERS
            },
        }
        return {
            name: Part(name, module, arguments, environment=environment, log=self.logs / f"{name}.log")
            for name, (module, arguments) in commands.items()
        }

    def _await_serving(self) -> None:
        deadline = time.monotonic() + _STARTED_S
        while waiting := [part for part in self.parts.values() if not part.serving]:
            ended = [part for part in waiting if not part.running]
            if ended or time.monotonic() > deadline:
                part = (ended or waiting)[0]
                raise StackError(f"{part.name} did not start: {part.said()[-2000:]}")
            time.sleep(_POLL_S)
