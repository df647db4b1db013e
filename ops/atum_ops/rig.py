"""A whole system on this machine: servers, schema, provider, relay and workers. For demo and benchmark."""

from __future__ import annotations

import os
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from atum_ops.service import Service
from atum_ops.simulator.config import SimulatorConfig
from atum_ops.simulator.process import SimulatorProcess
from atum_ops.stack import LocalStack
from atum_schema import settings as settings_module
from atum_schema.encryption import new_key
from atum_schema.errors import StackError
from atum_schema.migrate import migrate

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from atum_schema.settings import Settings

_STARTED_S = 30.0


@dataclass(kw_only=True)
class Rig:
    """Context manager: everything runs inside, and what it started has ended afterwards.

    Servers named in the environment are used; else private ones start under `directory`. With
    `ATUM_POSTMARK_TOKEN` set the real Postmark is used, else a simulator with `simulation`.
    """

    directory: Path
    simulation: SimulatorConfig = field(default_factory=SimulatorConfig)
    #: Settings of ours, as environment variables.
    environment: Mapping[str, str] = field(default_factory=dict)
    workers: int = 2
    threads: int = 8

    def __post_init__(self) -> None:
        self._exit = ExitStack()
        self.simulator: SimulatorProcess | None = None
        self._parts: list[Service] = []

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            self.directory.mkdir(parents=True, exist_ok=True)
            self._stack = undo.enter_context(
                LocalStack(
                    self.directory,
                    # An empty variable names no server: libpq would pick one by its own defaults.
                    database_url=os.environ.get("ATUM_DATABASE_URL") or None,
                    amqp_url=os.environ.get("ATUM_AMQP_URL") or None,
                )
            )
            self.logs = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="atum-logs-")))
            if "ATUM_POSTMARK_TOKEN" not in os.environ and "ATUM_POSTMARK_TOKEN_FILE" not in os.environ:
                self.simulator = undo.enter_context(SimulatorProcess(self.simulation))
            migrate(self._stack.database_url)
            self._start_parts(undo)
            self._exit = undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exit.close()

    @property
    def database_url(self) -> str:
        """URL of the database, password included."""
        return self._stack.database_url

    @property
    def amqp_url(self) -> str:
        """URL of the broker, password included."""
        return self._stack.amqp_url

    def describe(self) -> tuple[str, str]:
        """Say which database and which broker are used: products, versions, places."""
        database, broker = self._stack.describe().splitlines()
        return database, broker

    @property
    def exports(self) -> dict[str, str]:
        """Settings that commands need to work on this system from outside: what was made here, secrets included."""
        made = {"ATUM_DATABASE_URL": self.database_url, "ATUM_AMQP_URL": self.amqp_url}
        if not os.environ.get("ATUM_CONTENT_KEYS"):
            made["ATUM_CONTENT_KEYS"] = self._environment["ATUM_CONTENT_KEYS"]
        if self.simulator is not None:
            made["ATUM_POSTMARK_URL"] = made["ATUM_SIMULATOR_URL"] = self.simulator.url
            made["ATUM_POSTMARK_TOKEN"] = self.simulation.token
            made["ATUM_SIMULATOR_CONTROL_TOKEN"] = self.simulation.control_token
        return made

    def settings(self) -> Settings:
        """Give the settings that all parts run with."""
        return settings_module.load_from(self._environment)

    def check_alive(self) -> None:
        """Raise `StackError` with the end of its log when one of our parts has ended."""
        for part in self._parts:
            if not part.running:
                raise StackError(f"a part of the system has ended: {part.output()[-2000:]}")

    def _start_parts(self, undo: ExitStack) -> None:
        keys = os.environ.get("ATUM_CONTENT_KEYS") or new_key("local")
        environment = {
            **self.environment,
            "ATUM_DATABASE_URL": self.database_url,
            "ATUM_AMQP_URL": self.amqp_url,
            "ATUM_CONTENT_KEYS": keys,
            "ATUM_THREADS": str(self.threads),
        }
        if "ATUM_METRICS_PORT" in os.environ:
            # Meant for one process: all of these cannot have it.
            environment["ATUM_METRICS_PORT"] = "0"
        if self.simulator is not None:
            environment["ATUM_POSTMARK_URL"] = self.simulator.url
            environment["ATUM_POSTMARK_TOKEN"] = self.simulation.token
        self._environment = environment
        commands = [["relay"], *[["worker"] for _ in range(self.workers)]]
        self._parts = [
            Service(command, environment=environment, log=self.logs / f"{place}-{command[0]}.log")
            for place, command in enumerate(commands)
        ]
        for part in self._parts:
            undo.enter_context(part)
        self._await_serving()

    def _await_serving(self) -> None:
        deadline = time.monotonic() + _STARTED_S
        while not all("serving" in part.output() for part in self._parts):
            self.check_alive()
            if time.monotonic() > deadline:
                raise StackError(
                    f"relay and workers did not start within {_STARTED_S:.0f} s; see {self.logs}"
                )
            time.sleep(0.02)
