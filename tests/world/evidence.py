"""What evidence writes: proof, late answers, and the rounds of settling."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from atum_schema.status import Cause, Status
from tests.world import moving
from tests.world.rows import Attempt, Move
from tests.world.times import ROUND_LEASE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.world.delivering import Result
    from tests.world.rows import Batch, Mail
    from tests.world.store import Store


class Proof(NamedTuple):
    """The provider has this mail, from this POST."""

    mail: int
    batch: int
    message_id: str


def prove(store: Store, proofs: Sequence[Proof], cause: Cause) -> list[int]:
    """Record acceptances; give the mails concerned."""
    ids = sorted({proof.mail for proof in proofs})
    known = [
        Proof(row.mail, row.batch, row.message_id or "")
        for row in store.attempt.values()
        if row.mail in ids and row.outcome == "accepted"
    ]
    news = [proof for proof in proofs if proof not in known]
    for proof in news:
        _write_attempt(store, proof)
    held = moving.holders(store, ids)
    for mail_id in ids:
        fresh = [proof for proof in news if proof.mail == mail_id]
        if fresh:
            copies = sorted({proof.message_id for proof in (*known, *news) if proof.mail == mail_id})
            _prove(store, store.mail[mail_id], fresh[0], cause, len(copies))
    for batch in held:
        if batch.state != "posting":
            moving.shrink(store, batch, [mail for mail in batch.mails if mail not in ids])
    return ids


def _write_attempt(store: Store, proof: Proof) -> None:
    row = store.attempt.get((proof.mail, proof.batch))
    if row is None:
        row = Attempt(proof.mail, proof.batch, "accepted", False, 0.0, proof.message_id)
        store.insert(store.attempt, (proof.mail, proof.batch), row)
    elif row.outcome != "accepted":
        row = row._replace(outcome="accepted", message_id=proof.message_id)
        store.put(store.attempt, (proof.mail, proof.batch), row)


def _prove(store: Store, mail: Mail, proof: Proof, cause: Cause, copies: int) -> None:
    move = Move(mail.id, mail.status, cause, message_id=proof.message_id)
    moving.apply(store, [move])
    if copies - 1 > mail.duplicates:
        doubled = Move(mail.id, move.status, Cause.DUPLICATE_FOUND, duplicates=copies - 1)
        moving.apply(store, [doubled])


def outcomes(store: Store, batch_id: int, mails: Sequence[int]) -> dict[int, str]:
    """Give the recorded outcomes of a batch's mails."""
    return {
        mail: store.attempt[mail, batch_id].outcome for mail in mails if (mail, batch_id) in store.attempt
    }


def refuse(store: Store, batch_id: int, results: Sequence[Result]) -> None:
    """Record late refusals: they move a mail that still waits for this answer, and no other."""
    batch = store.batch.get(batch_id)
    held = () if batch is None else batch.mails
    settled = []
    for result in results:
        mail = store.mail[result.mail]
        if mail.status is Status.UNKNOWN and mail.id in held and not _open_elsewhere(store, mail, batch_id):
            settled.append(mail.id)
            move = Move(
                mail.id,
                mail.status,
                result.cause,
                reason=result.reason,
                due_s=result.retry_s,
                at_most=result.at_most,
                charged=result.charged,
            )
        else:
            move = Move(mail.id, mail.status, Cause.ANSWERED_LATE)
        moving.apply(store, [move])
        row = store.attempt[mail.id, batch_id]
        if row.outcome == "unknown":
            row = row._replace(outcome=result.outcome, charged=result.charged)
            store.put(store.attempt, (mail.id, batch_id), row)
    if batch is not None:
        moving.shrink(store, batch, [mail for mail in held if mail not in settled])


def _open_elsewhere(store: Store, mail: Mail, batch_id: int) -> bool:
    return any(
        row.mail == mail.id and row.batch != batch_id and row.outcome == "unknown"
        for row in store.attempt.values()
    )


def begin(store: Store, batch_id: int) -> Batch | None:
    """Begin a search that is due; None when it is not, or somebody else has begun it."""
    batch = store.batch.get(batch_id)
    if batch is None or batch.state != "unknown" or batch.search_at > store.now:
        return None
    due = store.now + ROUND_LEASE
    begun = batch._replace(search_at=due, publish_after=due)
    store.put(store.batch, batch_id, begun)
    return begun


class Sought(NamedTuple):
    """An unknown mail that is searched for, and its unresolved POSTs."""

    mail: Mail
    expired: bool
    batches: list[int]
    posted_ago: float | None


def sought(store: Store, mails: Sequence[int]) -> list[Sought]:
    """Load those of the mails that are unknown."""
    found = []
    for mail in (store.mail[mail_id] for mail_id in mails):
        if mail.status is Status.UNKNOWN:
            rows = [a for a in store.attempt.values() if a.mail == mail.id and a.outcome == "unknown"]
            first = min((row.posting_at for row in rows), default=None)
            ago = None if first is None else store.now - first
            found.append(Sought(mail, mail.expires_at <= store.now, [row.batch for row in rows], ago))
    return found


def control(store: Store, lane: str, anchor: float) -> int | None:
    """Find the first mail of the stream (each lane has one) that was posted after the anchor and accepted."""
    rows = [
        row
        for row in store.attempt.values()
        if row.outcome == "accepted" and row.posting_at > anchor and store.mail[row.mail].lane == lane
    ]
    return min(rows, key=lambda row: (row.posting_at, row.mail)).mail if rows else None


class Again(NamedTuple):
    """When the batch is searched for again, and what is known by then."""

    seconds: float
    searches: int
    failures: int


def conclude(
    store: Store, begun: Batch, again: Again | None, decide: Callable[[Mail], Sequence[Move]]
) -> None:
    """Write what a round came to for the mails that are still unknown, if the round is still ours."""
    batch = store.batch.get(begun.id)
    if batch is None or batch.state != "unknown" or batch.search_at != begun.search_at:
        return
    rest = []
    for mail in (store.mail[mail_id] for mail_id in batch.mails):
        if mail.status is Status.UNKNOWN:
            moving.apply(store, decide(mail))
            rest.append(mail.id)
    if again is None or not rest:
        store.put(store.batch, batch.id, None)
        return
    due = store.now + again.seconds
    store.put(
        store.batch,
        batch.id,
        batch._replace(
            mails=tuple(rest),
            searches=again.searches,
            failures=again.failures,
            publishes=0,
            search_at=due,
            publish_after=due,
        ),
    )
