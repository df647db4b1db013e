"""A notice in lines that people read. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from atum_ops.alerts.breach import Breach


def facts(told: Breach) -> list[tuple[str, str]]:
    """Name what is known, with its value, in the order in which people ask."""
    metrics = told.metrics
    lines = [
        ("measured", _measured(told.value, told.unit)),
        ("threshold", _measured(told.threshold, told.unit)),
        ("since", _time(told.since)),
        ("fired at", _time(told.fired_at)),
        ("ended at", _time(told.ended_at)),
        ("evaluated at", _time(told.evaluated_at)),
        ("failure rate in 24 h", _measured(metrics.failure_rate_24h, "percent")),
        ("failures in 24 h", _of(metrics.failures_24h, metrics.total_24h)),
        ("backlog", _measured(metrics.queue_backlog, "mails")),
        ("oldest mail", _measured(metrics.queue_oldest_age_s, "seconds")),
        ("dead letters", _measured(metrics.dead_letters, "mails")),
        ("unknown", _measured(metrics.unknown, "mails")),
        ("held", _measured(metrics.held, "mails")),
        ("runbook", told.runbook_url),
        ("dashboard", told.dashboard_url),
    ]
    return [(name, value) for name, value in lines if value is not None]


def text(told: Breach) -> str:
    """Give the whole notice as text."""
    lines = [f"{name}: {value}" for name, value in facts(told)]
    return "\n".join([told.summary, told.description, "", *lines, ""])


def _measured(value: float | None, unit: str) -> str | None:
    if value is None:
        return None
    number = f"{value:,.3f}".rstrip("0").rstrip(".")
    return f"{number} {unit}".rstrip()


def _of(part: int | None, whole: int | None) -> str | None:
    return None if part is None or whole is None else f"{part:,} of {whole:,} mails"


def _time(at: datetime | None) -> str | None:
    return None if at is None else f"{at:%Y-%m-%d %H:%M:%S} UTC"
