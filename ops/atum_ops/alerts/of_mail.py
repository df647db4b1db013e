"""Alerts about mail: what fails, what waits, and what nobody knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from atum_ops.alerts import conditions as on
from atum_ops.alerts import promql as q
from atum_ops.alerts.alert import FEW, MINUTE, Alert, Area, Severity
from atum_schema import metrics_catalogue as m

if TYPE_CHECKING:
    from atum_schema.settings import Settings

_FAST: Final = 6.0
_SLOW: Final = 2.0
# However high the threshold is set, a burst in which almost everything fails is one.
_MOST_PERCENT: Final = 90.0
_SEARCHES: Final = 5
_LETTERS_S: Final = 86_400


def failures(settings: Settings) -> list[Alert]:
    """Tell what fails, over a day and in bursts."""
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
            for_s=5 * MINUTE,
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
            2 * MINUTE,
            "Mails fail so fast that a quarter of a day's failures comes in an hour.",
        ),
        of_burst(
            "AtumFailureBurnSlow",
            Severity.WARNING,
            slow,
            "6h",
            "30m",
            15 * MINUTE,
            "Mails have been failing at twice the accepted rate for hours.",
        ),
    ]


def queue(settings: Settings) -> list[Alert]:
    """Tell what waits, by number and by age."""
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
            for_s=2 * MINUTE,
            threshold=threshold,
            unit="seconds",
            look=on.at_least(lambda now: on.age(now, now.oldest_at), threshold),
        )

    return [
        of_backlog("AtumBacklogHigh", Severity.WARNING, settings.alert_queue_backlog_threshold, 10 * MINUTE),
        of_backlog(
            "AtumBacklogCritical",
            Severity.CRITICAL,
            settings.alert_queue_backlog_critical_threshold,
            5 * MINUTE,
        ),
        of_age("AtumOldestMailOld", Severity.WARNING, settings.alert_oldest_age_seconds),
        of_age("AtumOldestMailVeryOld", Severity.CRITICAL, settings.alert_oldest_age_critical_seconds),
    ]


def unsettled(settings: Settings) -> list[Alert]:
    """Tell what needs a person, or proof."""
    growing, unknown_s = settings.alert_dead_letters_threshold, settings.alert_unknown_age_seconds
    return [
        Alert(
            name="AtumDeadLettersGrowing",
            severity=Severity.WARNING,
            area=Area.DEAD_LETTERS,
            summary="Mails die.",
            description=f'{{{{ $value | printf "%.0f" }}}} mails died in one hour; the threshold is {growing}.',
            expr=f"{q.total(m.RECENT, period='1h', result='dead')} >= {growing}",
            for_s=MINUTE,
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
            for_s=2 * MINUTE,
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
            for_s=2 * MINUTE,
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
            for_s=30 * MINUTE,
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
            for_s=5 * MINUTE,
            threshold=0,
            unit="batches",
            look=on.of_now(lambda now: now.stuck_batches or None),
        ),
    ]
