"""The worker's statements: claim, posting mark, release, outcomes. Lock order: batch, then mails by id."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, LiteralString, NamedTuple

import psycopg
from psycopg.rows import args_row, tuple_row

from atum_schema import arrays, moves

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime
    from uuid import UUID

    from atum_schema.database import Connection
    from atum_schema.moves import Move


class Item(NamedTuple):
    """One mail of a claimed batch, as it was at the claim."""

    mail_id: UUID
    status: str
    attempts: int
    tries: int
    #: Whether its time is over by the database's clock, and when it will be.
    expired: bool
    expires_at: datetime | None
    #: None when the content is gone, which no run of the system may reach.
    key_id: str | None
    body: bytes | None
    #: Of its batch.
    account: str
    #: 1, and more after a replay.
    cycle: int


# Losing this commit in a crash gives the batch back as issued, which is right: nothing was posted under it.
CLAIM = """
WITH unsynced AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true)),
claimed AS (
    UPDATE atum.batch
    SET state = 'claimed', token = %(token)s, claimed_by = %(worker)s, claims = claims + 1,
        claimed_at = clock_timestamp(), lease_until = clock_timestamp() + make_interval(secs => %(lease_s)s)
    FROM unsynced
    WHERE id = %(batch)s AND state = 'issued'
    RETURNING mail_ids, account
)
SELECT m.id AS mail_id, m.status, m.attempts, m.tries, coalesce(m.expires_at <= clock_timestamp(), false) AS expired,
       m.expires_at, c.key_id, c.body, claimed.account, m.cycle
FROM claimed
CROSS JOIN unnest(claimed.mail_ids) WITH ORDINALITY AS u(id, place)
JOIN atum.mail m ON m.id = u.id
LEFT JOIN atum.content c ON c.mail_id = u.id
ORDER BY u.place
"""


def claim(connection: Connection, *, batch: UUID, token: UUID, worker: str, lease_s: float) -> list[Item]:
    """Claim an issued batch and load its mails, sorted by id; empty when the ticket is stale."""
    with connection.cursor(row_factory=args_row(Item), binary=True) as cursor:
        values = {"batch": batch, "token": token, "worker": worker, "lease_s": lease_s}
        return cursor.execute(CLAIM, values).fetchall()


# The fence before the POST: synchronous, and only for the holder of an unexpired claim, while no mail in it has
# expired: who comes too late gives the batch back, and the next claim takes that mail out. What was cancelled since the
# claim has left `mail_ids` under the same row lock, so the ids that come back are those that may be posted. Nobody who
# gets it may be suppressed: what was acknowledged before the mark is seen by it, because whoever orders it waits for
# marks (`atum_schema.suppression_orders`).
MARK_POSTING = """
UPDATE atum.batch
SET state = 'posting', posting_at = clock_timestamp(),
    lease_until = clock_timestamp() + make_interval(secs => %(lease_s)s)
WHERE id = %(batch)s AND token = %(token)s AND state = 'claimed' AND lease_until > clock_timestamp()
      AND (%(first_expiry)s::timestamptz > clock_timestamp() OR %(first_expiry)s::timestamptz IS NULL)
      -- Where nobody is suppressed, one look says so for all.
      AND NOT (EXISTS (SELECT FROM atum.suppression) AND EXISTS (
          SELECT FROM unnest(%(streams)s::text[], %(addresses)s::text[]) AS r(stream, address)
          JOIN atum.suppression s ON s.stream = r.stream AND s.address = r.address
          WHERE s.suppressed))
RETURNING mail_ids, lane, account, (pg_current_wal_insert_lsn() - '0/0')::bigint AS wal
"""


class Marked(NamedTuple):
    """What may be posted now, and by whose window it was issued."""

    mail_ids: list[UUID]
    lane: str
    account: str
    #: Bytes of write-ahead log at the mark: a server that has less has forgotten it.
    wal: int


def mark_posting(
    connection: Connection,
    *,
    batch: UUID,
    token: UUID,
    lease_s: float,
    first_expiry: datetime | None = None,
    recipients: Collection[tuple[str, str]] = (),
) -> Marked | None:
    """Commit the posting mark; None when the claim is no longer ours, or something is not to be posted now.

    That is so when `first_expiry` has passed, and when one of the recipients, each given with its stream, is suppressed.
    """
    with connection.cursor(row_factory=args_row(Marked)) as cursor:
        arrays.register(cursor)
        values = {
            "batch": batch,
            "token": token,
            "lease_s": lease_s,
            "first_expiry": first_expiry,
            "streams": arrays.Texts([stream for stream, _ in recipients]),
            "addresses": arrays.Texts([address for _, address in recipients]),
        }
        return cursor.execute(MARK_POSTING, values).fetchone()


LOCK_CLAIMED = """
SELECT mail_ids FROM atum.batch WHERE id = %(batch)s AND token = %(token)s AND state = 'claimed' FOR UPDATE
"""


def take_out(connection: Connection, *, batch: UUID, token: UUID, mails: Sequence[Move]) -> None:
    """Take mails out of a claimed batch; nothing happens if the claim is no longer ours. No POST was made."""
    with connection.transaction(), connection.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(LOCK_CLAIMED, {"batch": batch, "token": token}).fetchone()
        held: set[UUID] = set() if row is None else set(row[0])
        leaving = [mail for mail in mails if mail.mail_id in held]
        status = {mail.mail_id: mail.status for mail in moves.lock(connection, [m.mail_id for m in leaving])}
        moves.apply(connection, [mail._replace(was=status[mail.mail_id]) for mail in leaving])
        rest = sorted(held - {mail.mail_id for mail in leaving})
        moves.shrink_batch(connection, batch=batch, rest=rest, held=len(held))


# Only the worker that holds the token may say so, and only when it knows that it did not POST.
RELEASE = """
UPDATE atum.batch
SET state = 'issued', token = NULL, lease_until = NULL, posting_at = NULL, claims = claims - 1,
    publish_after = clock_timestamp() + make_interval(secs => %(delay_s)s)
WHERE id = %(batch)s AND token = %(token)s AND state IN ('claimed', 'posting')
RETURNING mail_ids
"""

FINISHED = "SELECT id FROM atum.mail WHERE id = ANY(%(ids)s) AND finished_at IS NOT NULL"


def release(connection: Connection, *, batch: UUID, token: UUID, delay_s: float) -> bool:
    """Give a batch back that was certainly not posted; its ticket is published again after `delay_s` seconds.

    A mail whose acceptance was proven while the batch was posting stays out: its end is not undone. False when the
    batch is not ours any more: `atum_workers.proof.unposted` knows whether it was given up meanwhile.
    """
    with connection.transaction(), connection.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(RELEASE, {"batch": batch, "token": token, "delay_s": delay_s}).fetchone()
        if row is None:
            return False
        proven = {mail_id for (mail_id,) in cursor.execute(FINISHED, {"ids": row[0]})}
        rest = [mail_id for mail_id in row[0] if mail_id not in proven]
        moves.shrink_batch(connection, batch=batch, rest=rest, held=len(row[0]))
    return True


class Result(NamedTuple):
    """What is written for one mail after its POST."""

    mail_id: UUID
    was: str
    status: str
    cause: str
    outcome: str
    charged: bool
    #: Seconds until the next try; None when there is none.
    retry_s: float | None
    #: The most mails that its next batch may hold.
    at_most: int | None
    reason: str | None
    detail: str | None
    http_status: int | None
    code: int | None
    provider_message_id: str | None


# One statement, so all outcomes of a batch are committed together or not at all. The fence is the token of the
# posting mark. Mails come sorted by id and are updated in that order: two writers never wait for each other in a
# circle. Only proof finishes a mail while it is being posted; it keeps that proof. If that was proof of another POST
# and this one was accepted too, that is a second copy. Proof of this very POST, from a webhook that was faster than
# the answer, has written the attempt already: it is known by its token, which is the batch's id. What moves such a
# mail in parallel holds its row, and the CASEs see the new version.
def _recording(told: LiteralString) -> LiteralString:
    """Make the statement; `told` ends the insert of attempts, and says of each result whether its proof was there."""
    return (
        """
WITH fence AS (
    SELECT id, account, issued_at, posting_at FROM atum.batch
    WHERE id = %(batch)s AND token = %(token)s AND state = 'posting' FOR UPDATE
), gone AS (
    DELETE FROM atum.batch b USING fence WHERE b.id = fence.id AND cardinality(%(unclear)s) = 0
), kept AS (
    -- The provider may go on with what it has for as long as the POST was given.
    UPDATE atum.batch b
    SET state = 'unknown', mail_ids = %(unclear)s, publishes = 0, anchor_at = due.anchor,
        search_at = due.anchor + make_interval(secs => %(settle_s)s),
        publish_after = due.anchor + make_interval(secs => %(settle_s)s)
    FROM (SELECT id, greatest(clock_timestamp(), posting_at + make_interval(secs => %(patience_s)s)) AS anchor
          FROM fence) AS due
    WHERE b.id = due.id AND cardinality(%(unclear)s) > 0
), result AS MATERIALIZED (
    SELECT r.*, fence.account, fence.issued_at, fence.posting_at
    FROM fence
    CROSS JOIN unnest(%(mail_ids)s::uuid[], %(was)s::text[], %(statuses)s::text[], %(causes)s::text[],
                      %(outcomes)s::text[], %(charged)s::boolean[], %(retry_s)s::float8[], %(at_most)s::int[],
                      %(reasons)s::text[], %(details)s::text[], %(http_statuses)s::int[], %(codes)s::int[],
                      %(message_ids)s::text[])
        AS r(mail_id, was, status, cause, outcome, charged, retry_s, at_most, reason, detail, http_status, code,
             message_id)
), attempted AS (
    INSERT INTO atum.attempt (mail_id, batch_id, token, outcome, charged, issued_at, posting_at, http_status, code,
                              provider_message_id, detail, account)
    SELECT mail_id, %(batch)s, %(token)s, outcome, charged, issued_at, posting_at, http_status, code, message_id,
           detail, account
    FROM result
"""  # noqa: S608
        + told
        + """), changed AS (
    UPDATE atum.mail m
    SET status = CASE WHEN m.finished_at IS NULL THEN r.status ELSE m.status END,
        duplicates = m.duplicates + (m.finished_at IS NOT NULL AND r.outcome = 'accepted' AND NOT r.known)::int,
        attempts = m.attempts + r.charged::int, tries = m.tries + 1, crashes = 0,
        reason = CASE WHEN m.finished_at IS NULL THEN r.reason ELSE m.reason END,
        detail = CASE WHEN m.finished_at IS NULL THEN r.detail ELSE m.detail END,
        provider_message_id = coalesce(m.provider_message_id, r.message_id),
        due_at = clock_timestamp() + make_interval(secs => r.retry_s),
        finished_at = CASE WHEN m.finished_at IS NOT NULL THEN m.finished_at
                           WHEN r.status IN ('sent', 'dead') THEN clock_timestamp() END
    FROM told r WHERE m.id = r.mail_id
    RETURNING m.id, m.cycle, m.lane, m.account, m.size, m.due_at, m.status, m.attempts, m.duplicates, r.was, r.cause,
              r.at_most, r.reason, r.code, r.http_status, r.detail, r.known,
              r.known OR m.duplicates > 0 OR m.status <> r.status AS finished_before
), explained AS (
    INSERT INTO atum.event (mail_id, cause, from_status, to_status, batch_id, detail)
    SELECT id, cause, CASE WHEN finished_before THEN status ELSE was END, status, %(batch)s, detail FROM changed
), doubled AS (
    INSERT INTO atum.event (mail_id, cause, from_status, to_status, batch_id)
    SELECT id, 'duplicate_found', status, status, %(batch)s FROM changed WHERE duplicates > 0 AND NOT known
), waiting AS (
    INSERT INTO atum.ready (mail_id, lane, due_at, size, at_most, account)
    SELECT id, lane, due_at, size, at_most, account FROM changed WHERE status = 'retrying'
), buried AS (
    INSERT INTO atum.dead_letter (mail_id, cycle, reason, code, attempts)
    SELECT id, cycle, reason, code, attempts FROM changed WHERE status = 'dead'
), counted AS (
    INSERT INTO atum.transition (lane, cause, from_status, to_status, reason, code, http_status, number)
    SELECT lane, cause, CASE WHEN finished_before THEN status ELSE was END, status, coalesce(reason, ''),
           coalesce(code, 0), coalesce(http_status, 0), count(*)
    FROM changed GROUP BY 1, 2, 3, 4, 5, 6, 7
), dropped AS (
    DELETE FROM atum.content
    WHERE mail_id = ANY(ARRAY(SELECT r.mail_id FROM result r WHERE r.status = 'sent' AND %(drop_content)s))
)
SELECT (SELECT count(*) FROM fence),
       (SELECT count(pg_notify('atum_ready', '')) FROM atum.sleeper WHERE for_room AND until > now())
"""
    )


RECORD_TOLD: LiteralString = _recording("""
    ON CONFLICT (mail_id, batch_id) DO UPDATE
    SET issued_at = excluded.issued_at, posting_at = excluded.posting_at, http_status = excluded.http_status,
        account = excluded.account,
        provider_message_id = coalesce(atum.attempt.provider_message_id, excluded.provider_message_id)
    RETURNING mail_id, token = batch_id AS known
), told AS (
    SELECT r.*, a.known FROM result r JOIN attempted a ON a.mail_id = r.mail_id
""")

# Looking for attempts that are there already costs a fifth of the throughput, so it is done where one was found.
RECORD: LiteralString = _recording("""
), told AS NOT MATERIALIZED (
    SELECT r.*, false AS known FROM result r
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """What every recording needs besides its outcomes."""

    #: Whether content goes once the mail is accepted.
    drop_content: bool
    #: Seconds after its posting mark for which the provider may still go on with a POST.
    patience_s: float
    #: Seconds from then until the first search.
    settle_s: float


def record(
    connection: Connection, *, batch: UUID, token: UUID, results: Sequence[Result], recording: Recording
) -> bool:
    """Commit what became of every mail that was posted; False when the batch is not posting under this token.

    Then the outcomes were recorded before, or the batch was given up: `atum_workers.proof.late` knows which.
    """
    values = _columns(results) | asdict(recording) | {"batch": batch, "token": token}
    with connection.cursor(row_factory=tuple_row) as cursor:
        arrays.register(cursor)
        try:
            row = cursor.execute(RECORD, values).fetchone()
        except psycopg.errors.UniqueViolation:
            row = cursor.execute(RECORD_TOLD, values).fetchone()
    return row is not None and row[0] == 1


def _columns(results: Sequence[Result]) -> dict[str, Any]:
    return {
        "unclear": arrays.Uuids([r.mail_id for r in results if r.status == "unknown"]),
        "mail_ids": arrays.Uuids([r.mail_id for r in results]),
        "was": arrays.Texts([r.was for r in results]),
        "statuses": arrays.Texts([r.status for r in results]),
        "causes": arrays.Texts([r.cause for r in results]),
        "outcomes": arrays.Texts([r.outcome for r in results]),
        "charged": arrays.Booleans([r.charged for r in results]),
        "retry_s": arrays.Floats([r.retry_s for r in results]),
        "at_most": arrays.Ints([r.at_most for r in results]),
        "reasons": arrays.Texts([r.reason for r in results]),
        "details": arrays.Texts([r.detail for r in results]),
        "http_statuses": arrays.Ints([r.http_status for r in results]),
        "codes": arrays.Ints([r.code for r in results]),
        "message_ids": arrays.Texts([r.provider_message_id for r in results]),
    }
