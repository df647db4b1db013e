"""What settling reads and writes. A search is begun and concluded by compare-and-set on `search_at`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, NamedTuple

from psycopg.rows import args_row, tuple_row

from atum_schema import moves
from atum_schema.fallback import SMTP

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from uuid import UUID

    from atum_schema.database import Connection
    from atum_schema.moves import Locked, Move
    from atum_workers.settling import Again


class Begun(NamedTuple):
    """An unknown batch whose search has begun."""

    lane: str
    account: str
    mail_ids: list[UUID]
    search_at: datetime
    #: The anchor, or the last search that counted: a control was accepted later than this.
    control_after: datetime
    #: Seconds since the anchor.
    age: float
    searches: int
    failures: int
    by_mail: bool


# Whoever comes second finds a time in the future and stops. A batch that is searched mail by mail gets a second more
# for each.
BEGIN_SEARCH = """
UPDATE atum.batch
SET search_at = clock_timestamp()
                + make_interval(secs => %(lease_s)s + CASE WHEN by_mail THEN cardinality(mail_ids) ELSE 0 END),
    publish_after = clock_timestamp()
                    + make_interval(secs => %(lease_s)s + CASE WHEN by_mail THEN cardinality(mail_ids) ELSE 0 END)
WHERE id = %(batch)s AND state = 'unknown' AND search_at <= clock_timestamp()
RETURNING lane, account, mail_ids, search_at, greatest(anchor_at, counted_at) AS control_after,
          extract(epoch FROM clock_timestamp() - anchor_at)::float8 AS age, searches, failures, by_mail
"""


def begin(connection: Connection, *, batch: UUID, lease_s: float) -> Begun | None:
    """Begin a search that is due; None when it is not due, or somebody else has begun it."""
    with connection.cursor(row_factory=args_row(Begun)) as cursor:
        return cursor.execute(BEGIN_SEARCH, {"batch": batch, "lease_s": lease_s}).fetchone()


class Sought(NamedTuple):
    """An unknown mail that is searched for."""

    id: UUID
    stream: str
    on_unknown: str | None
    tries: int
    crashes: int
    expired: bool
    to_line: str
    cc_line: str | None
    bcc_line: str | None
    #: Its POSTs to this provider that are unresolved.
    batches: list[UUID]
    #: Seconds since the first of them.
    posted_ago: float | None


SOUGHT = """
SELECT m.id, m.stream, m.on_unknown, m.tries, m.crashes, coalesce(m.expires_at <= clock_timestamp(), false) AS expired,
       m.to_line, m.cc_line, m.bcc_line, coalesce(a.batches, '{}') AS batches, a.posted_ago
FROM atum.mail m
LEFT JOIN LATERAL (
    SELECT array_agg(batch_id ORDER BY posting_at) AS batches,
           extract(epoch FROM clock_timestamp() - min(posting_at))::float8 AS posted_ago
    FROM atum.attempt WHERE mail_id = m.id AND outcome = 'unknown' AND account IS DISTINCT FROM %(smtp)s) a ON true
WHERE m.id = ANY(%(ids)s) AND m.status = 'unknown'
ORDER BY m.id
"""


def sought(connection: Connection, ids: Sequence[UUID]) -> list[Sought]:
    """Load those of the mails that are unknown, with every unresolved batch of theirs that can be searched for."""
    with connection.cursor(row_factory=args_row(Sought), binary=True) as cursor:
        return cursor.execute(SOUGHT, {"ids": list(ids), "smtp": SMTP}).fetchall()


class Control(NamedTuple):
    """A later mail, and in which batch it was accepted: another copy of it may be older."""

    mail_id: UUID
    batch_id: UUID


# The first one after that time: the likeliest to be in the index. What an SMTP relay took is in none. Bounded, so that a stream where nothing happens
# does not make it read the log.
CONTROL = """
SELECT a.mail_id, a.batch_id
FROM (SELECT mail_id, batch_id, posting_at FROM atum.attempt
      WHERE outcome = 'accepted' AND posting_at > %(after)s AND account IS DISTINCT FROM %(smtp)s
      ORDER BY posting_at LIMIT 20000) a
JOIN atum.mail m ON m.id = a.mail_id
WHERE m.stream = %(stream)s
ORDER BY a.posting_at LIMIT 1
"""


def control(connection: Connection, *, stream: str, after: datetime) -> Control | None:
    """Find a mail of the stream that was posted after this time, and accepted."""
    with connection.cursor(row_factory=args_row(Control)) as cursor:
        return cursor.execute(CONTROL, {"stream": stream, "after": after, "smtp": SMTP}).fetchone()


LOCK_BEGUN = """
SELECT mail_ids FROM atum.batch
WHERE id = %(batch)s AND state = 'unknown' AND search_at = %(search_at)s FOR UPDATE
"""

SEARCH_AGAIN = """
UPDATE atum.batch
SET counted_at = CASE WHEN searches < %(searches)s THEN clock_timestamp() ELSE counted_at END,
    searches = %(searches)s, failures = %(failures)s, publishes = 0,
    search_at = clock_timestamp() + make_interval(secs => %(seconds)s),
    publish_after = clock_timestamp() + make_interval(secs => %(seconds)s)
WHERE id = %(batch)s
"""


def conclude(
    connection: Connection,
    *,
    batch: UUID,
    search_at: datetime,
    again: Again | None,
    decide: Callable[[Locked], Sequence[Move]],
) -> bool:
    """Write what a round came to for the mails that are still unknown; False when the round is no longer ours.

    `decide` gives the moves of one locked mail, in order. With `again` the mails stay; else the batch goes.
    """
    with connection.transaction(), connection.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(LOCK_BEGUN, {"batch": batch, "search_at": search_at}).fetchone()
        if row is None:
            return False
        held = list(row[0])
        unknown = [mail for mail in moves.lock(connection, held) if mail.status == "unknown"]
        steps = [decide(mail) for mail in unknown]
        for place in range(max(map(len, steps), default=0)):
            moves.apply(connection, [moved[place] for moved in steps if len(moved) > place])
        rest = [mail.mail_id for mail in unknown] if again is not None else []
        moves.shrink_batch(connection, batch=batch, rest=rest, held=len(held))
        if again is not None and rest:
            cursor.execute(SEARCH_AGAIN, {"batch": batch, **asdict(again)})
    return True
