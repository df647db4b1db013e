"""All metrics of all parts, in the design's words; docs/metrics.md lists the same, and a test compares.

Processes count what they do themselves. What is true of the whole system is read from Postgres, and only by the exporter:
each worker saying it would say it as often as there are workers.
"""

from __future__ import annotations

from typing import Final

from atum_schema.metrics_family import EVERYWHERE, Family, Kind
from atum_schema.topology import UNSEEN

RELAY: Final = frozenset({"relay"})
INTAKE: Final = frozenset({"intake"})
WORKER: Final = frozenset({"worker"})
HTTP: Final = frozenset({"api", "webhooks"})
API: Final = frozenset({"api"})
WEBHOOKS: Final = frozenset({"webhooks"})
EXPORTER: Final = frozenset({"exporter"})
BROKER: Final = frozenset({"relay", "intake", "worker"})

_REQUEST_S: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_SHORT_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 10.0)
_DELAY_S: Final = (0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)
_LAG_S: Final = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 21_600.0, 86_400.0)

FIXED: Final[dict[str, tuple[str, ...]]] = {
    "level": ("warning", "error"),
    # Of a POST, for each of its mails.
    "outcome": ("accepted", "rejected", "deferred", "unknown"),
    "code_class": ("2xx", "3xx", "4xx", "5xx", "none"),
    "charged": ("yes", "no"),
    "ticket": ("posted", "stale", "emptied", "given_up"),
    "search": ("found", "empty", "failed"),
    "task_result": ("done", "failed"),
    "published": ("confirmed", "refused", "returned", "unwritten", "uncertain"),
    # Not "job": Prometheus calls so what it scrapes.
    "job_result": ("stored", "known", "rejected", "later"),
    "webhook": (
        "stored",
        "duplicate",
        "credentials",
        "signature",
        "stranger",
        "elsewhere",
        "too_many",
        "too_large",
        "too_slow",
        "not_stored",
        "other",
    ),
    "record_type": (
        "Delivery",
        "Bounce",
        "SpamComplaint",
        "Open",
        "Click",
        "SubscriptionChange",
        "other",
    ),
    "endpoint": ("mails", "suppressions", "postmark", "health", "docs", "webhook", "other"),
    "http_class": ("2xx", "3xx", "4xx", "5xx"),
    "pool_state": ("open", "idle", "waiting"),
    "batch_state": ("issued", "claimed", "posting", "unknown"),
    "window_state": ("open", "closed", "paused"),
    "period": ("5m", "30m", "1h", "6h", "24h"),
    "result": (
        "finished",
        "sent",
        "delivered",
        "bounced",
        "complained",
        "dead",
        "expired",
        "suppressed",
        "canceled",
        "unknown",
        "held",
    ),
    "why": ("provider", "rate_limited", "account", "sender", "mail", "other"),
    "inbox_state": ("new", "parked"),
    "part": ("relay", "intake", "worker", "api", "webhooks"),
    "broker_state": ("connected", "blocked", "away"),
    "queue": UNSEEN,
    "setting": (
        "failure_rate_threshold",
        "failure_rate_critical_threshold",
        "queue_backlog_threshold",
        "queue_backlog_critical_threshold",
        "oldest_age_seconds",
        "oldest_age_critical_seconds",
        "dead_letters_threshold",
        "cooldown_seconds",
    ),
}
"""The values of those labels that are the same everywhere. Those of others are told by each process: `lane`, `account`, `task`, `code`."""


def _counter(name: str, text: str, parts: frozenset[str], *labels: str) -> Family:
    return Family(name=name, kind=Kind.COUNTER, help=text, parts=parts, labels=labels)


def _gauge(name: str, text: str, parts: frozenset[str], *labels: str) -> Family:
    return Family(name=name, kind=Kind.GAUGE, help=text, parts=parts, labels=labels)


def _histogram(
    name: str, text: str, parts: frozenset[str], buckets: tuple[float, ...], *labels: str
) -> Family:
    return Family(name=name, kind=Kind.HISTOGRAM, help=text, parts=parts, labels=labels, buckets=buckets)


# Every process.
BUILD_INFO: Final = _gauge("build_info", "Always 1; the version is in the label.", EVERYWHERE, "version")
LOG_MESSAGES: Final = _counter("log_messages_total", "Lines logged, by level.", EVERYWHERE, "level")
POOL: Final = _gauge(
    "database_pool_connections",
    "Connections of the pool that are open, and those of them that are idle; 'waiting' are requests for one.",
    WORKER | HTTP,
    "pool_state",
)

# Worker.
ATTEMPTS: Final = _counter(
    "attempts_total", "Mails posted, by what the answer said of each.", WORKER, "lane", "outcome"
)
REQUESTS: Final = _counter(
    "provider_requests_total",
    "Requests that post mail, by the class of the HTTP status; 'none' where none came, as with the SMTP relay.",
    WORKER,
    "account",
    "code_class",
)
REQUEST_DURATION: Final = _histogram(
    "provider_request_duration_seconds",
    "How long a request that posts mail took, from its beginning to the end of the answer.",
    WORKER,
    _REQUEST_S,
    "account",
)
ERROR_CODES: Final = _counter(
    "provider_error_codes_total",
    "Mails that were refused with an ErrorCode of the provider; 'other' is one that is not listed.",
    WORKER,
    "code",
)
RETRIES: Final = _counter(
    "retries_scheduled_total",
    "Mails that are tried again after an attempt, by whether it is charged to them.",
    WORKER,
    "lane",
    "charged",
)
FIRST_ATTEMPT_DELAY: Final = _histogram(
    "first_attempt_delay_seconds",
    "From the moment a mail was accepted until the answer to its first POST, for mails without a time of their own.",
    WORKER,
    _DELAY_S,
    "lane",
)
TICKETS: Final = _counter(
    "tickets_total",
    "Tickets and overdue batches taken up, by what came of it: 'stale' was done by another, 'emptied' had no mail left, "
    "'given_up' is taken up again later.",
    WORKER,
    "ticket",
)
INFLIGHT: Final = _gauge(
    "inflight_requests", "Requests that post mail and have no answer yet.", WORKER, "lane"
)
THREADS: Final = _gauge("worker_threads", "Threads that deliver.", WORKER, "lane")
SEARCHES: Final = _counter(
    "searches_total", "Rounds of searches for unknown mail, by what they came to.", WORKER, "search"
)
TASK_RUNS: Final = _counter(
    "task_runs_total", "Runs of tasks that are done now and then.", WORKER, "task", "task_result"
)
DATABASE_RETRIES: Final = _counter(
    "database_retries_total",
    "Transactions that are repeated, since the database was away or in the way.",
    WORKER,
)
FALLBACK_SENT_BACK: Final = _counter(
    "sent_back_total", "Batches for the SMTP relay that this worker, which knows none, sent back.", WORKER
)

# Relay.
BATCHES_ISSUED: Final = _counter("batches_issued_total", "Batches issued.", RELAY, "lane")
PUBLISHED: Final = _counter(
    "messages_published_total",
    "Messages handed to RabbitMQ, by what became of them; what is not confirmed is published again.",
    RELAY,
    "published",
)
LAST_LOOK: Final = _gauge(
    "relay_last_look_timestamp_seconds", "When this relay last looked for due mail; 0: never.", RELAY
)
SWEPT: Final = _counter(
    "batches_swept_total",
    "Batches that the sweeper took from who held them: a claim or a POST that nobody ended in time.",
    RELAY,
)
CONNECTED: Final = _gauge(
    "broker_connected", "Whether RabbitMQ takes messages of this process: 1, or 0.", BROKER
)
BROKER_CONNECTIONS: Final = _counter(
    "broker_connections_total", "Connections made to RabbitMQ; more than one is a reconnect.", BROKER
)

# Intake.
JOBS: Final = _counter(
    "intake_jobs_total",
    "Jobs of mail.intake, by what became of them: 'known' were stored before, 'later' are offered again in the next transaction.",
    INTAKE,
    "job_result",
)
JOBS_DURATION: Final = _histogram(
    "intake_transaction_duration_seconds", "How long a transaction that stores jobs took.", INTAKE, _SHORT_S
)

# HTTP.
HTTP_REQUESTS: Final = _counter(
    "http_requests_total", "Requests answered, by the class of the status.", HTTP, "endpoint", "http_class"
)
HTTP_DURATION: Final = _histogram(
    "http_request_duration_seconds",
    "How long a request took, from its head to the end of the answer.",
    HTTP,
    _SHORT_S,
    "endpoint",
)
MAILS_TAKEN: Final = _counter(
    "mails_taken_total", "Mails that requests handed over and that are stored.", API
)
WEBHOOK_REQUESTS: Final = _counter(
    "webhook_requests_total", "Requests of the provider, by what became of them.", WEBHOOKS, "webhook"
)
WEBHOOK_EVENTS: Final = _counter(
    "webhook_events_total", "Events stored, by what the provider calls them.", WEBHOOKS, "record_type"
)
WEBHOOK_LAG: Final = _histogram(
    "webhook_event_lag_seconds",
    "From the time that the provider gives for an event until it is stored.",
    WEBHOOKS,
    _LAG_S,
)

# Exporter: of itself.
EXPORTER_UP: Final = _gauge(
    "exporter_up", "Whether the database could be read the last time: 1, or 0.", EXPORTER
)
EXPORTER_DURATION: Final = _gauge(
    "exporter_collect_duration_seconds", "How long the last reading took.", EXPORTER
)
EXPORTER_ERRORS: Final = _counter("exporter_errors_total", "Readings that failed.", EXPORTER)
EXPORTER_READINGS: Final = _counter(
    "exporter_readings_total", "Readings of the database, failed ones too.", EXPORTER
)
EXPORTER_SUCCESS: Final = _gauge(
    "exporter_last_success_timestamp_seconds", "When the database was last read; 0: never.", EXPORTER
)

# Exporter: of the whole system, from Postgres. Left out while it cannot be read.
DUE: Final = _gauge(
    "due_mails",
    "Mails that are due and wait for a batch; of more than 100,000 in a lane only so many are counted.",
    EXPORTER,
    "lane",
)
LATER: Final = _gauge(
    "later_mails",
    "Mails that wait for their time: scheduled or retrying; of more than 100,000 in a lane only so many are counted.",
    EXPORTER,
    "lane",
)
SENDING: Final = _gauge(
    "sending_mails", "Mails in batches that are issued, claimed or posting.", EXPORTER, "lane"
)
BACKLOG: Final = _gauge("backlog_mails", "Mails that are due or sending: the backlog.", EXPORTER, "lane")
ORPHANED: Final = _gauge(
    "orphaned_mails",
    "Mails due, later or sending in a lane that no relay at work serves, since ATUM_LANES does not name it any more; 0 while none is at work.",
    EXPORTER,
    "lane",
)
OLDEST: Final = _gauge(
    "oldest_due_timestamp_seconds",
    "Since when the oldest mail of the backlog has been due or sending; 0: there is none.",
    EXPORTER,
    "lane",
)
UNKNOWN: Final = _gauge("unknown_mails", "Mails that were posted without a clear answer.", EXPORTER, "lane")
UNKNOWN_OLDEST: Final = _gauge(
    "oldest_unknown_timestamp_seconds",
    "Since when the oldest of them has been unknown; 0: there is none.",
    EXPORTER,
)
SEARCH_FAILURES: Final = _gauge(
    "search_failures", "Searches for an unknown batch that failed in a row, at most.", EXPORTER
)
HELD: Final = _gauge("held_mails", "Mails that wait for a person.", EXPORTER)
HELD_OLDEST: Final = _gauge(
    "oldest_held_timestamp_seconds",
    "Since when the oldest of them has been held; 0: there is none.",
    EXPORTER,
)
DEAD: Final = _gauge("dead_letters", "Mails that are dead and can be replayed.", EXPORTER)
DEAD_OLDEST: Final = _gauge(
    "oldest_dead_letter_timestamp_seconds",
    "Since when the oldest of them has been dead; 0: there is none.",
    EXPORTER,
)
DEAD_UNPUBLISHED: Final = _gauge(
    "dead_letters_unpublished", "Those of them whose message is not in mail.dead yet.", EXPORTER
)
BATCHES: Final = _gauge("batches", "Batches in each state.", EXPORTER, "batch_state")
STUCK: Final = _gauge(
    "stuck_batches",
    "Batches that nobody has taken for ten minutes, and those that nobody ended a minute after their lease.",
    EXPORTER,
)
RECENT: Final = _gauge(
    "recent_mails",
    "Mails that came to this in the last period, each counted once per transition; 'finished' came to an end, each time that it was replayed once more.",
    EXPORTER,
    "lane",
    "period",
    "result",
)
RECENT_DEFERRALS: Final = _gauge(
    "recent_deferrals",
    "Attempts of the last period that came to 'not now', by why.",
    EXPORTER,
    "period",
    "why",
)
RECENT_DUPLICATES: Final = _gauge(
    "recent_duplicates",
    "Copies of mails at the provider that were proven in the last period.",
    EXPORTER,
    "period",
)
FINISHED_TOTAL: Final = _counter(
    "mails_total",
    "Mails that came to this since the beginning; no restart or retention sets it back.",
    EXPORTER,
    "lane",
    "result",
)
DUPLICATES_TOTAL: Final = _counter(
    "duplicates_total", "Proven copies of mails at the provider since the beginning.", EXPORTER
)
DEFERRALS_TOTAL: Final = _counter(
    "deferrals_total", "Attempts since the beginning that came to 'not now', by why.", EXPORTER, "why"
)
LAST_ACCEPTED: Final = _gauge(
    "last_accepted_timestamp_seconds",
    "When the provider last accepted a mail, to the minute; 0: not in a day.",
    EXPORTER,
)
WINDOW_STATE: Final = _gauge(
    "window_state", "1 for the state that the window is in.", EXPORTER, "lane", "account", "window_state"
)
WINDOW_WHY: Final = _gauge(
    "window_stopped",
    "1 for why a window that stopped by itself is closed or paused while mail of its lane waits; 0 while it is open or a person paused it.",
    EXPORTER,
    "lane",
    "account",
    "why",
)
WINDOW_SIZE: Final = _gauge(
    "window_batches", "Batches that may be in flight now.", EXPORTER, "lane", "account"
)
WINDOW_CEILING: Final = _gauge(
    "window_ceiling_batches", "Batches that may ever be in flight.", EXPORTER, "lane", "account"
)
WINDOW_INFLIGHT: Final = _gauge("inflight_batches", "Batches in flight.", EXPORTER, "lane", "account")
WINDOW_SENT_RATE: Final = _gauge(
    "window_sent_rate", "Mails per second that the provider accepted lately.", EXPORTER, "lane", "account"
)
WINDOW_SINCE: Final = _gauge(
    "window_since_timestamp_seconds",
    "Since when the window has been in its state.",
    EXPORTER,
    "lane",
    "account",
)
OUTAGE_BEGAN: Final = _gauge(
    "last_outage_timestamp_seconds",
    "When the last outage of the provider began; 0: never.",
    EXPORTER,
    "lane",
    "account",
)
OUTAGE_ENDED: Final = _gauge(
    "last_outage_end_timestamp_seconds",
    "When the last outage of the provider ended; 0: never, or it still goes on.",
    EXPORTER,
    "lane",
    "account",
)
WEBHOOK_LAST: Final = _gauge(
    "webhook_last_received_timestamp_seconds",
    "When the last event of a webhook was stored; 0: never.",
    EXPORTER,
)
INBOX: Final = _gauge(
    "webhook_inbox_events",
    "Events that wait to be applied, and those whose mail is looked for.",
    EXPORTER,
    "inbox_state",
)
INBOX_OLDEST: Final = _gauge(
    "webhook_inbox_oldest_timestamp_seconds",
    "Since when the oldest new event has waited; 0: none does.",
    EXPORTER,
)
WEBHOOK_STORED_TOTAL: Final = _counter(
    "webhook_events_stored_total", "Events of webhooks that were stored since the beginning.", EXPORTER
)
WEBHOOK_REFUSED_TOTAL: Final = _counter(
    "webhook_requests_refused_total",
    "Requests to the webhook endpoint that were not taken since the beginning.",
    EXPORTER,
    "webhook",
)
SUPPRESSED: Final = _gauge(
    "suppressed_addresses", "Addresses that must not be mailed, once per stream.", EXPORTER
)
PARTS: Final = _gauge("parts", "Processes at work.", EXPORTER, "part")
PARTS_STUCK: Final = _gauge("parts_stuck", "Those of them that do nothing.", EXPORTER, "part")
PARTS_VANISHED: Final = _gauge(
    "parts_vanished", "Processes that vanished in the last 15 minutes without a good-bye.", EXPORTER, "part"
)
PARTS_BROKER: Final = _gauge(
    "parts_broker", "Processes at work, by how they fare with RabbitMQ.", EXPORTER, "broker_state"
)
QUEUE_MESSAGES: Final = _gauge(
    "broker_queue_messages",
    "Messages that wait in a queue of RabbitMQ, as relays see it; 0 while none can ask.",
    EXPORTER,
    "queue",
)
QUEUE_CONSUMERS: Final = _gauge(
    "broker_queue_consumers",
    "Consumers of a queue of RabbitMQ, as relays see it; 0 while none can ask.",
    EXPORTER,
    "queue",
)
HEARTBEAT: Final = _gauge(
    "heartbeat_last_completed_timestamp_seconds",
    "When a task last came from Postgres to a worker and back, by RabbitMQ or, while that is away, without it; 0: never.",
    EXPORTER,
)
TASK_ENDED: Final = _gauge(
    "task_last_end_timestamp_seconds", "When a task last ended; 0: never.", EXPORTER, "task"
)
TASK_FAILING: Final = _gauge(
    "task_failing", "Whether the last run of a task failed: 1, or 0.", EXPORTER, "task"
)
TASK_OVERDUE: Final = _gauge(
    "task_overdue",
    "Whether a task has been due for ten minutes and nobody does it: 1, or 0.",
    EXPORTER,
    "task",
)
THRESHOLD: Final = _gauge(
    "alert_threshold",
    "The settings of alerts as they are now: percent, mails or seconds.",
    EXPORTER,
    "setting",
)

FAMILIES: Final = tuple(value for value in dict(globals()).values() if isinstance(value, Family))
"""All of them, in this order."""

OF_DATABASE: Final = FAMILIES[FAMILIES.index(DUE) :]
"""Those that the exporter reads from Postgres, and drops while it cannot."""
