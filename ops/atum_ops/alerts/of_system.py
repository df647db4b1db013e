"""Alerts about what mail needs: processes, RabbitMQ, Postgres, and alerting itself."""

from __future__ import annotations

from typing import Final

from atum_ops.alerts import conditions as on
from atum_ops.alerts import promql as q
from atum_ops.alerts.alert import MINUTE, Alert, Area, Severity
from atum_schema import metrics_catalogue as m

_HEARTBEAT_S: Final = 300


def processes() -> list[Alert]:
    """Tell about our processes, and the tasks that they do now and then."""

    def of_none(name: str, kind: str, summary: str) -> Alert:
        return Alert(
            name=name,
            severity=Severity.CRITICAL,
            area=Area.PARTS,
            summary=summary,
            description=f"No {kind} has shown a sign of life for 20 seconds and longer.",
            expr=f"{q.one(m.PARTS, part=kind)} == 0",
            for_s=2 * MINUTE,
            threshold=1,
            unit="processes",
            look=on.of_now(lambda now: on.none_alive(now, kind)),
        )

    failing = f"max({m.TASK_FAILING.full_name}) > 0 or max({m.TASK_OVERDUE.full_name}) > 0"
    return [
        of_none("AtumNoRelay", "relay", "No relay runs."),
        of_none("AtumNoWorker", "worker", "No worker runs."),
        Alert(
            name="AtumPartStuck",
            severity=Severity.WARNING,
            area=Area.PARTS,
            summary="A process does nothing.",
            description='{{ $value | printf "%.0f" }} processes run and have done nothing for 90 seconds.',
            expr=f"{q.total(m.PARTS_STUCK)} > 0",
            for_s=5 * MINUTE,
            threshold=0,
            unit="processes",
            look=on.of_now(lambda now: on.count_parts(now, lambda part: part.stuck)),
        ),
        Alert(
            name="AtumPartVanished",
            severity=Severity.WARNING,
            area=Area.PARTS,
            summary="A process vanished.",
            description='{{ $value | printf "%.0f" }} processes were gone without a good-bye in 15 minutes.',
            expr=f"{q.total(m.PARTS_VANISHED)} > 0",
            for_s=0,
            threshold=0,
            unit="processes",
            look=on.of_now(lambda now: on.count_parts(now, lambda part: part.vanished)),
        ),
        Alert(
            name="AtumLaneRemoved",
            severity=Severity.WARNING,
            area=Area.PARTS,
            summary="Mail of a lane that was removed waits.",
            description='{{ $value | printf "%.0f" }} mails wait in lanes that no relay serves; the first lane takes them.',
            expr=f"{q.total(m.ORPHANED)} > 0",
            for_s=5 * MINUTE,
            threshold=0,
            unit="mails",
            look=on.of_now(lambda now: sum(now.orphaned.values()) or None),
        ),
        Alert(
            name="AtumHeartbeatMissed",
            severity=Severity.CRITICAL,
            area=Area.TASKS,
            summary="No work comes through.",
            description=f"No task has come from Postgres to a worker and back for {{{{ $value | humanizeDuration }}}}; the threshold is {_HEARTBEAT_S} s.",
            expr=f"{q.silence(m.HEARTBEAT)} >= {_HEARTBEAT_S}",
            for_s=MINUTE,
            threshold=_HEARTBEAT_S,
            unit="seconds",
            look=on.at_least(lambda now: on.age(now, now.heartbeat_at), _HEARTBEAT_S),
        ),
        Alert(
            name="AtumTaskFailing",
            severity=Severity.WARNING,
            area=Area.TASKS,
            summary="A task fails, or nobody does it.",
            description="What is done now and then (applying events, telling suppressions, catching up …) fails or is overdue.",
            expr=failing,
            for_s=30 * MINUTE,
            threshold=0,
            unit="tasks",
            look=on.of_now(
                lambda now: 1.0 if any(task.failing or task.overdue for task in now.tasks) else None
            ),
        ),
    ]


def surroundings() -> list[Alert]:
    """Tell what our processes need, and what looks at them."""
    away = q.one(m.PARTS_BROKER, broker_state="away")
    others = f'max({m.PARTS_BROKER.full_name}{{broker_state=~"connected|blocked"}})'
    return [
        Alert(
            name="AtumBrokerAlarm",
            severity=Severity.CRITICAL,
            area=Area.BROKER,
            summary="An alarm of RabbitMQ blocks publishers.",
            description='{{ $value | printf "%.0f" }} processes are blocked: the memory or the disk of the broker is full.',
            expr=f"{q.one(m.PARTS_BROKER, broker_state='blocked')} > 0",
            for_s=2 * MINUTE,
            threshold=0,
            unit="processes",
            look=on.of_now(lambda now: now.brokers.get("blocked") or None),
        ),
        Alert(
            name="AtumBrokerDown",
            severity=Severity.CRITICAL,
            area=Area.BROKER,
            summary="RabbitMQ does not answer.",
            description='None of {{ $value | printf "%.0f" }} processes reaches RabbitMQ; workers take batches from Postgres meanwhile.',
            expr=f"{away} > 0 and {others} == 0",
            for_s=5 * MINUTE,
            threshold=0,
            unit="processes",
            look=on.of_now(on.broker_away),
        ),
        Alert(
            name="AtumDatabaseDown",
            severity=Severity.CRITICAL,
            area=Area.DATABASE,
            summary="Postgres cannot be read.",
            description="Nothing is accepted and nothing is sent while Postgres is away; nothing is lost either.",
            expr=f"{q.one(m.EXPORTER_UP)} == 0",
            for_s=2 * MINUTE,
            threshold=1,
            look=lambda seen: 0.0 if seen.now is None else None,
        ),
        Alert(
            name="AtumExporterAbsent",
            severity=Severity.CRITICAL,
            area=Area.ALERTING,
            summary="No exporter is scraped.",
            description="Without an exporter nobody sees the backlog, failures or dead letters.",
            expr=f"absent({m.EXPORTER_UP.full_name})",
            for_s=5 * MINUTE,
            threshold=None,
            look=None,
        ),
        Alert(
            name="AtumTargetDown",
            severity=Severity.WARNING,
            area=Area.PARTS,
            summary="The metrics of a process cannot be scraped.",
            description="{{ $labels.job }} on {{ $labels.instance }} does not answer.",
            expr='up{job=~"atum-mailer.*"} == 0',
            for_s=5 * MINUTE,
            threshold=1,
            look=None,
        ),
    ]


def alerting() -> list[Alert]:
    """Tell whether anybody would be told."""
    return [
        Alert(
            name="AtumAlertDeliveryFailing",
            severity=Severity.CRITICAL,
            area=Area.ALERTING,
            summary="Operators cannot be told.",
            description='{{ $value | printf "%.0f" }} receivers do not take notices.',
            expr="count(sum by (integration) (increase(alertmanager_notifications_failed_total[15m])) > 0)",
            for_s=5 * MINUTE,
            threshold=0,
            unit="receivers",
            look=lambda seen: seen.deaf or None,
        ),
        Alert(
            name="AtumWatchdog",
            severity=Severity.NONE,
            area=Area.ALERTING,
            summary="Alerting works.",
            description="Always there: whoever misses it knows that alerting is broken.",
            expr="vector(1)",
            for_s=0,
            threshold=None,
            look=None,
            keeps=False,
        ),
    ]
