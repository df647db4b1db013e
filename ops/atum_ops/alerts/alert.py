"""What an alert is: one condition, said twice. Once in PromQL, for Prometheus; once in Python, for `alerts watch`.

Both are written beside each other (`of_mail`, `of_provider`, `of_system`), from the same limits, and tests compare what they say about
the same facts.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from atum_ops.signals.snapshot import Snapshot


FEW: Final = 20
"""Mails or attempts from which a burst means something."""

MINUTE: Final = 60
"""Seconds."""


class Severity(StrEnum):
    """How urgent an alert is."""

    CRITICAL = "critical"
    """Mail does not leave, is lost to sight, or is sent twice: somebody looks now."""
    WARNING = "warning"
    """Somebody looks today."""
    NONE = "none"
    """Nobody looks: it is there to be missed when alerting itself is broken."""


class Area(StrEnum):
    """What an alert is about; the critical one of an area mutes its warnings."""

    FAILURES = "failures"
    BACKLOG = "backlog"
    AGE = "age"
    DEAD_LETTERS = "dead_letters"
    UNKNOWN = "unknown"
    DUPLICATES = "duplicates"
    PROVIDER = "provider"
    WEBHOOKS = "webhooks"
    REPUTATION = "reputation"
    BATCHES = "batches"
    INTAKE = "intake"
    PARTS = "parts"
    TASKS = "tasks"
    BROKER = "broker"
    DATABASE = "database"
    ALERTING = "alerting"


class Seen(NamedTuple):
    """What a condition is decided from."""

    #: None: the database cannot be read.
    now: Snapshot | None
    #: As it was about 15 minutes ago, or at the beginning of watching; None: there is nothing older.
    before: Snapshot | None = None
    #: Receivers that did not take their last three notices or more.
    deaf: int = 0


Look: TypeAlias = "Callable[[Seen], float | None]"
"""Gives what was measured where the condition is met, else None. Pure and total."""


class Alert(NamedTuple):
    """One condition under which operators are told."""

    #: CamelCase, with the prefix `Atum`; also the name of its page in docs/runbooks.
    name: str
    severity: Severity
    area: Area
    #: One line, without values; then one with the value, in the template language of Prometheus (`{{ $value }}`).
    summary: str
    description: str
    #: PromQL; gives nothing while the condition is not met.
    expr: str
    #: How long the condition has to be met.
    for_s: int
    #: What the value is compared with; None: it is not compared.
    threshold: float | None
    #: The same without Prometheus; None: only Prometheus can see it.
    look: Look | None
    #: What the value is counted in: `percent`, `mails`, `seconds` …
    unit: str = ""
    #: Whether it stays until the cooldown is over, so that a flap tells nobody anything.
    keeps: bool = True
