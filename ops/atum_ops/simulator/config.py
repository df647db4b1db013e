"""What one simulator is started with."""

from __future__ import annotations

import secrets
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from atum_ops.simulator.conditions import Conditions
from atum_ops.simulator.fates import FatePlan
from atum_ops.simulator.faults import FaultPlan
from atum_ops.simulator.presets import preset
from atum_ops.simulator.webhook_faults import WebhookFaults, webhook_preset
from atum_ops.simulator.webhook_ladder import LADDERS
from atum_ops.simulator.webhooks import Webhooks
from atum_schema.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from atum_ops.simulator.fates import Fate

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
    `keep_content` messages is kept, and of fewer when their requests take more than `keep_bytes`. `account_token` opens
    `domains` and `senders`, each as the provider's API lists it; what a document leaves out is verified.

    `fates` gives fates their shares; None: no message has one until a webhook is registered, {}: all are delivered.
    `webhooks` are registered from the start and taken as verified, each as the provider's API has it. `webhook_faults`
    is the name of a preset or a document. `retry_rules` are the `new` or the `old` ones; an attempt may take
    `webhook_timeout_s`; at most `webhook_connections` are open; `webhook_pause_after` events of a type in a row that
    were given up pause that type. A second of fates, retries and late events takes `time_scale` seconds.
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
    account_token: str = "simulator-account-token"  # noqa: S105 - as documented as the token above
    domains: Sequence[Mapping[str, Any]] = ()
    senders: Sequence[Mapping[str, Any]] = ()
    keep_content: int = 1000
    keep_bytes: int = 64 * 1024 * 1024
    fates: Mapping[str, float] | None = None
    webhooks: Sequence[Mapping[str, Any]] = ()
    webhook_faults: str | WebhookFaults = "none"
    retry_rules: str = "new"
    webhook_timeout_s: float = 30.0
    webhook_connections: int = 16
    webhook_pause_after: int = 20
    time_scale: float = 1.0

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
        self._check_webhooks()
        self.plan()

    def _check_webhooks(self) -> None:
        if self.retry_rules not in LADDERS:
            raise SettingsError(
                f"retry_rules is {self.retry_rules!r}, it must be one of {', '.join(LADDERS)}"
            )
        for name, value in (
            ("webhook_timeout_s", self.webhook_timeout_s),
            ("webhook_connections", self.webhook_connections),
            ("webhook_pause_after", self.webhook_pause_after),
        ):
            if value <= 0:
                raise SettingsError(f"{name} is {value}, it must be more than 0")
        self.telling_faults()
        self.fate_plan()
        Webhooks(self.streams).use(self.webhooks)

    def plan(self) -> FaultPlan:
        """Give the fault plan this simulator starts with."""
        return preset(self.faults, seed=self.seed) if isinstance(self.faults, str) else self.faults

    def telling_faults(self) -> WebhookFaults:
        """Give the webhook faults this simulator starts with."""
        given = self.webhook_faults
        return webhook_preset(given, seed=self.seed) if isinstance(given, str) else given

    def fate_plan(self, shares: Mapping[str, float] | None = None) -> FatePlan:
        """Give the plan of these shares, or of those that this simulator starts with."""
        given = self.fates or {} if shares is None else shares
        return FatePlan(
            seed=self.seed,
            shares={cast("Fate", name): share for name, share in given.items()},
            time_scale=self.time_scale,
        )

    def conditions(self) -> Conditions:
        """Give the conditions this simulator starts with."""
        return Conditions(**{one.name: getattr(self, one.name) for one in fields(Conditions)})

    def to_document(self) -> dict[str, Any]:
        """Give a JSON-ready dict, secrets included; `from_document` reads it back."""
        document = asdict(self)
        document["faults"] = self.plan().to_document()
        document["ledger_path"] = str(self.ledger_path) if self.ledger_path is not None else None
        document["webhooks"] = [dict(one) for one in self.webhooks]
        document["webhooks"] = list(self.webhooks)
        document["domains"], document["senders"] = list(self.domains), list(self.senders)
        document["webhook_faults"] = self.telling_faults().to_document()
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
        if isinstance(values.get("webhook_faults"), dict):
            values["webhook_faults"] = WebhookFaults.from_document(values["webhook_faults"])
        if values.get("ledger_path") is not None:
            values["ledger_path"] = Path(values["ledger_path"])
        values["signatures"] = frozenset(one.lower() for one in values.get("signatures", ()))
        return cls(**values)
