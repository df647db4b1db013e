"""What is known of mails, for everybody who shows it: one mail with its story, and a client's mails, newest first."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import UUID

import orjson

from atum_schema import webhook
from atum_schema.script import Statement
from atum_schema.webhook import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from atum_schema.script import Script


class MailRow(NamedTuple):
    """A mail in the log."""

    id: UUID
    client: str
    lane: str
    stream: str
    status: str
    cycle: int
    attempts: int
    tries: int
    sender: str
    to_line: str
    cc_line: str | None
    bcc_line: str | None
    subject: str
    tag: str | None
    metadata: dict[str, str] | None
    size: int
    accepted_at: datetime
    send_at: datetime | None
    expires_at: datetime | None
    due_at: datetime | None
    finished_at: datetime | None
    provider_message_id: str | None
    reason: str | None
    detail: str | None
    #: The mail that this one is a copy of, and the only account that may send it.
    resent_from: UUID | None
    account: str | None


class EventRow(NamedTuple):
    """One step of a mail, with what was asked of the provider in it."""

    at: datetime
    cause: str
    from_status: str | None
    to_status: str
    batch_id: UUID | None
    detail: str | None
    issued_at: datetime | None
    posting_at: datetime | None
    answered_at: datetime | None
    outcome: str | None
    http_status: int | None
    code: int | None
    #: The provider's account that was asked.
    account: str | None


class FactRow(NamedTuple):
    """What is known of one recipient."""

    recipient: str
    kind: str
    #: When it happened, by the provider's clock, if it says.
    told_at: datetime | None
    noted_at: datetime
    source: str
    code: int | None
    #: In the provider's words.
    detail: str | None


class BatchRow(NamedTuple):
    """A batch that holds a mail."""

    id: UUID
    state: str
    issued_at: datetime
    published_at: datetime | None
    claimed_at: datetime | None
    claimed_by: str | None
    posting_at: datetime | None
    lease_until: datetime | None


MAIL = """
SELECT id, client, lane, stream, status, cycle, attempts, tries, sender, to_line, cc_line, bcc_line, subject, tag,
       metadata, size, accepted_at, send_at, expires_at, due_at, finished_at, provider_message_id, reason, detail,
       resent_from, account
FROM atum.mail WHERE id = %(id)s AND (%(client)s::text IS NULL OR client = %(client)s)
"""

TIMELINE = """
SELECT e.at, e.cause, e.from_status, e.to_status, e.batch_id, e.detail,
       a.issued_at, a.posting_at, a.answered_at, a.outcome, a.http_status, a.code, a.account
FROM atum.event e
LEFT JOIN atum.attempt a ON a.mail_id = e.mail_id AND a.batch_id = e.batch_id
WHERE e.mail_id = %(id)s
ORDER BY e.seq
"""

FACTS = """
SELECT recipient, kind, told_at, noted_at, source, code, detail FROM atum.recipient_event
WHERE mail_id = %(id)s ORDER BY recipient, coalesce(told_at, noted_at), kind
"""

IN_FLIGHT = """
SELECT id, state, issued_at, published_at, claimed_at, claimed_by, posting_at, lease_until
FROM atum.batch WHERE mail_ids @> ARRAY[%(id)s::uuid]
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class MailView:
    """Everything that is known of a mail, except its content."""

    mail: dict[str, Any]
    events: list[dict[str, Any]]
    #: What is known of each recipient: address, state and facts. Nobody is in here of whom nothing is known.
    recipients: list[dict[str, Any]]
    #: The batch that holds it, if any.
    batch: dict[str, Any] | None


def telling(mail_id: UUID, *, client: str | None = None) -> Script[MailView | None]:
    """Give what is known of a mail, or None if there is none, or none of this client."""
    mails: list[MailRow] = yield Statement(MAIL, {"id": mail_id, "client": client}, MailRow)
    if not mails:
        return None
    events: list[EventRow] = yield Statement(TIMELINE, {"id": mail_id}, EventRow)
    facts: list[FactRow] = yield Statement(FACTS, {"id": mail_id}, FactRow)
    batches: list[BatchRow] = yield Statement(IN_FLIGHT, {"id": mail_id}, BatchRow)
    return MailView(
        mail=mails[0]._asdict(),
        events=[event._asdict() for event in events],
        recipients=_recipients(facts),
        batch=batches[0]._asdict() if batches else None,
    )


def _recipients(facts: Sequence[FactRow]) -> list[dict[str, Any]]:
    return [
        {
            "address": address,
            "state": webhook.state(Kind(fact.kind) for fact in of_one),
            "facts": [fact._asdict() for fact in of_one],
        }
        for address, group in groupby(facts, key=lambda fact: fact.recipient)
        for of_one in [list(group)]
    ]


#: Mails that are looked at for one page, however few of them match.
SCANNED: Final = 10_000

_NEWEST: Final = UUID(int=(1 << 128) - 1)
_OLDEST: Final = UUID(int=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which mails of a client are wanted; None stands for any."""

    statuses: Sequence[str] | None = None
    tag: str | None = None
    stream: str | None = None
    lane: str | None = None
    #: A bare address, without regard to case: among the recipients, or the sender.
    recipient: str | None = None
    sender: str | None = None
    #: Part of the subject, without regard to case.
    subject: str | None = None
    #: Metadata that a mail must have.
    metadata: dict[str, str] | None = None


class ListedMail(NamedTuple):
    """A mail on a page. Without `id`, none on the page matched."""

    #: The oldest mail that was looked at, and how many were.
    last: UUID | None
    scanned: int
    #: Mails that matched among them.
    matched: int
    id: UUID
    status: str
    lane: str
    stream: str
    sender: str
    to_line: str
    cc_line: str | None
    bcc_line: str | None
    subject: str
    tag: str | None
    metadata: dict[str, str] | None
    accepted_at: datetime
    finished_at: datetime | None
    reason: str | None
    provider_message_id: str | None


# The page is bounded by the mails that are looked at, so that a filter that nothing matches costs what others cost.
# `sending` is derived, as in the state of one mail.
LIST = """
WITH scanned AS MATERIALIZED (
    SELECT m.id, m.lane, m.stream, m.sender, m.to_line, m.cc_line, m.bcc_line, m.subject, m.tag, m.metadata,
           m.accepted_at, m.finished_at, m.reason, m.provider_message_id,
           CASE
               WHEN m.status IN ('queued', 'scheduled', 'retrying') AND EXISTS (
                   SELECT FROM atum.batch b WHERE b.mail_ids @> ARRAY[m.id] AND b.state <> 'unknown') THEN 'sending'
               WHEN m.status = 'scheduled' AND m.send_at <= now() THEN 'queued'
               ELSE m.status
           END AS status
    FROM atum.mail m
    WHERE m.client = %(client)s AND m.id < %(before)s AND m.id >= %(since)s
    ORDER BY m.id DESC LIMIT %(scan)s
), matching AS MATERIALIZED (
    SELECT * FROM scanned s
    WHERE (%(statuses)s::text[] IS NULL OR s.status = ANY(%(statuses)s))
          AND (%(tag)s::text IS NULL OR s.tag = %(tag)s)
          AND (%(stream)s::text IS NULL OR s.stream = %(stream)s)
          AND (%(lane)s::text IS NULL OR s.lane = %(lane)s)
          AND (%(sender)s::text IS NULL OR lower(s.sender) ~ %(sender)s)
          AND (%(recipient)s::text IS NULL
               OR lower(concat_ws(', ', s.to_line, s.cc_line, s.bcc_line)) ~ %(recipient)s)
          AND (%(subject)s::text IS NULL OR strpos(lower(s.subject), lower(%(subject)s)) > 0)
          AND (%(metadata)s::text IS NULL OR s.metadata @> %(metadata)s::jsonb)
), looked AS (
    SELECT (SELECT id FROM scanned ORDER BY id LIMIT 1) AS last, (SELECT count(*) FROM scanned) AS scanned,
           (SELECT count(*) FROM matching) AS matched
)
SELECT l.last, l.scanned, l.matched, m.id, m.status, m.lane, m.stream, m.sender, m.to_line, m.cc_line, m.bcc_line,
       m.subject, m.tag, m.metadata, m.accepted_at, m.finished_at, m.reason, m.provider_message_id
FROM looked l LEFT JOIN LATERAL (
    SELECT * FROM matching ORDER BY id DESC OFFSET %(offset)s LIMIT %(limit)s) m ON true
ORDER BY m.id DESC
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some of a client's mails, newest first."""

    mails: list[ListedMail]
    #: Mails that matched among those that were looked at for this page.
    matched: int
    #: Where the next page begins; None: there is none.
    before: UUID | None
    #: The oldest mail that was looked at, when there may be older ones; None: the log was looked at to its end.
    end: UUID | None


def listing(
    client: str,
    filters: Filters,
    *,
    limit: int,
    before: UUID | None = None,
    since: UUID | None = None,
    offset: int = 0,
) -> Script[Page]:
    """Give up to `limit` mails of a client, older than `before`, from `since` on."""
    rows: list[ListedMail] = yield Statement(
        LIST,
        {
            "client": client,
            "before": before or _NEWEST,
            "since": since or _OLDEST,
            "scan": SCANNED,
            "limit": limit,
            "offset": offset,
            "statuses": list(filters.statuses) if filters.statuses is not None else None,
            "tag": filters.tag,
            "stream": filters.stream,
            "lane": filters.lane,
            "sender": _address_pattern(filters.sender),
            "recipient": _address_pattern(filters.recipient),
            "subject": filters.subject,
            "metadata": None if filters.metadata is None else orjson.dumps(filters.metadata).decode(),
        },
        ListedMail,
    )
    looked = rows[0]
    mails = [row for row in rows if row.id is not None]
    end = looked.last if looked.scanned == SCANNED else None
    following = mails[-1].id if mails and offset + len(mails) < looked.matched else end
    return Page(mails=mails, matched=looked.matched, before=following, end=end)


def _address_pattern(address: str | None) -> str | None:
    """Match a whole address in a line of mailboxes: bare, or in angle brackets after a name."""
    if address is None:
        return None
    return rf"(^|, |<){re.escape(address.lower())}(>|, |$)"
