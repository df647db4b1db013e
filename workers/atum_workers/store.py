"""The worker's statements: claim, posting mark, release, outcomes. Lock order: batch, then mails by id."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from psycopg.rows import args_row, tuple_row

from atum_schema import arrays

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from atum_schema.database import Connection


class Item(NamedTuple):
    """One mail of a claimed batch, as it was at the claim."""

    mail_id: UUID
    status: str
    attempts: int
    tries: int
    #: Whether its time is over by the database's clock.
    expired: bool
    #: None when the content is gone, which no run of the system may reach.
    key_id: str | None
    body: bytes | None


# Losing this commit in a crash gives the batch back as issued, which is right: nothing was posted under it.
CLAIM = """
WITH unsynced AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true)),
claimed AS (
    UPDATE atum.batch
    SET state = 'claimed', token = %(token)s, claimed_by = %(worker)s, claims = claims + 1,
        claimed_at = clock_timestamp(), lease_until = clock_timestamp() + make_interval(secs => %(lease_s)s)
    FROM unsynced
    WHERE id = %(batch)s AND state = 'issued'
    RETURNING mail_ids
)
SELECT m.id AS mail_id, m.status, m.attempts, m.tries, coalesce(m.expires_at <= clock_timestamp(), false) AS expired,
       c.key_id, c.body
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


# The fence before the POST: synchronous, and only for the holder of an unexpired claim. What was cancelled since
# the claim has left `mail_ids` under the same row lock, so the ids that come back are those that may be posted.
MARK_POSTING = """
UPDATE atum.batch
SET state = 'posting', posting_at = clock_timestamp(),
    lease_until = clock_timestamp() + make_interval(secs => %(lease_s)s)
WHERE id = %(batch)s AND token = %(token)s AND state = 'claimed' AND lease_until > clock_timestamp()
RETURNING mail_ids
"""


def mark_posting(connection: Connection, *, batch: UUID, token: UUID, lease_s: float) -> list[UUID]:
    """Commit the posting mark; give the mails that may be posted, none when the claim is no longer ours."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        values = {"batch": batch, "token": token, "lease_s": lease_s}
        row = cursor.execute(MARK_POSTING, values).fetchone()
    return [] if row is None else list(row[0])


class TakenOut(NamedTuple):
    """A mail that leaves a claimed batch before its POST, and what becomes of it."""

    mail_id: UUID
    status: str
    cause: str
    reason: str
    #: Seconds until the relay may issue it again, on its own; None when it has ended.
    retry_s: float | None


TAKE_OUT = """
WITH fence AS (
    SELECT id, mail_ids FROM atum.batch
    WHERE id = %(batch)s AND token = %(token)s AND state = 'claimed' FOR UPDATE
), gone AS (
    SELECT m.id, m.lane, m.size, m.status AS was, t.status, t.cause, t.reason,
           clock_timestamp() + make_interval(secs => t.retry_s) AS due_at
    FROM fence
    CROSS JOIN unnest(%(ids)s, %(statuses)s, %(causes)s, %(reasons)s, %(retry_s)s) AS t(id, status, cause, reason, retry_s)
    JOIN atum.mail m ON m.id = t.id
    WHERE t.id = ANY(fence.mail_ids)
    ORDER BY m.id FOR UPDATE OF m
), rest AS (
    SELECT fence.id, array(SELECT u FROM unnest(fence.mail_ids) u WHERE u <> ALL(%(ids)s) ORDER BY u) AS mail_ids
    FROM fence
), shrunk AS (
    UPDATE atum.batch b SET mail_ids = rest.mail_ids FROM rest WHERE b.id = rest.id AND cardinality(rest.mail_ids) > 0
), emptied AS (
    DELETE FROM atum.batch b USING rest WHERE b.id = rest.id AND cardinality(rest.mail_ids) = 0
), dropped AS (
    DELETE FROM atum.content c USING gone WHERE c.mail_id = gone.id AND gone.status = 'expired'
), waiting AS (
    INSERT INTO atum.ready (mail_id, lane, due_at, size, alone)
    SELECT id, lane, due_at, size, true FROM gone WHERE due_at IS NOT NULL
), explained AS (
    INSERT INTO atum.event (mail_id, cause, from_status, to_status, batch_id, detail)
    SELECT id, cause, was, status, %(batch)s, reason FROM gone
)
UPDATE atum.mail m
SET status = gone.status, reason = gone.reason, detail = NULL, due_at = gone.due_at,
    finished_at = CASE WHEN gone.status = 'expired' THEN clock_timestamp() END
FROM gone WHERE m.id = gone.id
"""


def take_out(connection: Connection, *, batch: UUID, token: UUID, mails: Sequence[TakenOut]) -> None:
    """Take mails out of a claimed batch; nothing happens if the claim is no longer ours. No POST was made."""
    values = {
        "batch": batch,
        "token": token,
        "ids": arrays.Uuids([mail.mail_id for mail in mails]),
        "statuses": arrays.Texts([mail.status for mail in mails]),
        "causes": arrays.Texts([mail.cause for mail in mails]),
        "reasons": arrays.Texts([mail.reason for mail in mails]),
        "retry_s": arrays.Floats([mail.retry_s for mail in mails]),
    }
    with connection.cursor() as cursor:
        arrays.register(cursor)
        cursor.execute(TAKE_OUT, values)


# Only the worker that holds the token may say so, and only when it knows that it did not POST.
RELEASE = """
UPDATE atum.batch
SET state = 'issued', token = NULL, lease_until = NULL, posting_at = NULL,
    publish_after = clock_timestamp() + make_interval(secs => %(delay_s)s)
WHERE id = %(batch)s AND token = %(token)s AND state IN ('claimed', 'posting')
"""


def release(connection: Connection, *, batch: UUID, token: UUID, delay_s: float) -> None:
    """Give a batch back that was certainly not posted; its ticket is published again after `delay_s` seconds."""
    connection.execute(RELEASE, {"batch": batch, "token": token, "delay_s": delay_s})


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
    alone: bool
    reason: str | None
    detail: str | None
    http_status: int | None
    code: int | None
    provider_message_id: str | None


# One statement, so all outcomes of a batch are committed together or not at all. The fence is the token of the
# posting mark; a batch that was given up meanwhile still takes the answer, because an answer is proof however late.
# Mails come sorted by id and are updated in that order: two writers never wait for each other in a circle.
RECORD = """
WITH fence AS (
    SELECT id, state, issued_at, posting_at FROM atum.batch
    WHERE id = %(batch)s AND token = %(token)s AND state IN ('posting', 'unknown') FOR UPDATE
), gone AS (
    DELETE FROM atum.batch b USING fence WHERE b.id = fence.id AND cardinality(%(unclear)s) = 0
), kept AS (
    UPDATE atum.batch b SET state = 'unknown', mail_ids = %(unclear)s FROM fence
    WHERE b.id = fence.id AND cardinality(%(unclear)s) > 0
), result AS MATERIALIZED (
    SELECT r.*, fence.state = 'unknown' AS late, fence.issued_at, fence.posting_at
    FROM fence
    CROSS JOIN unnest(%(mail_ids)s::uuid[], %(was)s::text[], %(statuses)s::text[], %(causes)s::text[],
                      %(outcomes)s::text[], %(charged)s::boolean[], %(retry_s)s::float8[], %(alone)s::boolean[],
                      %(reasons)s::text[], %(details)s::text[], %(http_statuses)s::int[], %(codes)s::int[],
                      %(message_ids)s::text[])
        AS r(mail_id, was, status, cause, outcome, charged, retry_s, alone, reason, detail, http_status, code,
             message_id)
), changed AS (
    UPDATE atum.mail m
    SET status = r.status, attempts = m.attempts + r.charged::int, tries = m.tries + (NOT r.late)::int,
        reason = r.reason, detail = r.detail, provider_message_id = r.message_id,
        due_at = clock_timestamp() + make_interval(secs => r.retry_s),
        finished_at = CASE WHEN r.status IN ('sent', 'dead') THEN clock_timestamp() END
    FROM result r WHERE m.id = r.mail_id
    RETURNING m.id, m.cycle, m.lane, m.size, m.due_at, m.status, m.attempts, r.alone, r.reason, r.code
), attempted AS (
    INSERT INTO atum.attempt (mail_id, batch_id, token, outcome, charged, issued_at, posting_at, http_status, code,
                              provider_message_id, detail)
    SELECT mail_id, %(batch)s, %(token)s, outcome, charged, issued_at, posting_at, http_status, code, message_id,
           detail
    FROM result WHERE NOT late
), proven AS (
    -- Given up meanwhile: the attempt is there, and the late answer replaces what it said.
    UPDATE atum.attempt a
    SET outcome = r.outcome, charged = r.charged, answered_at = clock_timestamp(), http_status = r.http_status,
        code = r.code, provider_message_id = r.message_id, detail = r.detail
    FROM result r WHERE r.late AND a.mail_id = r.mail_id AND a.batch_id = %(batch)s
), explained AS (
    INSERT INTO atum.event (mail_id, cause, from_status, to_status, batch_id, detail)
    SELECT mail_id, cause, CASE WHEN late THEN 'unknown' ELSE was END, status, %(batch)s, detail FROM result
), waiting AS (
    INSERT INTO atum.ready (mail_id, lane, due_at, size, alone)
    SELECT id, lane, due_at, size, alone FROM changed WHERE status = 'retrying'
), buried AS (
    INSERT INTO atum.dead_letter (mail_id, cycle, reason, code, attempts)
    SELECT id, cycle, reason, code, attempts FROM changed WHERE status = 'dead'
), dropped AS (
    DELETE FROM atum.content c USING result r WHERE c.mail_id = r.mail_id AND r.status = 'sent' AND %(drop_content)s
)
SELECT (SELECT count(*) FROM fence),
       (SELECT count(pg_notify('atum_ready', '')) FROM atum.sleeper WHERE for_room AND until > now())
"""

RECORDED = (
    "SELECT FROM atum.attempt WHERE mail_id = %(mail)s AND batch_id = %(batch)s AND outcome = %(outcome)s"
)


def record(
    connection: Connection, *, batch: UUID, token: UUID, results: Sequence[Result], drop_content: bool
) -> bool:
    """Commit what became of every mail that was posted; False when these outcomes were recorded before.

    Repeating is safe. Raises `LookupError` when the batch is neither ours nor recorded, which no run of the
    system may reach.
    """
    values = _columns(results) | {"batch": batch, "token": token, "drop_content": drop_content}
    with connection.cursor(row_factory=tuple_row) as cursor:
        arrays.register(cursor)
        row = cursor.execute(RECORD, values).fetchone()
        if row is not None and row[0] == 1:
            return True
        first = {"mail": results[0].mail_id, "batch": batch, "outcome": results[0].outcome}
        if cursor.execute(RECORDED, first).fetchone() is None:
            raise LookupError(f"batch {batch} has neither our token nor our outcomes")
        return False


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
        "alone": arrays.Booleans([r.alone for r in results]),
        "reasons": arrays.Texts([r.reason for r in results]),
        "details": arrays.Texts([r.detail for r in results]),
        "http_statuses": arrays.Ints([r.http_status for r in results]),
        "codes": arrays.Ints([r.code for r in results]),
        "message_ids": arrays.Texts([r.provider_message_id for r in results]),
    }
