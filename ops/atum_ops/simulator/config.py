"""What one simulator is started with."""

from __future__ import annotations

import secrets
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atum_ops.simulator.conditions import Conditions
from atum_ops.simulator.faults import FaultPlan
from atum_ops.simulator.presets import preset
from atum_schema.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

STREAM_TYPES = ("Transactional", "Broadcasts", "Inbound")
DEFAULT_STREAMS = {"outbound": "Transactional", "broadcast": "Broadcasts", "inbound": "Inbound"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorConfig(Conditions):
    """Settings of a simulator, with the conditions that it starts with.

    `port` 0 takes a free one. `control_port` is a second port, of `/_control/` alone, which stays open whatever is
    played on the first; None: there is none. `token` is the server token clients must send; `control_token` guards
    `/_control/` (random if not given). `faults` is the name of a preset or a plan; a preset is drawn with `seed`, and
    so is the tail of the latency. `streams` maps stream ids to their type. `signatures` lists confirmed addresses and
    domains; empty means that every sender is. The content of the latest
    `keep_content` messages is kept, and of fewer when their requests take more than `keep_bytes`.
    Raises SettingsError for values that make no sense.
    """

    host: str = "127.0.0.1"
    port: int = 0
    control_port: int | None = None
    token: str = "simulator-token"  # noqa: S105 - the documented token of a local simulator
    control_token: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    seed: int = 0
    faults: str | FaultPlan = "none"
    ledger_path: Path | None = None
    streams: Mapping[str, str] = field(default_factory=lambda: dict(DEFAULT_STREAMS))
    signatures: frozenset[str] = frozenset()
    keep_content: int = 1000
    keep_bytes: int = 64 * 1024 * 1024

    def __post_init__(self) -> None:
        Conditions.__post_init__(self)  # super() does not know a class that `slots` has made anew
        for name, value in (("keep_content", self.keep_content), ("keep_bytes", self.keep_bytes)):
            if value < 0:
                raise SettingsError(f"{name} is {value}, it must not be negative")
        for stream, kind in self.streams.items():
            if kind not in STREAM_TYPES:
                raise SettingsError(
                    f"stream {stream!r} has type {kind!r}, it must be one of {', '.join(STREAM_TYPES)}"
                )
        if not self.control_token or not self.token:
            raise SettingsError("token and control_token must not be empty")
        self.plan()

    def plan(self) -> FaultPlan:
        """Give the fault plan this simulator starts with."""
        return preset(self.faults, seed=self.seed) if isinstance(self.faults, str) else self.faults

    def conditions(self) -> Conditions:
        """Give the conditions this simulator starts with."""
        return Conditions(**{one.name: getattr(self, one.name) for one in fields(Conditions)})

    def to_document(self) -> dict[str, Any]:
        """Give a JSON-ready dict, secrets included; `from_document` reads it back."""
        document = asdict(self)
        document["faults"] = self.plan().to_document()
        document["ledger_path"] = str(self.ledger_path) if self.ledger_path is not None else None
        document["signatures"] = sorted(self.signatures)
        return document

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> SimulatorConfig:
        """Read what `to_document` gave. Raises SettingsError when a setting is unknown or wrong."""
        unknown = document.keys() - {one.name for one in fields(cls)}
        if unknown:
            raise SettingsError(f"unknown settings: {', '.join(sorted(unknown))}")
        values = dict(document)
        if isinstance(values.get("faults"), dict):
            values["faults"] = FaultPlan.from_document(values["faults"])
        if values.get("ledger_path") is not None:
            values["ledger_path"] = Path(values["ledger_path"])
        values["signatures"] = frozenset(one.lower() for one in values.get("signatures", ()))
        return cls(**values)
