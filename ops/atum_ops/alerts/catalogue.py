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

from typing import TYPE_CHECKING, Final

from atum_ops.alerts import conditions as on
from atum_ops.alerts import promql as q
from atum_ops.alerts.alert import Alert, Area, Severity
from atum_schema import metrics_catalogue as m

if TYPE_CHECKING:
    from atum_schema.settings import Settings

FEW: Final = 20
"""Mails from which a burst means something."""

_FAST: Final = 6.0
_SLOW: Final = 2.0
# However high the threshold is set, a burst in which almost everything fails is one.
_MOST_PERCENT: Final = 90.0
_THROTTLED_PERCENT: Final = 10.0
_REFUSED_LEAST: Final = 10
_REFUSED_PERCENT: Final = 50.0
# Who is not the provider is no news about it. Who was refused too often may well be: it is not known any more.
_STRANGERS: Final = frozenset({"stranger"})
_COMPLAINTS: Final = 2
_HEARTBEAT_S: Final = 300
_SEARCHES: Final = 5
_EVENTS_S: Final = 900
_LETTERS_S: Final = 86_400
_MINUTE: Final = 60


def alerts(settings: Settings) -> tuple[Alert, ...]:
    """Give all alerts with the thresholds of these settings."""
    return (
        *_failures(settings),
        *_queue(settings),
        *_unsettled(settings),
        *_provider(),
        *_way_back(settings),
        *_processes(),
        *_surroundings(),
        *_alerting(),
    )


def _failures(settings: Settings) -> list[Alert]:
    least = settings.alert_failure_rate_least
    usual = settings.alert_failure_rate_threshold
    # Rounded, so that 6 times 0.1 is 0.6 in the rules and here.
    fast, slow = (round(min(factor * usual, _MOST_PERCENT), 6) for factor in (_FAST, _SLOW))
    day = q.failure_percent(m.RECENT, "24h", least=least)

    def of_day(name: str, severity: Severity, threshold: float, summary: str) -> Alert:
        return Alert(
            name=name,
            severity=severity,
            area=Area.FAILURES,
            summary=summary,
            description=f'{{{{ $value | printf "%.2f" }}}} % of the mails that finished in 24 hours failed; the threshold is {q.number(threshold)} %.',
            expr=f"{day} >= {q.number(threshold)}",
            for_s=5 * _MINUTE,
            threshold=threshold,
            unit="percent",
            look=on.at_least(lambda now: on.failure_percent(now, "24h", least=least), threshold),
        )

    def of_burst(
        name: str, severity: Severity, threshold: float, long: str, short: str, for_s: int, summary: str
    ) -> Alert:
        slow_one = q.failure_percent(m.RECENT, long, least=FEW)
        quick_one = q.failures_reach(m.RECENT, short, threshold)
        return Alert(
            name=name,
            severity=severity,
            area=Area.FAILURES,
            summary=summary,
            description=f'{{{{ $value | printf "%.2f" }}}} % failed in {long}, and as many in {short}; the threshold is {q.number(threshold)} %.',
            expr=f"{slow_one} >= {q.number(threshold)} and {quick_one}",
            for_s=for_s,
            threshold=threshold,
            unit="percent",
            look=on.burn(long, short, threshold, least=FEW),
        )

    return [
        of_day("AtumFailureRateHigh", Severity.WARNING, usual, "Too many mails fail."),
        of_day(
            "AtumFailureRateCritical",
            Severity.CRITICAL,
            settings.alert_failure_rate_critical_threshold,
            "Very many mails fail.",
        ),
        of_burst(
            "AtumFailureBurnFast",
            Severity.CRITICAL,
            fast,
            "1h",
            "5m",
            2 * _MINUTE,
            "Mails fail so fast that a quarter of a day's failures comes in an hour.",
        ),
        of_burst(
            "AtumFailureBurnSlow",
            Severity.WARNING,
            slow,
            "6h",
            "30m",
            15 * _MINUTE,
            "Mails have been failing at twice the accepted rate for hours.",
        ),
    ]


def _queue(settings: Settings) -> list[Alert]:
    backlog, oldest = q.total(m.BACKLOG), q.age(m.OLDEST)

    def of_backlog(name: str, severity: Severity, threshold: int, for_s: int) -> Alert:
        return Alert(
            name=name,
            severity=severity,
            area=Area.BACKLOG,
            summary="Mail piles up." if severity is Severity.WARNING else "Very much mail piles up.",
            description=f'{{{{ $value | printf "%.0f" }}}} mails are due or sending; the threshold is {threshold}.',
            expr=f"{backlog} >= {threshold}",
            for_s=for_s,
            threshold=threshold,
            unit="mails",
            look=on.at_least(lambda now: now.backlog, threshold),
        )

    def of_age(name: str, severity: Severity, threshold: int) -> Alert:
        return Alert(
            name=name,
            severity=severity,
            area=Area.AGE,
            summary="Mail has been due for long."
            if severity is Severity.WARNING
            else "Mail has been due for very long.",
            description=f"The oldest mail has been due or sending for {{{{ $value | humanizeDuration }}}}; the threshold is {threshold} s.",
            expr=f"{oldest} >= {threshold}",
            for_s=2 * _MINUTE,
            threshold=threshold,
            unit="seconds",
            look=on.at_least(lambda now: on.age(now, now.oldest_at), threshold),
        )

    return [
        of_backlog("AtumBacklogHigh", Severity.WARNING, settings.alert_queue_backlog_threshold, 10 * _MINUTE),
        of_backlog(
            "AtumBacklogCritical",
            Severity.CRITICAL,
            settings.alert_queue_backlog_critical_threshold,
            5 * _MINUTE,
        ),
        of_age("AtumOldestMailOld", Severity.WARNING, settings.alert_oldest_age_seconds),
        of_age("AtumOldestMailVeryOld", Severity.CRITICAL, settings.alert_oldest_age_critical_seconds),
    ]


def _unsettled(settings: Settings) -> list[Alert]:
    growing, unknown_s = settings.alert_dead_letters_threshold, settings.alert_unknown_age_seconds
    return [
        Alert(
            name="AtumDeadLettersGrowing",
            severity=Severity.WARNING,
            area=Area.DEAD_LETTERS,
            summary="Mails die.",
            description=f'{{{{ $value | printf "%.0f" }}}} mails died in one hour; the threshold is {growing}.',
            expr=f"{q.total(m.RECENT, period='1h', result='dead')} >= {growing}",
            for_s=_MINUTE,
            threshold=growing,
            unit="mails",
            look=on.at_least(lambda now: now.recently("1h", "dead"), growing),
        ),
        Alert(
            name="AtumDeadLettersWaiting",
            severity=Severity.WARNING,
            area=Area.DEAD_LETTERS,
            summary="Dead letters have waited for a day.",
            description=f"The oldest dead letter has waited for {{{{ $value | humanizeDuration }}}}; the threshold is {_LETTERS_S} s.",
            expr=f"{q.age(m.DEAD_OLDEST)} >= {_LETTERS_S}",
            for_s=0,
            threshold=_LETTERS_S,
            unit="seconds",
            look=on.at_least(lambda now: on.age(now, now.dead.oldest_at), _LETTERS_S),
        ),
        Alert(
            name="AtumUnknownMailsOld",
            severity=Severity.WARNING,
            area=Area.UNKNOWN,
            summary="Nobody knows for long whether mails were sent.",
            description=f"The oldest unknown outcome is {{{{ $value | humanizeDuration }}}} old; the threshold is {unknown_s} s.",
            expr=f"{q.age(m.UNKNOWN_OLDEST)} >= {unknown_s}",
            for_s=2 * _MINUTE,
            threshold=unknown_s,
            unit="seconds",
            look=on.at_least(lambda now: on.age(now, now.unknown.oldest_at), unknown_s),
        ),
        Alert(
            name="AtumSearchesFailing",
            severity=Severity.WARNING,
            area=Area.UNKNOWN,
            summary="Searches for unknown mail fail.",
            description=f'{{{{ $value | printf "%.0f" }}}} searches for one batch failed in a row; the threshold is {_SEARCHES}.',
            expr=f"{q.one(m.SEARCH_FAILURES)} >= {_SEARCHES}",
            for_s=2 * _MINUTE,
            threshold=_SEARCHES,
            unit="searches",
            look=on.at_least(lambda now: now.search_failures, _SEARCHES),
        ),
        Alert(
            name="AtumMailsHeld",
            severity=Severity.WARNING,
            area=Area.UNKNOWN,
            summary="Mails wait for a person.",
            description='{{ $value | printf "%.0f" }} mails are held until a person decides.',
            expr=f"{q.one(m.HELD)} > 0",
            for_s=30 * _MINUTE,
            threshold=0,
            unit="mails",
            look=on.of_now(lambda now: now.held.number or None),
        ),
        Alert(
            name="AtumDuplicateConfirmed",
            severity=Severity.CRITICAL,
            area=Area.DUPLICATES,
            summary="A mail was sent twice.",
            description='{{ $value | printf "%.0f" }} copies of mails were proven at the provider in one hour.',
            expr=f"{q.one(m.RECENT_DUPLICATES, period='1h')} > 0",
            for_s=0,
            threshold=0,
            unit="mails",
            look=on.of_now(lambda now: now.recent_duplicates.get("1h") or None),
        ),
        Alert(
            name="AtumBatchesStuck",
            severity=Severity.WARNING,
            area=Area.BATCHES,
            summary="Batches are stuck.",
            description='{{ $value | printf "%.0f" }} batches were taken by nobody, or ended by nobody, in time.',
            expr=f"{q.one(m.STUCK)} > 0",
            for_s=5 * _MINUTE,
            threshold=0,
            unit="batches",
            look=on.of_now(lambda now: now.stuck_batches or None),
        ),
    ]


def _provider() -> list[Alert]:
    def of_window(
        name: str, severity: Severity, whys: tuple[str, ...], for_s: int, summary: str, says: str
    ) -> Alert:
        return Alert(
            name=name,
            severity=severity,
            area=Area.PROVIDER,
            summary=summary,
            description=f'{{{{ $value | printf "%.0f" }}}} {says}',
            expr=f"{q.total(m.WINDOW_WHY, why='|'.join(whys))} > 0",
            for_s=for_s,
            threshold=0,
            unit="windows",
            look=on.of_now(lambda now: on.stopped(now, *whys)),
        )

    refused = q.total(m.RECENT_DEFERRALS, period="30m", why="rate_limited")
    sent = q.total(m.RECENT, period="30m", result="sent")
    return [
        of_window(
            "AtumProviderDown",
            Severity.CRITICAL,
            ("provider",),
            5 * _MINUTE,
            "The provider is down.",
            "windows are closed because the provider does not answer well.",
        ),
        of_window(
            "AtumProviderAuthFailing",
            Severity.CRITICAL,
            ("account",),
            _MINUTE,
            "The provider refuses us.",
            "windows are paused because the provider refuses the token, the account or the caller.",
        ),
        of_window(
            "AtumLaneStopped",
            Severity.WARNING,
            ("sender", "mail", "rate_limited", "other"),
            5 * _MINUTE,
            "A lane stopped by itself.",
            "windows are closed or paused; a sender, a stream or a limit is to be mended.",
        ),
        Alert(
            name="AtumMailsPutOff",
            severity=Severity.WARNING,
            area=Area.PROVIDER,
            summary="Mails are put off for reasons that only a person mends.",
            description=f'{{{{ $value | printf "%.0f" }}}} attempts of half an hour were put off: a sender, a stream, a content key; the threshold is {FEW}.',
            expr=f"{q.total(m.RECENT_DEFERRALS, period='30m', why='sender|other')} >= {FEW}",
            for_s=10 * _MINUTE,
            threshold=FEW,
            unit="attempts",
            look=on.at_least(lambda now: on.put_off(now, "sender", "other"), FEW),
        ),
        Alert(
            name="AtumProviderThrottling",
            severity=Severity.WARNING,
            area=Area.PROVIDER,
            summary="The provider takes less than is offered.",
            description=f'{{{{ $value | printf "%.1f" }}}} % of the attempts of half an hour were too many; the threshold is {q.number(_THROTTLED_PERCENT)} %.',
            expr=f"100 * ({refused} >= {FEW}) / ({refused} + {sent}) >= {q.number(_THROTTLED_PERCENT)}",
            for_s=10 * _MINUTE,
            threshold=_THROTTLED_PERCENT,
            unit="percent",
            look=on.at_least(lambda now: on.throttled_percent(now, least=FEW), _THROTTLED_PERCENT),
        ),
    ]


def _way_back(settings: Settings) -> list[Alert]:
    silence_s = settings.alert_webhook_silence_seconds
    bounces, complaints = settings.alert_bounce_rate_threshold, settings.alert_complaint_rate_threshold
    least = settings.alert_failure_rate_least
    others = "|".join(sorted(_STRANGERS))
    refused = (
        f'sum(max by (webhook) (increase({m.WEBHOOK_REFUSED_TOTAL.full_name}{{webhook!~"{others}"}}[15m])))'
    )
    stored = f"max(increase({m.WEBHOOK_STORED_TOTAL.full_name}[15m]))"
    return [
        Alert(
            name="AtumWebhookSilence",
            severity=Severity.WARNING,
            area=Area.WEBHOOKS,
            summary="Nothing is told of the mails that are sent.",
            description=f"The last event of a webhook came {{{{ $value | humanizeDuration }}}} ago, and mails were sent; the threshold is {silence_s} s.",
            expr=f"{q.silence(m.WEBHOOK_LAST)} >= {silence_s} and {q.total(m.RECENT, period='1h', result='sent')} >= {FEW}",
            for_s=15 * _MINUTE,
            threshold=silence_s,
            unit="seconds",
            look=on.at_least(lambda now: on.silent(now, least=FEW), silence_s),
        ),
        Alert(
            name="AtumWebhookRejecting",
            severity=Severity.WARNING,
            area=Area.WEBHOOKS,
            summary="Events of the provider are refused.",
            description='{{ $value | printf "%.0f" }} requests to the webhook endpoint were not taken in 15 minutes, half of all or more.',
            expr=f"{refused} >= {_REFUSED_LEAST} and 100 * {refused} / ({refused} + {stored}) >= {q.number(_REFUSED_PERCENT)}",
            for_s=0,
            threshold=_REFUSED_LEAST,
            unit="requests",
            look=lambda seen: on.refused(
                seen, least=_REFUSED_LEAST, percent=_REFUSED_PERCENT, but=_STRANGERS
            ),
        ),
        Alert(
            name="AtumWebhookEventsWaiting",
            severity=Severity.WARNING,
            area=Area.WEBHOOKS,
            summary="Events of the provider are not applied.",
            description=f"The oldest event has waited for {{{{ $value | humanizeDuration }}}}; the threshold is {_EVENTS_S} s.",
            expr=f"{q.age(m.INBOX_OLDEST)} >= {_EVENTS_S}",
            for_s=_MINUTE,
            threshold=_EVENTS_S,
            unit="seconds",
            look=on.at_least(lambda now: on.age(now, now.inbox_new.oldest_at), _EVENTS_S),
        ),
        Alert(
            name="AtumBounceRateHigh",
            severity=Severity.WARNING,
            area=Area.REPUTATION,
            summary="Many mails bounce.",
            description=f'{{{{ $value | printf "%.2f" }}}} % of the mails of 24 hours bounced for good; the threshold is {q.number(bounces)} %.',
            expr=f"{q.percent(m.RECENT, 'bounced', period='24h', least=least)} >= {q.number(bounces)}",
            for_s=5 * _MINUTE,
            threshold=bounces,
            unit="percent",
            look=on.at_least(lambda now: on.percent_of_sent(now, "bounced", least=least), bounces),
        ),
        Alert(
            name="AtumComplaintRateHigh",
            severity=Severity.WARNING,
            area=Area.REPUTATION,
            summary="Recipients call our mail spam.",
            description=f'{{{{ $value | printf "%.3f" }}}} % of the mails of 24 hours were called spam; the threshold is {q.number(complaints)} %.',
            expr=f"{q.percent(m.RECENT, 'complained', period='24h', least=least, few=_COMPLAINTS)} >= {q.number(complaints)}",
            for_s=5 * _MINUTE,
            threshold=complaints,
            unit="percent",
            look=on.at_least(
                lambda now: on.percent_of_sent(now, "complained", least=least, few=_COMPLAINTS), complaints
            ),
        ),
    ]


def _processes() -> list[Alert]:
    def of_none(name: str, kind: str, summary: str) -> Alert:
        return Alert(
            name=name,
            severity=Severity.CRITICAL,
            area=Area.PARTS,
            summary=summary,
            description=f"No {kind} has shown a sign of life for 20 seconds and longer.",
            expr=f"{q.one(m.PARTS, part=kind)} == 0",
            for_s=2 * _MINUTE,
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
            for_s=5 * _MINUTE,
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
            name="AtumHeartbeatMissed",
            severity=Severity.CRITICAL,
            area=Area.TASKS,
            summary="No work comes through.",
            description=f"No task has come from Postgres to a worker and back for {{{{ $value | humanizeDuration }}}}; the threshold is {_HEARTBEAT_S} s.",
            expr=f"{q.silence(m.HEARTBEAT)} >= {_HEARTBEAT_S}",
            for_s=_MINUTE,
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
            for_s=30 * _MINUTE,
            threshold=0,
            unit="tasks",
            look=on.of_now(
                lambda now: 1.0 if any(task.failing or task.overdue for task in now.tasks) else None
            ),
        ),
    ]


def _surroundings() -> list[Alert]:
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
            for_s=2 * _MINUTE,
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
            for_s=5 * _MINUTE,
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
            for_s=2 * _MINUTE,
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
            for_s=5 * _MINUTE,
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
            for_s=5 * _MINUTE,
            threshold=1,
            look=None,
        ),
    ]


def _alerting() -> list[Alert]:
    return [
        Alert(
            name="AtumAlertDeliveryFailing",
            severity=Severity.CRITICAL,
            area=Area.ALERTING,
            summary="Operators cannot be told.",
            description='{{ $value | printf "%.0f" }} receivers do not take notices.',
            expr="count(sum by (integration) (increase(alertmanager_notifications_failed_total[15m])) > 0)",
            for_s=5 * _MINUTE,
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
