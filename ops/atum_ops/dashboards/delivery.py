"""How delivery fares: what the provider answers, how long it takes, what the windows allow, where batches are."""

from __future__ import annotations

from typing import Final

from atum_ops.dashboards import queries as q
from atum_ops.dashboards.panel import Colour, Dashboard, Panel, Query, Row, Step, heat, lines, value
from atum_schema import metrics_catalogue as m

_QUANTILES: Final = ((0.5, "half are faster"), (0.95, "95 % are faster"), (0.99, "99 % are faster"))


def delivery() -> Dashboard:
    """Give the dashboard."""
    return Dashboard(
        uid="atum-mailer-delivery",
        title="atum-mailer: delivery",
        description="What the provider answers, how long it takes, what the windows allow, where batches are.",
        variables=("lane",),
        rows=(
            Row(title="What the provider answers", panels=_answers()),
            Row(title="How long it takes", panels=_durations()),
            Row(title="What the windows allow", panels=_windows()),
            Row(title="Batches and tickets", panels=_batches()),
            Row(title="Mails whose outcome is unknown", panels=_unknown()),
            Row(title="The SMTP relay", panels=_fallback()),
        ),
    )


def _answers() -> tuple[Panel, ...]:
    attempts = q.rate(m.ATTEMPTS, lane=q.LANE)
    refused = q.rate(m.ATTEMPTS, lane=q.LANE, outcome="rejected|deferred|unknown")
    return (
        lines(
            "Attempts",
            "Mails posted per second, by what the answer said of each. Deferred ones are tried again; rejected ones never; unknown ones are searched for.",
            Query(q.rate(m.ATTEMPTS, "outcome", lane=q.LANE), "{{outcome}}"),
            unit="suffix:mails/s",
            stacked=True,
        ),
        lines(
            "Attempts that were not accepted",
            "Percent of the mails posted. It may be high for minutes in an outage; the failure rate counts mails, not attempts.",
            Query(q.percent(refused, attempts), "not accepted"),
            unit="percent",
        ),
        lines(
            "Requests",
            "Requests that post mail per second, by the class of the HTTP status. 'none': no answer came, or it went through the SMTP relay.",
            Query(q.rate(m.REQUESTS, "code_class"), "{{code_class}}"),
            unit="reqps",
            stacked=True,
        ),
        lines(
            "Error codes",
            "Mails per second that the provider refused with an ErrorCode (docs/postmark-api.md). A code that appears after a release is often ours.",
            Query(q.rate(m.ERROR_CODES, "code"), "code {{code}}"),
            unit="suffix:mails/s",
        ),
        lines(
            "Retries",
            "Mails per second that are tried again later. 'no': not charged to the mail, because the provider or the account was at fault.",
            Query(q.rate(m.RETRIES, "charged", lane=q.LANE), "charged: {{charged}}"),
            unit="suffix:mails/s",
        ),
        lines(
            "Throttled",
            "Percent of the attempts of half an hour that the provider called too many (429). 10 % for ten minutes are an alert: ask for a higher limit, or wait.",
            Query(
                q.percent(
                    q.gauge(m.RECENT_DEFERRALS, period="30m", why="rate_limited"),
                    f"({q.gauge(m.RECENT_DEFERRALS, period='30m', why='rate_limited')} + {q.gauge(m.RECENT, period='30m', result='sent')})",
                ),
                "throttled",
            ),
            unit="percent",
        ),
    )


def _durations() -> tuple[Panel, ...]:
    def quantiles(of: str) -> tuple[Query, ...]:
        family = m.REQUEST_DURATION if of == "requests" else m.FIRST_ATTEMPT_DELAY
        chosen = {} if of == "requests" else {"lane": q.LANE}
        return tuple(Query(q.quantile(share, family, **chosen), legend) for share, legend in _QUANTILES)

    return (
        lines(
            "Duration of requests",
            "From the beginning of a request that posts mail to the end of the answer. Under a second is usual; near ATUM_REQUEST_TIMEOUT_S mails become unknown.",
            *quantiles("requests"),
            unit="s",
            width=12,
        ),
        heat(
            "Duration of requests, all of them",
            "How many requests per second took how long. Two bands instead of one: some requests wait for something.",
            Query(q.buckets(m.REQUEST_DURATION), "{{le}}"),
            unit="s",
            width=12,
        ),
        lines(
            "Until the first answer",
            "From the moment a mail was accepted until the answer to its first POST: what people wait for. It grows with the backlog.",
            *quantiles("first attempts"),
            unit="s",
            width=12,
        ),
        lines(
            "Until the first answer, by lane",
            "What 95 % of the mails of each lane do not exceed. A lane of bulk mail may be slow; one of codes and receipts may not.",
            Query(q.quantile(0.95, m.FIRST_ATTEMPT_DELAY, "lane", lane=q.LANE), "{{lane}}"),
            unit="s",
            width=12,
        ),
    )


def _windows() -> tuple[Panel, ...]:
    of_window = ("lane", "account")
    return (
        lines(
            "Batches in flight",
            "Batches in flight, how many may be now, and how many ever may. In flight at what may be: the window is what limits, and it grows while all goes well.",
            Query(q.gauge(m.WINDOW_INFLIGHT, *of_window, lane=q.LANE), "{{lane}} {{account}}: in flight"),
            Query(q.gauge(m.WINDOW_SIZE, *of_window, lane=q.LANE), "{{lane}} {{account}}: may be"),
            Query(q.gauge(m.WINDOW_CEILING, *of_window, lane=q.LANE), "{{lane}} {{account}}: ever"),
            axis="batches",
        ),
        lines(
            "Rate that the windows saw",
            "Mails per second that the provider accepted lately, as each window measured it.",
            Query(q.gauge(m.WINDOW_SENT_RATE, *of_window, lane=q.LANE), "{{lane}} {{account}}"),
            unit="suffix:mails/s",
        ),
        lines(
            "Since a window changed its state",
            "How long each window has been open, closed or paused. A saw with short teeth is a provider that comes and goes.",
            Query(q.ago(m.WINDOW_SINCE, *of_window, lane=q.LANE), "{{lane}} {{account}}"),
            unit="s",
        ),
        lines(
            "Requests in flight",
            "Requests that post mail and have no answer yet, against the threads that deliver. At the threads: more workers or threads would help, if the window allows.",
            Query(q.gauge(m.INFLIGHT, lane=q.LANE), "in flight"),
            Query(q.gauge(m.THREADS, lane=q.LANE), "threads", limit=True),
            axis="requests",
            width=12,
        ),
        lines(
            "Not now, in half an hour",
            "Attempts of the last 30 minutes that are made again later, by why: provider (it answers badly), account, sender, mail, rate_limited.",
            Query(q.gauge(m.RECENT_DEFERRALS, "why", period="30m"), "{{why}}"),
            axis="attempts",
            width=12,
        ),
    )


def _batches() -> tuple[Panel, ...]:
    return (
        lines(
            "Batches",
            "Batches in each state. Issued that pile up: no worker takes them. Posting that pile up: the provider is slow.",
            Query(q.gauge(m.BATCHES, "batch_state"), "{{batch_state}}"),
            axis="batches",
            stacked=True,
        ),
        lines(
            "Batches issued",
            "Batches that relays made of due mail, per second and lane. 0 while mail is due: the window is full or stopped, or no relay runs.",
            Query(q.rate(m.BATCHES_ISSUED, "lane", lane=q.LANE), "{{lane}}"),
            unit="suffix:batches/s",
            stacked=True,
        ),
        lines(
            "Tickets",
            "Tickets that workers took up, per second, by what came of them. 'stale' is another's work and normal after trouble; 'given_up' is not.",
            Query(q.rate(m.TICKETS, "ticket"), "{{ticket}}"),
            unit="suffix:tickets/s",
        ),
        lines(
            "Published",
            "Messages handed to RabbitMQ per second, by what became of them. What is not confirmed is published again.",
            Query(q.rate(m.PUBLISHED, "published"), "{{published}}"),
            unit="suffix:messages/s",
        ),
        lines(
            "Swept",
            "Batches that the sweeper took from who held them, per second: a claim or a POST that nobody ended in time, as after a worker was killed.",
            Query(q.rate(m.SWEPT), "swept"),
            unit="suffix:batches/s",
        ),
        lines(
            "Stuck batches",
            "Batches that nobody has taken for ten minutes, or that nobody ended a minute after their lease. Not 0 for five minutes is an alert.",
            Query(q.largest(m.STUCK), "stuck"),
            axis="batches",
        ),
    )


def _unknown() -> tuple[Panel, ...]:
    return (
        lines(
            "Unknown",
            "Mails that were posted without a clear answer, by lane. They are searched for at the provider, and never blindly sent again.",
            Query(q.gauge(m.UNKNOWN, "lane", lane=q.LANE), "{{lane}}"),
            axis="mails",
            stacked=True,
        ),
        lines(
            "Age of the oldest",
            "How long the oldest mail has been unknown, held, or dead. ATUM_ALERT_UNKNOWN_AGE_SECONDS is when operators are told.",
            Query(q.since(m.UNKNOWN_OLDEST), "unknown"),
            Query(q.since(m.HELD_OLDEST), "held"),
            Query(q.since(m.DEAD_OLDEST), "dead"),
            unit="s",
        ),
        lines(
            "Searches",
            "Rounds of searches at the provider per second, by what they came to. Only 'failed': the search itself does not work, often a token without the right.",
            Query(q.rate(m.SEARCHES, "search"), "{{search}}"),
            unit="suffix:searches/s",
        ),
        value(
            "Searches that failed in a row",
            "At most, of one batch. Five are an alert.",
            Query(q.largest(m.SEARCH_FAILURES), "searches"),
            steps=(Step(1, Colour.NOTICE), Step(5, Colour.BAD)),
            nothing="no exporter",
            width=6,
        ),
        value(
            "Proven copies, ever",
            "Copies of mails at the provider since the beginning: mails that somebody got twice.",
            Query(q.largest(m.DUPLICATES_TOTAL), "copies"),
            steps=(Step(1, Colour.NOTICE),),
            nothing="no exporter",
            width=6,
        ),
        value(
            "Dead letters not in the queue yet",
            "Dead letters whose message is not in mail.dead yet. A relay publishes them; they are in Postgres all the same.",
            Query(q.largest(m.DEAD_UNPUBLISHED), "dead letters"),
            steps=(Step(1, Colour.NOTICE),),
            nothing="no exporter",
            width=6,
        ),
        value(
            "Database retries in an hour",
            "Transactions of workers that were repeated, since Postgres was away or in the way.",
            Query(q.growth(m.DATABASE_RETRIES, "1h"), "transactions"),
            decimals=0,
            nothing="no worker",
            width=6,
        ),
    )


def _fallback() -> tuple[Panel, ...]:
    return (
        lines(
            "Requests by account",
            "Requests that post mail per second, by the account that they went to; the SMTP relay is one, too (docs/fallback.md).",
            Query(q.rate(m.REQUESTS, "account"), "{{account}}"),
            unit="reqps",
            width=12,
            height=6,
        ),
        lines(
            "Sent back",
            "Batches for the SMTP relay per second that a worker which knows none sent back. Not 0: set ATUM_SMTP_URL for all workers.",
            Query(q.rate(m.FALLBACK_SENT_BACK), "sent back"),
            unit="suffix:batches/s",
            width=12,
            height=6,
        ),
    )
