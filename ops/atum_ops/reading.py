"""What operators read from the database. No statement walks the log, except the audit (`verify`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from psycopg.rows import args_row, class_row

from atum_producers import story_store
from atum_schema.script import blocking

if TYPE_CHECKING:
    from uuid import UUID

    from atum_schema.database import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneState:
    """One line of `queue status`: what waits, what travels, what stopped, in one lane."""

    lane: str
    #: Mails due now.
    due: int
    #: Mails whose time is still to come: retrying or scheduled.
    later: int
    #: Mails in batches that are issued, claimed or posting.
    sending: int
    #: Mails posted without a clear answer.
    unknown: int
    #: Batches in flight, and how many may be.
    batches: int
    window: int
    #: Seconds that the oldest due or sending mail has been waiting; 0 if there is none.
    oldest_s: float
    #: Seconds until the next of those whose time is still to come; None if there is none.
    next_due_s: float | None


LANES = """
WITH waiting AS (
    SELECT lane, count(*) FILTER (WHERE due_at <= now()) AS due, count(*) FILTER (WHERE due_at > now()) AS later,
           min(due_at) FILTER (WHERE due_at <= now()) AS oldest, min(due_at) FILTER (WHERE due_at > now()) AS next
    FROM atum.ready GROUP BY lane
), travelling AS (
    SELECT lane, sum(cardinality(mail_ids)) FILTER (WHERE state <> 'unknown') AS sending,
           sum(cardinality(mail_ids)) FILTER (WHERE state = 'unknown') AS unknown,
           count(*) FILTER (WHERE state <> 'unknown') AS batches,
           min(issued_at) FILTER (WHERE state <> 'unknown') AS oldest
    FROM atum.batch GROUP BY lane
), windows AS (
    SELECT lane, sum(size) AS size FROM atum.flow GROUP BY lane
)
SELECT lane, coalesce(w.due, 0) AS due, coalesce(w.later, 0) AS later, coalesce(t.sending, 0)::bigint AS sending,
       coalesce(t.unknown, 0)::bigint AS unknown, coalesce(t.batches, 0) AS batches,
       coalesce(f.size, 0)::bigint AS window,
       greatest(0, coalesce(extract(epoch FROM now() - least(w.oldest, t.oldest)), 0))::float8 AS oldest_s,
       extract(epoch FROM w.next - now())::float8 AS next_due_s
FROM waiting w FULL JOIN travelling t USING (lane) FULL JOIN windows f USING (lane)
ORDER BY lane
"""


def lanes(connection: Connection) -> list[LaneState]:
    """Give the state of every lane."""
    with connection.cursor(row_factory=class_row(LaneState)) as cursor:
        return cursor.execute(LANES).fetchall()


IDLE = """
SELECT NOT EXISTS (SELECT FROM atum.ready)
       AND NOT EXISTS (SELECT FROM atum.batch WHERE state <> 'unknown')
"""


def is_idle(connection: Connection) -> bool:
    """Whether nothing waits and nothing travels, asked at the price of two probes."""
    row = connection.execute(IDLE).fetchone()
    return row is not None and bool(row[0])


DEAD = "SELECT count(*), count(*) FILTER (WHERE published_at IS NULL) FROM atum.dead_letter"


def dead_letters(connection: Connection) -> tuple[int, int]:
    """Count the dead letters: all, and those whose message is not in `mail.dead` yet."""
    row = connection.execute(DEAD).fetchone()
    return (0, 0) if row is None else (row[0], row[1])


STOPPED = """
SELECT (SELECT count(*) FROM atum.held) AS held,
       (SELECT coalesce(sum(cardinality(mail_ids)), 0) FROM atum.batch WHERE state = 'unknown')::bigint AS unknown
"""


class Stopped(NamedTuple):
    """Mails that do not go on by themselves, or not at once."""

    #: Those that wait for a person.
    held: int
    #: Those that were posted without a clear answer, and are being settled.
    unknown: int


def stopped(connection: Connection) -> Stopped:
    """Count the mails that are held, and those whose outcome is unknown."""
    with connection.cursor(row_factory=args_row(Stopped)) as cursor:
        row = cursor.execute(STOPPED).fetchone()
    return Stopped(0, 0) if row is None else row


DEAD_REASONS = """
SELECT reason, count(*) FROM atum.dead_letter WHERE mail_id >= %(since)s GROUP BY reason ORDER BY count(*) DESC, reason
"""


def dead_reasons(connection: Connection, *, since: UUID) -> dict[str, int]:
    """Count the dead letters of mails from the id `since` on, by reason."""
    return dict(connection.execute(DEAD_REASONS, {"since": since}).fetchall())


mail = blocking(story_store.telling)


# One walk over the log, in order of the ids, with everything that must agree about a mail beside it.
AUDIT = """
SELECT m.id, m.status, m.provider_message_id,
       EXISTS (SELECT FROM atum.ready r WHERE r.mail_id = m.id) AS in_ready,
       t.state AS batch_state, coalesce(t.batches, 0) AS batches,
       EXISTS (SELECT FROM atum.content c WHERE c.mail_id = m.id) AS has_content,
       EXISTS (SELECT FROM atum.dead_letter d WHERE d.mail_id = m.id AND d.cycle = m.cycle) AS has_dead_letter,
       (SELECT e.to_status FROM atum.event e WHERE e.mail_id = m.id ORDER BY e.seq DESC LIMIT 1) AS last_event,
       (SELECT count(*) FROM atum.attempt a
        WHERE a.mail_id = m.id AND a.outcome = 'accepted' AND a.account = %(smtp)s) AS by_smtp
FROM atum.mail m
LEFT JOIN (SELECT u.id, min(b.state) AS state, count(*) AS batches
           FROM atum.batch b CROSS JOIN unnest(b.mail_ids) AS u(id) GROUP BY u.id) t ON t.id = m.id
WHERE m.id >= %(since)s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Audited:
    """One mail as the audit sees it."""

    id: UUID
    status: str
    provider_message_id: str | None
    in_ready: bool
    #: State of the batch that holds it; None if none does.
    batch_state: str | None
    batches: int
    has_content: bool
    has_dead_letter: bool
    last_event: str | None
    #: How often the SMTP relay is known to have taken it; it keeps no ledger of its own.
    by_smtp: int = 0
