"""What operators look at first: what is wrong, how near to an alert it is, and whether mail goes out."""

from __future__ import annotations

from typing import Final

from atum_ops.alerts import promql
from atum_ops.dashboards import queries as q
from atum_ops.dashboards.panel import (
    Colour,
    Dashboard,
    Panel,
    Query,
    Row,
    State,
    Step,
    bars,
    lines,
    table,
    timeline,
    value,
)
from atum_schema import metrics_catalogue as m

_FINISHED: Final = "delivered|bounced|complained|dead|expired|suppressed|canceled"
_FAILED_PERCENT: Final = f"{promql.failure_percent(m.RECENT, '24h', least=1)} or 0 * {q.gauge(m.RECENT, period='24h', result='finished')}"
_ANY_IS_BAD: Final = (Step(1, Colour.BAD),)
_ANY_IS_NOTICED: Final = (Step(1, Colour.NOTICE),)
_WINDOW: Final = (
    State(0, "open", Colour.GOOD),
    State(1, "paused", Colour.NOTICE),
    State(2, "closed", Colour.BAD),
)
_NO_EXPORTER: Final = "no exporter"


def overview() -> Dashboard:
    """Give the dashboard."""
    return Dashboard(
        uid="atum-mailer-overview",
        title="atum-mailer: overview",
        description="Is anything wrong, how near to an alert is it, and does mail go out?",
        variables=("lane",),
        rows=(
            Row(title="Is anything wrong?", panels=(_alerts(), *_numbers())),
            Row(title="Against the thresholds", panels=_thresholds()),
            Row(title="What becomes of mail", panels=_mail()),
            Row(title="The provider", panels=_provider()),
            Row(title="Who is at work", panels=_parts()),
        ),
    )


def _alerts() -> Panel:
    ours = 'alertname=~"Atum.*",alertname!="AtumWatchdog"'
    # Since when the condition of each has been met, of those that fire.
    firing = f'ALERTS_FOR_STATE{{{ours}}} and ignoring (alertstate) ALERTS{{alertstate="firing",{ours}}}'
    return table(
        "Alerts that fire",
        "Each has a page in docs/runbooks with what it means and what to do. Empty is good, as long as the exporter and Prometheus run: the watchdog alert, which always fires, is left out.",
        Query(f"time() - min by (severity, alertname, area) ({firing})", "met for", unit="s"),
        columns=(("severity", "severity"), ("alertname", "alert"), ("area", "area")),
        width=12,
        height=8,
        nothing="No alert fires.",
    )


def _numbers() -> tuple[Panel, ...]:
    return (
        value(
            "Failed in 24 hours",
            "Of the mails that came to an end in 24 hours, how many died, expired or bounced. The alert waits for a least number of mails; this number does not.",
            Query(_FAILED_PERCENT, "failed"),
            unit="percent",
            decimals=2,
            nothing=_NO_EXPORTER,
        ),
        value(
            "Backlog now",
            "Mails that are due or sending, in all lanes. A burst that goes down again is no trouble; one that stays is.",
            Query(q.gauge(m.BACKLOG), "mails"),
            nothing=_NO_EXPORTER,
        ),
        value(
            "Oldest mail now",
            "How long the mail that waits longest has been due or sending. It says more than the backlog: a few seconds are normal at any size.",
            Query(q.since(m.OLDEST), "age"),
            unit="s",
            nothing=_NO_EXPORTER,
        ),
        value(
            "Dead letters",
            "Mails that failed for good and can be replayed. They wait until a person replays or discards them: docs/dead-letters.md.",
            Query(q.largest(m.DEAD), "mails"),
            steps=_ANY_IS_NOTICED,
            nothing=_NO_EXPORTER,
        ),
        value(
            "Unknown",
            "Mails that were posted without a clear answer. They are searched for at the provider and settle by themselves; worry if they get old.",
            Query(q.gauge(m.UNKNOWN), "mails"),
            steps=_ANY_IS_NOTICED,
            nothing=_NO_EXPORTER,
        ),
        value(
            "Held",
            "Mails that wait for a person: nobody else decides about them (`atum-mailer mail list`).",
            Query(q.largest(m.HELD), "mails"),
            steps=_ANY_IS_NOTICED,
            nothing=_NO_EXPORTER,
        ),
        value(
            "Sent twice in 24 hours",
            "Copies of mails that were proven at the provider. It should always be 0; anything else is a defect or a restored backup.",
            Query(q.largest(m.RECENT_DUPLICATES, period="24h"), "copies"),
            steps=_ANY_IS_BAD,
            nothing=_NO_EXPORTER,
        ),
        value(
            "Windows that stopped",
            "Lanes that send nothing because the provider, a refused token or a person stopped them. See 'Windows' below for which.",
            Query(
                f"sum({q.gauge(m.WINDOW_STATE, *m.WINDOW_STATE.labels, window_state='closed|paused')})",
                "windows",
            ),
            steps=_ANY_IS_BAD,
            nothing=_NO_EXPORTER,
        ),
        value(
            "Since a mail was accepted",
            "How long ago the provider last took a mail, to the minute. Long is fine where nothing is due, and not while there is a backlog.",
            Query(q.ago(m.LAST_ACCEPTED), "ago"),
            unit="s",
            nothing="not in a day",
        ),
        value(
            "Relays and workers",
            "Processes that showed a sign of life in the last 20 seconds. 0 of either: nothing is sent.",
            Query(q.largest(m.PARTS, "part", part="relay|worker"), "{{part}}"),
            nothing=_NO_EXPORTER,
        ),
        value(
            "Stuck or vanished",
            "Processes that run and have done nothing for 90 seconds, and those that vanished without a good-bye in the last 15 minutes.",
            Query(f"{q.gauge(m.PARTS_STUCK)} + {q.gauge(m.PARTS_VANISHED)}", "processes"),
            steps=_ANY_IS_BAD,
            nothing=_NO_EXPORTER,
        ),
        value(
            "Exporter",
            "Whether the exporter could read the database. While it cannot, everything above is unknown, not zero.",
            Query(q.largest(m.EXPORTER_UP), "exporter"),
            states=(State(1, "reads", Colour.GOOD), State(0, "cannot read Postgres", Colour.BAD)),
            nothing=_NO_EXPORTER,
        ),
    )


def _thresholds() -> tuple[Panel, ...]:
    died = q.gauge(m.RECENT, period="1h", result="dead")
    backlog, age = q.gauge(m.BACKLOG), q.since(m.OLDEST)

    def share(value: str, setting: str, legend: str) -> Query:
        return Query(q.share_of_threshold(value, setting), legend)

    return (
        bars(
            "How near to an alert",
            "Each as a share of the threshold that operators set: at 100 % the first alert begins to wait.",
            share(_FAILED_PERCENT, "failure_rate_threshold", "failed in 24 hours"),
            share(backlog, "queue_backlog_threshold", "backlog"),
            share(age, "oldest_age_seconds", "oldest mail"),
            share(died, "dead_letters_threshold", "died in an hour"),
            unit="percentunit",
            steps=(Step(0.7, Colour.NOTICE), Step(1, Colour.BAD)),
            width=12,
            nothing=_NO_EXPORTER,
        ),
        lines(
            "Failure rate of 24 hours",
            "Of the mails that came to an end in the last 24 hours, how many died, expired or bounced. Above the dashed lines operators are told.",
            Query(_FAILED_PERCENT, "failed"),
            *_limits("failure_rate_threshold", "failure_rate_critical_threshold"),
            unit="percent",
            width=12,
        ),
        lines(
            "Backlog",
            "Mails that are due or sending, all lanes, one upon the other. Above the dashed lines for some minutes, operators are told.",
            Query(q.gauge(m.BACKLOG, "lane"), "{{lane}}"),
            *_limits("queue_backlog_threshold", "queue_backlog_critical_threshold"),
            axis="mails",
            stacked=True,
        ),
        lines(
            "Oldest mail of the backlog",
            "How long the oldest mail of each lane has been due or sending. A line that climbs steadily is a lane in which nothing moves.",
            Query(q.since(m.OLDEST, "lane"), "{{lane}}"),
            *_limits("oldest_age_seconds", "oldest_age_critical_seconds"),
            unit="s",
        ),
        lines(
            "Died in an hour",
            "Mails that failed for good in the last hour, by lane. Above the dashed line operators are told.",
            Query(q.gauge(m.RECENT, "lane", period="1h", result="dead"), "{{lane}}"),
            Query(q.threshold("dead_letters_threshold"), "threshold", limit=True),
            axis="mails",
            stacked=True,
        ),
    )


def _limits(usual: str, critical: str) -> tuple[Query, Query]:
    return (
        Query(q.threshold(usual), "threshold", limit=True),
        Query(q.threshold(critical), "critical threshold", limit=True),
    )


def _mail() -> tuple[Panel, ...]:
    return (
        lines(
            "Sent",
            "Mails that the provider accepted per second, by lane. Counted in Postgres, so no restart makes a dent.",
            Query(q.rate(m.FINISHED_TOTAL, "lane", lane=q.LANE, result="sent"), "{{lane}}"),
            unit="suffix:mails/s",
            stacked=True,
        ),
        lines(
            "Results",
            "What became of mails, per second. Bounced, dead and expired count as failures; suppressed and canceled were not sent on purpose.",
            Query(q.rate(m.FINISHED_TOTAL, "result", lane=q.LANE, result=_FINISHED), "{{result}}"),
            unit="suffix:mails/s",
        ),
        table(
            "Results of 24 hours",
            "How many mails came to each result in 24 hours and in the last one. A mail may count in several: first sent, later bounced.",
            Query(q.gauge(m.RECENT, "result", lane=q.LANE, period="24h"), "24 hours"),
            Query(q.gauge(m.RECENT, "result", lane=q.LANE, period="1h"), "1 hour"),
            columns=(("result", "result"),),
            nothing=_NO_EXPORTER,
        ),
        lines(
            "Waiting",
            "Mails by what they wait for: a batch (due), an answer (sending), their time (later). Due that grows means that sending is too slow or stopped. Those of removed lanes are among them.",
            Query(q.gauge(m.DUE, lane=q.LANE), "due"),
            Query(q.gauge(m.SENDING, lane=q.LANE), "sending"),
            Query(q.gauge(m.LATER, lane=q.LANE), "later"),
            Query(q.gauge(m.ORPHANED), "in removed lanes"),
            axis="mails",
            width=12,
        ),
        lines(
            "Not settled",
            "Dead letters, mails whose outcome is unknown, and mails that wait for a person. Unknown ones go away by themselves, the others need somebody.",
            Query(q.largest(m.DEAD), "dead"),
            Query(q.gauge(m.UNKNOWN), "unknown"),
            Query(q.largest(m.HELD), "held"),
            axis="mails",
            width=12,
        ),
    )


def _provider() -> tuple[Panel, ...]:
    of = f'{m.WINDOW_STATE.full_name}{{lane=~"{q.LANE}",window_state='
    return (
        timeline(
            "Windows",
            "Whether each lane may send. Closed: the provider does not answer well, and one batch at a time probes it. Paused: a person, or a refusal of token, account or sender.",
            Query(
                f'max by (lane, account) ({of}"open"}} * 0 or {of}"paused"}} or {of}"closed"}} * 2)',
                "{{lane}} {{account}}",
            ),
            states=_WINDOW,
            width=12,
        ),
        timeline(
            "Why windows stopped",
            "Of windows that stopped by themselves while mail of their lane waits: provider (down), account (it refuses us), sender, mail, rate_limited. Only what stopped in the time shown appears.",
            Query(
                f"max by (lane, account, why) ({q.selected(m.WINDOW_WHY, lane=q.LANE)}) > 0",
                "{{lane}} {{account}}: {{why}}",
            ),
            states=(State(1, "stopped", Colour.BAD),),
            width=12,
            nothing="No window stopped by itself.",
        ),
        table(
            "Last outages of the provider",
            "When the last outage of each window began, and how long it lasted, or has lasted until now.",
            Query(
                f"1000 * (max by (lane, account) ({q.selected(m.OUTAGE_BEGAN, lane=q.LANE)}) > 0)",
                "began",
                unit="dateTimeAsIso",
            ),
            Query(_outage_seconds(), "lasted", unit="s"),
            columns=(("lane", "lane"), ("account", "account")),
            width=12,
            height=6,
            nothing="There has been none.",
        ),
        lines(
            "Not now",
            "Attempts per second that are made again later, by why. A few are normal; a steady stream of one kind is what closes windows.",
            Query(q.rate(m.DEFERRALS_TOTAL, "why"), "{{why}}"),
            unit="suffix:attempts/s",
            width=12,
            height=6,
        ),
    )


def _outage_seconds() -> str:
    began = f"max by (lane, account) ({q.selected(m.OUTAGE_BEGAN, lane=q.LANE)} > 0)"
    ended = f"max by (lane, account) ({q.selected(m.OUTAGE_ENDED, lane=q.LANE)} > 0)"
    return f"{ended} - {began} or time() - {began}"


def _parts() -> tuple[Panel, ...]:
    return (
        lines(
            "Processes at work",
            "Processes of each part that showed a sign of life in the last 20 seconds. A part that you run and that is at 0 does nothing.",
            Query(q.largest(m.PARTS, "part"), "{{part}}"),
            axis="processes",
        ),
        lines(
            "Stuck and vanished",
            "Processes that run and do nothing, and those that were gone without a good-bye in the last 15 minutes: killed, or their machine is.",
            Query(q.gauge(m.PARTS_STUCK), "stuck"),
            Query(q.gauge(m.PARTS_VANISHED), "vanished"),
            axis="processes",
        ),
        lines(
            "Since work came through",
            "How long ago a task last went from Postgres by a relay and RabbitMQ to a worker and back. Five minutes are an alert: something between them does not work.",
            Query(q.ago(m.HEARTBEAT), "heartbeat"),
            unit="s",
        ),
    )
