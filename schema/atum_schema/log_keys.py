"""The keys that a log line may have. What is not here is left out of the line, and named in its `dropped`."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

HEAD: Final = ("ts", "level", "event", "service", "logger")
"""The keys that every line begins with, in this order."""

TAIL: Final = ("version", "process")
"""The keys that every line ends with."""

KEYS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "ts": "When, in UTC, to the millisecond (ISO 8601).",
        "level": "`debug`, `info`, `warning`, `error` or `critical`.",
        "event": "What happened. Ours are constant texts; a library's is the first line of what it says.",
        "service": "Which part says it: `relay`, `worker`, `intake`, `api`, `webhooks`, `exporter`, `alerts` …",
        "logger": "The module that says it.",
        "version": "Of atum-mailer.",
        "process": "Host and process id, as `batch.claimed_by` and `health check` have it.",
        "correlation_id": "Of an HTTP request: the caller's `X-Correlation-Id` or `X-Request-Id`, or one that was made.",
        "mail": "Id of the mail; the same in all parts, in the database and at the provider.",
        "mails": "Ids of the first mails concerned, at most ten.",
        "batch": "Id of the batch: of one request to the provider.",
        "attempt": "How many requests there have been for the mail, with this one; for a batch, the most of its mails.",
        "cycle": "Which cycle of the mail: each replay begins the next.",
        "lane": "Lane of the mail or batch.",
        "lanes": "Lanes that are served.",
        "account": "Account at the provider.",
        "stream": "Message stream at the provider.",
        "task": "Name of a periodic task.",
        "client": "Name of the application that hands over mail.",
        "queue": "Queue of RabbitMQ.",
        "connection": "Which of a process's connections to RabbitMQ.",
        "setting": "Name of a setting.",
        "settings_version": "Version of the stored settings.",
        "key_id": "Id of a content key, never the key.",
        "field": "Which field of a mail is concerned; never what it holds.",
        "kind": "What kind of thing it is, of a few.",
        "month": "Month of the partitions of the log.",
        "partitions": "Names of partitions.",
        "state": "State of a lane's window, or of a circuit.",
        "before": "What a setting was.",
        "now": "What it is.",
        "alert": "Name of an alert.",
        "receiver": "Who is told of alerts.",
        "receivers": "All who are told of alerts.",
        "count": "How many.",
        "counts": "How many of each.",
        "outcomes": "How many mails of a batch came to what.",
        "http_status": "Status of an HTTP answer.",
        "code": "ErrorCode of the provider, or reply code of the broker or the SMTP relay.",
        "error": "Type of an error; not its text where that may quote a mail.",
        "sqlstate": "SQLSTATE of an error of PostgreSQL.",
        "reason": "Why, as a word of ours.",
        "detail": "Why, in words, without addresses and credentials.",
        "remedy": "What to do about it.",
        "exception": "Where an error came from: its chain, types and lines of source, without values.",
        "duration_s": "How long it took, in seconds.",
        "again_s": "Seconds until it is tried again.",
        "timeout_s": "Seconds that it was waited for.",
        "threads": "Threads per lane.",
        "at": "A point in time.",
        "url": "Where a server listens.",
        "dropped": "Names of keys that were left out, because they are not in this list.",
    }
)
