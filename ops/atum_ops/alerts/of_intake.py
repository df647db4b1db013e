"""Alerts about jobs in RabbitMQ: until an intake has stored one, Postgres knows nothing of its mail, and no other alert does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from atum_ops.alerts import conditions as on
from atum_ops.alerts import promql as q
from atum_ops.alerts.alert import MINUTE, Alert, Area, Severity
from atum_schema import metrics_catalogue as m
from atum_schema.topology import INTAKE, REJECTED

if TYPE_CHECKING:
    from atum_schema.settings import Settings


def jobs(settings: Settings) -> list[Alert]:
    """Tell what waits to be stored, and what was no mail."""
    piling = settings.alert_queue_backlog_threshold
    waiting = q.one(m.QUEUE_MESSAGES, queue=INTAKE)
    return [
        Alert(
            name="AtumNoIntake",
            severity=Severity.CRITICAL,
            area=Area.INTAKE,
            summary="Jobs wait, and no intake takes them.",
            description=f'{{{{ $value | printf "%.0f" }}}} jobs wait in {INTAKE}, which nobody consumes.',
            expr=f"{waiting} > 0 and {q.one(m.QUEUE_CONSUMERS, queue=INTAKE)} == 0",
            for_s=5 * MINUTE,
            threshold=0,
            unit="jobs",
            look=on.of_now(lambda now: on.untaken(now, INTAKE)),
        ),
        Alert(
            name="AtumJobsWaiting",
            severity=Severity.WARNING,
            area=Area.INTAKE,
            summary="Jobs pile up.",
            description=f'{{{{ $value | printf "%.0f" }}}} jobs wait in {INTAKE}; the threshold is {piling}.',
            expr=f"{waiting} >= {piling}",
            for_s=10 * MINUTE,
            threshold=piling,
            unit="jobs",
            look=on.at_least(lambda now: on.in_queue(now, INTAKE), piling),
        ),
        Alert(
            name="AtumJobsRejected",
            severity=Severity.WARNING,
            area=Area.INTAKE,
            summary="Jobs were no valid mail.",
            description=f'{{{{ $value | printf "%.0f" }}}} jobs lie in {REJECTED} until a person looks at them.',
            expr=f"{q.one(m.QUEUE_MESSAGES, queue=REJECTED)} > 0",
            for_s=MINUTE,
            threshold=0,
            unit="jobs",
            look=on.of_now(lambda now: on.in_queue(now, REJECTED)),
        ),
    ]
