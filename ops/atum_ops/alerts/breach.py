"""What a receiver is told of an alert, as an object and as the JSON document that goes over wires. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from atum_ops.alerts.conditions import failure_percent
from atum_ops.alerts.wording import rendered
from atum_ops.signals.snapshot import FAILED

if TYPE_CHECKING:
    from atum_ops.alerts.alert import Alert, Area, Severity
    from atum_ops.signals.snapshot import Snapshot
    from atum_schema.settings import Settings

VERSION: Final = 1
"""Of the document; a field that is added does not change it."""


class Kind(StrEnum):
    """Why somebody is told."""

    FIRING = "firing"
    """An alert began."""
    REPEATED = "repeated"
    """It was told before, and its condition is still met after the cooldown."""
    RESOLVED = "resolved"
    """It ended."""


class Metrics(NamedTuple):
    """What was measured of the whole system when the alert was evaluated; None: the database could not be read.

    Everything of 24 hours is counted once, by outcomes: dead letters, expired and bounced mails are failures.
    """

    #: Percent of failures among the mails that finished; also None where too few finished for a rate.
    failure_rate_24h: float | None = None
    failures_24h: int | None = None
    total_24h: int | None = None
    #: Mails that are due or sending, and the seconds since the oldest of them was due; None: there is none.
    queue_backlog: int | None = None
    queue_oldest_age_s: float | None = None
    dead_letters: int | None = None
    unknown: int | None = None
    held: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """One notice about one alert. Nothing in it names a mail, an address or a secret."""

    #: The same for every try of the same notice to a receiver, so that one that came twice can be recognised.
    id: str
    kind: Kind
    #: Whether it only tries the way; then nothing is wrong.
    is_test: bool
    #: The alert's name, as in the rules of Prometheus.
    alert: str
    severity: Severity
    area: Area
    summary: str
    description: str
    #: What `value` is compared with, both in `unit`; None: it is not compared.
    threshold: float | None
    #: What was measured when the condition was last met.
    value: float | None
    unit: str
    metrics: Metrics
    #: When the condition began to be met, when it had been met for long enough, when it had ended (None: it has not),
    #: and when all this was looked at. In UTC, by the database's clock.
    since: datetime
    fired_at: datetime
    ended_at: datetime | None
    evaluated_at: datetime
    runbook_url: str
    dashboard_url: str | None

    @property
    def title(self) -> str:
        """One line for people."""
        test = "[test] " if self.is_test else ""
        return f"{test}{self.kind.upper()} ({self.severity}): {self.alert}: {self.summary}"


class Times(NamedTuple):
    """When an alert began, fired and ended, as seconds since 1970."""

    since: float
    fired_at: float
    ended_at: float | None
    evaluated_at: float


def breach(
    alert: Alert,
    kind: Kind,
    *,
    id: str,  # noqa: A002  the field's name
    value: float | None,
    metrics: Metrics,
    times: Times,
    settings: Settings,
    is_test: bool = False,
) -> Breach:
    """Make a notice."""
    return Breach(
        id=id,
        kind=kind,
        is_test=is_test,
        alert=alert.name,
        severity=alert.severity,
        area=alert.area,
        summary=alert.summary,
        description=rendered(alert.description, value),
        threshold=alert.threshold,
        value=value,
        unit=alert.unit,
        metrics=metrics,
        since=moment(times.since),
        fired_at=moment(times.fired_at),
        ended_at=None if times.ended_at is None else moment(times.ended_at),
        evaluated_at=moment(times.evaluated_at),
        runbook_url=f"{settings.alert_runbook_url.rstrip('/')}/{alert.name}.md",
        dashboard_url=settings.alert_dashboard_url,
    )


def measured(now: Snapshot | None, *, least: int) -> Metrics:
    """Give the metrics of a snapshot; `least` mails have to finish for a rate."""
    if now is None:
        return Metrics()
    failed = now.recently("24h", *FAILED)
    return Metrics(
        failure_rate_24h=failure_percent(now, "24h", least=least),
        failures_24h=failed,
        total_24h=max(now.recently("24h", "finished"), failed),
        queue_backlog=now.backlog,
        queue_oldest_age_s=None if now.oldest_at is None else now.at - now.oldest_at,
        dead_letters=now.dead.number,
        unknown=now.unknown.number,
        held=now.held.number,
    )


def document(told: Breach) -> dict[str, Any]:
    """Make the JSON document, the same for every receiver that gets one."""
    return {
        "version": VERSION,
        "id": told.id,
        "kind": told.kind.value,
        "test": told.is_test,
        "alert": told.alert,
        "severity": told.severity.value,
        "area": told.area.value,
        "summary": told.summary,
        "description": told.description,
        "threshold": told.threshold,
        "value": told.value,
        "unit": told.unit,
        "metrics": told.metrics._asdict(),
        "since": _iso(told.since),
        "fired_at": _iso(told.fired_at),
        "ended_at": _iso(told.ended_at),
        "evaluated_at": _iso(told.evaluated_at),
        "runbook_url": told.runbook_url,
        "dashboard_url": told.dashboard_url,
    }


def moment(at: float) -> datetime:
    """Give a moment in UTC."""
    return datetime.fromtimestamp(at, UTC)


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
