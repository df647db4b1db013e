"""All alerts, from the settings: each condition in PromQL and in Python, side by side.

::

    exporter ── gauges ──▶ Prometheus ── rules ──▶ Alertmanager ──▶ receivers
        ▲
    snapshot of Postgres
        ▼
    alerts watch ── the same conditions, in Python ───────────────▶ receivers

Each alert has a page of its name in docs/runbooks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from atum_ops.alerts import of_intake, of_mail, of_provider, of_system

if TYPE_CHECKING:
    from atum_ops.alerts.alert import Alert
    from atum_schema.settings import Settings


def alerts(settings: Settings) -> tuple[Alert, ...]:
    """Give all alerts with the thresholds of these settings."""
    return (
        *of_mail.failures(settings),
        *of_mail.queue(settings),
        *of_mail.unsettled(settings),
        *of_provider.provider(),
        *of_provider.way_back(settings),
        *of_intake.jobs(settings),
        *of_system.processes(),
        *of_system.surroundings(),
        *of_system.alerting(),
    )
