"""Proof that the provider took a mail, and answers that come late. Neither is ever discarded.

A proof ends a mail wherever it is: waiting for a resend, held, dead. It cannot stop a POST that is under way; when
that one is accepted too, the second copy is counted. Lock order: batch, mail by id, ready.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, NamedTuple

from psycopg.rows import args_row, tuple_row

from atum_schema import arrays, moves
from atum_schema.moves import Move
from atum_schema.status import Cause, Status
from atum_workers.store import Result

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from collections.abc import Set as AbstractSet
    from uuid import UUID

    from atum_schema.database import Connection
    from atum_schema.moves import Holder, Locked


class Proof(NamedTuple):
    """The provider has this mail, from this POST."""

    mail_id: UUID
    batch_id: UUID
    #: None where whoever tells does not say which message it is.
    message_id: str | None
    #: How it became known, for people.
    detail: str | None = None


class Known(NamedTuple):
    """An acceptance that is in the log already."""

    mail_id: UUID
    batch_id: UUID
    message_id: str | None


KNOWN = """
SELECT mail_id, batch_id, provider_message_id AS message_id FROM atum.attempt
WHERE mail_id = ANY(%(ids)s) AND outcome = 'accepted'
"""

# A restored database may have lost the attempt; what the provider says makes it anew, without its times.
ACCEPTED = """
INSERT INTO atum.attempt (mail_id, batch_id, token, outcome, charged, issued_at, posting_at, provider_message_id,
                          detail)
SELECT mail_id, batch_id, batch_id, 'accepted', false, to_timestamp(0), to_timestamp(0), message_id, detail
FROM unnest(%(mail_ids)s::uuid[], %(batch_ids)s::uuid[], %(message_ids)s::text[], %(details)s::text[])
    AS t(mail_id, batch_id, message_id, detail)
ON CONFLICT (mail_id, batch_id) DO UPDATE
SET outcome = 'accepted', answered_at = clock_timestamp(), provider_message_id = excluded.provider_message_id,
    detail = excluded.detail, http_status = NULL, code = NULL
WHERE atum.attempt.outcome <> 'accepted'
      OR (atum.attempt.provider_message_id IS NULL AND excluded.provider_message_id IS NOT NULL)
"""


def prove(connection: Connection, proofs: Sequence[Proof], *, cause: Cause, drop_content: bool) -> set[UUID]:
    """Record acceptances in one transaction; give the mails concerned. Repeating is safe.

    A mail for which two acceptances are known counts them as duplicates, with an event.
    """
    ids = {proof.mail_id for proof in proofs}
    while ids:
        with connection.transaction():
            owned = moves.lock_with_owners(connection, ids)
            if owned is not None:
                holders, locked = owned
                apply(connection, proofs, locked, cause=cause, drop_content=drop_content)
                leave(connection, holders, {mail.mail_id for mail in locked})
                break
    return ids


def apply(
    connection: Connection,
    proofs: Sequence[Proof],
    locked: Sequence[Locked],
    *,
    cause: Cause,
    drop_content: bool,
) -> dict[UUID, str]:
    """Record acceptances of locked mails, in the caller's transaction; give the status of each of them afterwards.

    Whoever calls this has locked what holds the mails, and calls `leave` for those that have ended.
    """
    with connection.cursor(row_factory=args_row(Known)) as cursor:
        known = set(cursor.execute(KNOWN, {"ids": [mail.mail_id for mail in locked]}).fetchall())
    exist = {mail.mail_id for mail in locked}
    posts = {each[:2] for each in known}
    news = [
        p
        for p in proofs
        if p.mail_id in exist
        and (Known(*p[:3]) not in known if p.message_id is not None else p[:2] not in posts)
    ]
    # Where several tell of one POST, the one that names the message counts.
    news.sort(key=lambda proof: proof.message_id is None)
    _write_attempts(connection, news)
    first = {proof.mail_id: proof for proof in reversed(news)}
    moved = [
        Move(m.mail_id, m.status, cause, detail=p.detail, batch_id=p.batch_id, message_id=p.message_id)
        for m in locked
        if (p := first.get(m.mail_id)) is not None
    ]
    moves.apply(connection, moved, drop_content=drop_content)
    status = {move.mail_id: move.status for move in moved}
    copies = _copies([*known, *(Known(*proof[:3]) for proof in news)])
    doubled = [
        _duplicate(mail, status[mail.mail_id], first[mail.mail_id], copies[mail.mail_id])
        for mail in locked
        if mail.mail_id in status and copies[mail.mail_id] - 1 > mail.duplicates
    ]
    moves.apply(connection, doubled)
    return {mail.mail_id: status.get(mail.mail_id, mail.status) for mail in locked}


def leave(connection: Connection, holders: Sequence[Holder], mails: AbstractSet[UUID]) -> None:
    """Take mails that have ended out of the locked batches that hold them. A POST that is under way is not stopped."""
    for holder in holders:
        if holder.state != "posting":
            rest = sorted(set(holder.mail_ids) - mails)
            moves.shrink_batch(connection, batch=holder.id, rest=rest, held=len(holder.mail_ids))


def _copies(known: Iterable[Known]) -> Counter[UUID]:
    """Count the copies of each mail that are proven: messages, and POSTs of which nobody knows the message."""
    messages: defaultdict[tuple[UUID, UUID], set[str]] = defaultdict(set)
    for mail_id, batch_id, message_id in known:
        messages[mail_id, batch_id] |= set() if message_id is None else {message_id}
    of_mail: defaultdict[UUID, set[str]] = defaultdict(set)
    for (mail_id, batch_id), found in messages.items():
        of_mail[mail_id] |= found or {f"some message of batch {batch_id}"}
    return Counter({mail_id: len(found) for mail_id, found in of_mail.items()})


def _duplicate(mail: Locked, status: str, proof: Proof, copies: int) -> Move:
    return Move(
        mail.mail_id,
        status,
        Cause.DUPLICATE_FOUND,
        detail=f"{copies} copies are proven",
        batch_id=proof.batch_id,
        duplicates=copies - 1,
    )


def _write_attempts(connection: Connection, proofs: Sequence[Proof]) -> None:
    once = {(proof.mail_id, proof.batch_id): proof for proof in reversed(proofs)}.values()
    with connection.cursor() as cursor:
        arrays.register(cursor)
        cursor.execute(
            ACCEPTED,
            {
                "mail_ids": arrays.Uuids([proof.mail_id for proof in once]),
                "batch_ids": arrays.Uuids([proof.batch_id for proof in once]),
                "message_ids": arrays.Texts([proof.message_id for proof in once]),
                "details": arrays.Texts([proof.detail for proof in once]),
            },
        )


RESOLVED = """
SELECT mail_id, outcome FROM atum.attempt WHERE mail_id = ANY(%(ids)s) AND batch_id = %(batch)s
"""

OPEN_ELSEWHERE = """
SELECT DISTINCT mail_id FROM atum.attempt
WHERE mail_id = ANY(%(ids)s) AND batch_id <> %(batch)s AND outcome = 'unknown'
"""

REFUSED = """
UPDATE atum.attempt a
SET outcome = r.outcome, charged = r.charged, answered_at = clock_timestamp(), http_status = r.http_status,
    code = r.code, detail = r.detail
FROM unnest(%(mail_ids)s::uuid[], %(outcomes)s::text[], %(charged)s::boolean[], %(http_statuses)s::int[],
            %(codes)s::int[], %(details)s::text[]) AS r(mail_id, outcome, charged, http_status, code, detail)
WHERE a.mail_id = r.mail_id AND a.batch_id = %(batch)s AND a.outcome = 'unknown'
"""


def late(connection: Connection, *, batch: UUID, results: Sequence[Result], drop_content: bool) -> None:
    """Record the answer to a POST whose batch was given up meanwhile, in two transactions that may be repeated.

    Nothing happens to outcomes that are recorded already. An acceptance is proof. A refusal moves a mail that still
    waits for this answer; one that has moved on, or has another POST unresolved, only gets the fact.
    """
    with connection.cursor(row_factory=tuple_row) as cursor:
        values = {"ids": [result.mail_id for result in results], "batch": batch}
        resolved: dict[UUID, str] = dict(cursor.execute(RESOLVED, values).fetchall())
    accepted = [
        Proof(r.mail_id, batch, r.provider_message_id, r.detail or "a late answer")
        for r in results
        if r.outcome == "accepted" and resolved.get(r.mail_id) != "accepted"
    ]
    prove(connection, accepted, cause=Cause.PROVIDER_ACCEPTED, drop_content=drop_content)
    refused = [
        r for r in results if r.outcome in {"rejected", "deferred"} and resolved.get(r.mail_id) == "unknown"
    ]
    if refused:
        with connection.transaction():
            _refuse(connection, batch, {result.mail_id: result for result in refused})


GIVEN_UP = """
SELECT unnest(mail_ids) FROM atum.batch WHERE id = %(batch)s AND token = %(token)s AND state = 'unknown'
"""


def unposted(connection: Connection, *, batch: UUID, token: UUID, drop_content: bool) -> None:
    """Record that a batch which was given up had not been posted under this token: its mails wait again.

    Only the worker that held the token knows it. Marking waits as long as somebody locks the batch, and the lease runs
    meanwhile. Nothing happens to a batch that is not unknown, or was posted by another.
    """
    with connection.cursor(row_factory=tuple_row) as cursor:
        rows = cursor.execute(GIVEN_UP, {"batch": batch, "token": token}).fetchall()
    late(
        connection,
        batch=batch,
        results=[_not_posted(mail_id) for (mail_id,) in rows],
        drop_content=drop_content,
    )


def _not_posted(mail_id: UUID) -> Result:
    return Result(
        mail_id=mail_id,
        was=Status.UNKNOWN.value,
        status=Status.RETRYING.value,
        cause=Cause.RETRY_SCHEDULED.value,
        outcome="deferred",
        charged=False,
        retry_s=0.0,
        at_most=None,
        reason="not_posted",
        detail="not posted: the local deadline had passed",
        http_status=None,
        code=None,
        provider_message_id=None,
    )


def _refuse(connection: Connection, batch: UUID, results: dict[UUID, Result]) -> None:
    holders = [holder for holder in moves.lock_holders(connection, results) if holder.id == batch]
    held = {mail_id for holder in holders for mail_id in holder.mail_ids}
    locked = moves.lock(connection, results)
    with connection.cursor(row_factory=tuple_row) as cursor:
        values = {"ids": list(results), "batch": batch}
        elsewhere = {mail_id for (mail_id,) in cursor.execute(OPEN_ELSEWHERE, values)}
    settled = {m.mail_id for m in locked if m.status == Status.UNKNOWN and m.mail_id in held} - elsewhere
    moves.apply(
        connection,
        [
            _settled(m, batch, results[m.mail_id])
            if m.mail_id in settled
            else Move(
                m.mail_id, m.status, Cause.ANSWERED_LATE, detail=results[m.mail_id].detail, batch_id=batch
            )
            for m in locked
        ],
    )
    for holder in holders:
        rest = sorted(held - settled)
        moves.shrink_batch(connection, batch=batch, rest=rest, held=len(holder.mail_ids))
    rows = list(results.values())
    with connection.cursor() as cursor:
        arrays.register(cursor)
        cursor.execute(
            REFUSED,
            {
                "batch": batch,
                "mail_ids": arrays.Uuids([r.mail_id for r in rows]),
                "outcomes": arrays.Texts([r.outcome for r in rows]),
                "charged": arrays.Booleans([r.charged for r in rows]),
                "http_statuses": arrays.Ints([r.http_status for r in rows]),
                "codes": arrays.Ints([r.code for r in rows]),
                "details": arrays.Texts([r.detail for r in rows]),
            },
        )


def _settled(mail: Locked, batch: UUID, result: Result) -> Move:
    return Move(
        mail.mail_id,
        mail.status,
        Cause(result.cause),
        reason=result.reason,
        detail=result.detail,
        batch_id=batch,
        due_s=result.retry_s,
        at_most=result.at_most,
        charged=result.charged,
        code=result.code,
    )
