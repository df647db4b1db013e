"""The ways in and the way back: intake, HTTP API, webhooks, suppressions, reputation."""

from __future__ import annotations

from typing import Final

from atum_ops.dashboards import queries as q
from atum_ops.dashboards.panel import Colour, Dashboard, Panel, Query, Row, Step, lines, value
from atum_schema import metrics_catalogue as m

_NO_EXPORTER: Final = "no exporter"
_API: Final = "mails|suppressions|postmark|health|docs|other"


def ways() -> Dashboard:
    """Give the dashboard."""
    return Dashboard(
        uid="atum-mailer-ways",
        title="atum-mailer: ways in and back",
        description="How mail comes in, what the provider tells us of it, and what recipients think of us.",
        variables=("lane",),
        rows=(
            Row(title="Mail that comes in", panels=_in()),
            Row(title="What the provider tells us", panels=_back()),
            Row(title="Events in the inbox", panels=_events()),
            Row(title="Reputation", panels=_reputation()),
        ),
    )


def _in() -> tuple[Panel, ...]:
    return (
        lines(
            "Requests to the API",
            "Requests answered per second, by the class of the status. 4xx are mistakes of callers; 5xx are ours, and mostly Postgres being away.",
            Query(q.rate(m.HTTP_REQUESTS, "http_class", endpoint=_API), "{{http_class}}"),
            unit="reqps",
            stacked=True,
        ),
        lines(
            "Duration of requests to the API",
            "What 95 % of the requests do not exceed, by endpoint. A mail is stored, with fsync, before it is answered.",
            Query(q.quantile(0.95, m.HTTP_DURATION, "endpoint", endpoint=_API), "{{endpoint}}"),
            unit="s",
        ),
        lines(
            "Mails that the API took",
            "Mails per second that requests handed over and that are stored.",
            Query(q.rate(m.MAILS_TAKEN), "mails"),
            unit="suffix:mails/s",
        ),
        lines(
            "Jobs of the intake queue",
            "Jobs of mail.intake per second. Rejected ones are in the queue mail.rejected (docs/intake.md); 'known' ones were stored before; 'later' are offered again in the next transaction.",
            Query(q.rate(m.JOBS, "job_result"), "{{job_result}}"),
            unit="suffix:jobs/s",
            width=12,
        ),
        lines(
            "Jobs in RabbitMQ",
            "Jobs that wait in mail.intake, the only copy of their mails, and those that lie in mail.rejected until a person looks at them.",
            Query(q.largest(m.QUEUE_MESSAGES, "queue"), "{{queue}}"),
            axis="jobs",
            decimals=0,
            width=12,
        ),
        lines(
            "Consumers of jobs",
            "Connections that take jobs out of mail.intake: one for each intake at work. With jobs waiting and 0 for five minutes there is an alert.",
            Query(q.largest(m.QUEUE_CONSUMERS, "queue"), "{{queue}}"),
            axis="consumers",
            decimals=0,
            width=12,
        ),
        lines(
            "Duration of the intake's transactions",
            "How long storing some jobs took. It grows with the jobs in it, and when Postgres is slow to write.",
            Query(q.quantile(0.5, m.JOBS_DURATION), "half are faster"),
            Query(q.quantile(0.95, m.JOBS_DURATION), "95 % are faster"),
            unit="s",
            width=12,
        ),
    )


def _back() -> tuple[Panel, ...]:
    return (
        lines(
            "Requests of webhooks",
            "Requests of the provider per second, by what became of them. 'duplicate' is normal; 'credentials', 'signature' or 'not_stored' mean that events get lost after some retries.",
            Query(q.rate(m.WEBHOOK_REQUESTS, "webhook"), "{{webhook}}"),
            unit="reqps",
            stacked=True,
        ),
        lines(
            "Refused in 15 minutes",
            "Requests that were not taken, as counted in Postgres. 'stranger' and 'too_many' are not the provider, and no news about it.",
            Query(q.growth(m.WEBHOOK_REFUSED_TOTAL, "15m", "webhook"), "{{webhook}}"),
            axis="requests",
            decimals=0,
        ),
        lines(
            "Events",
            "Events stored per second, by what the provider calls them.",
            Query(q.rate(m.WEBHOOK_EVENTS, "record_type"), "{{record_type}}"),
            unit="suffix:events/s",
            stacked=True,
        ),
        lines(
            "Events stored",
            "Events stored per second, as counted in Postgres: no restart makes a dent.",
            Query(q.rate(m.WEBHOOK_STORED_TOTAL), "stored"),
            unit="suffix:events/s",
        ),
        lines(
            "How late events come",
            "From the time that the provider gives for an event until it is stored. After an outage of ours it is long: the provider tries again for hours.",
            Query(q.quantile(0.5, m.WEBHOOK_LAG), "half are faster"),
            Query(q.quantile(0.95, m.WEBHOOK_LAG), "95 % are faster"),
            unit="s",
        ),
        lines(
            "Duration of webhook requests",
            "How long the endpoint took to store an event and answer. Long: Postgres is slow to write.",
            Query(q.quantile(0.5, m.HTTP_DURATION, endpoint="webhook"), "half are faster"),
            Query(q.quantile(0.95, m.HTTP_DURATION, endpoint="webhook"), "95 % are faster"),
            unit="s",
        ),
    )


def _events() -> tuple[Panel, ...]:
    return (
        value(
            "Since the last event",
            "How long ago an event of a webhook was stored. Long while mails are sent means that nobody tells us of bounces: ATUM_ALERT_WEBHOOK_SILENCE_SECONDS.",
            Query(q.ago(m.WEBHOOK_LAST), "ago"),
            unit="s",
            nothing="never",
            height=8,
        ),
        lines(
            "Events that wait",
            "New events wait to be applied: for seconds. Parked ones wait for their mail to be found, and are looked for again.",
            Query(q.gauge(m.INBOX, "inbox_state"), "{{inbox_state}}"),
            axis="events",
            width=10,
        ),
        lines(
            "Oldest new event",
            "How long the oldest new event has waited. 15 minutes are an alert: the task that applies events fails or is not done.",
            Query(q.since(m.INBOX_OLDEST), "oldest"),
            unit="s",
            width=10,
        ),
    )


def _reputation() -> tuple[Panel, ...]:
    def of_sent(result: str, period: str) -> str:
        return q.percent(
            q.gauge(m.RECENT, lane=q.LANE, period=period, result=result),
            q.gauge(m.RECENT, lane=q.LANE, period=period, result="sent"),
        )

    return (
        lines(
            "Bounce rate",
            "Percent of the mails sent that bounced for good. ATUM_ALERT_BOUNCE_RATE_THRESHOLD is when operators are told; providers stop senders above 10 %.",
            Query(of_sent("bounced", "24h"), "24 hours"),
            Query(of_sent("bounced", "1h"), "1 hour"),
            unit="percent",
        ),
        lines(
            "Complaint rate",
            "Percent of the mails sent that recipients called spam. ATUM_ALERT_COMPLAINT_RATE_THRESHOLD is when operators are told; 0.1 % is where providers begin to worry.",
            Query(of_sent("complained", "24h"), "24 hours"),
            unit="percent",
            decimals=3,
        ),
        lines(
            "Suppressed addresses",
            "Addresses that must not be mailed, once per stream. It grows slowly; a jump is a bad list of recipients.",
            Query(q.largest(m.SUPPRESSED), "addresses"),
            axis="addresses",
        ),
        value(
            "Suppressed in 24 hours",
            "Mails that were not sent because their recipient must not be mailed.",
            Query(q.gauge(m.RECENT, lane=q.LANE, period="24h", result="suppressed"), "mails"),
            nothing=_NO_EXPORTER,
            width=6,
        ),
        value(
            "Bounced in 24 hours",
            "Mails that bounced for good. Their addresses are suppressed from then on.",
            Query(q.gauge(m.RECENT, lane=q.LANE, period="24h", result="bounced"), "mails"),
            nothing=_NO_EXPORTER,
            width=6,
        ),
        value(
            "Complaints in 24 hours",
            "Mails that recipients called spam. Each is worth a look at what was sent.",
            Query(q.gauge(m.RECENT, lane=q.LANE, period="24h", result="complained"), "mails"),
            steps=(Step(1, Colour.NOTICE),),
            nothing=_NO_EXPORTER,
            width=6,
        ),
        value(
            "Delivered in 24 hours",
            "Mails that the server of the recipient took, as the provider tells.",
            Query(q.gauge(m.RECENT, lane=q.LANE, period="24h", result="delivered"), "mails"),
            nothing=_NO_EXPORTER,
            width=6,
        ),
    )
