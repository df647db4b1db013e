"""What a worker asks of the database for a batch: claim, take out, mark, release, record."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from atum_schema.status import Cause, Status
from tests.world import evidence, moving, promises
from tests.world.promises import Broken, Promise
from tests.world.rows import NEVER, Attempt, DeadLetter, Move, Ready
from tests.world.times import CLAIM_LEASE, POSTING_LEASE, REQUEST_TIMEOUT, SETTLE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.world.rows import Batch
    from tests.world.store import Store


class Item(NamedTuple):
    """One mail of a claimed batch, as it was at the claim."""

    mail: int
    status: Status
    attempts: int
    tries: int
    expired: bool


class Result(NamedTuple):
    """What is written for one mail after its POST."""

    mail: int
    was: Status
    status: Status
    cause: Cause
    outcome: str
    charged: bool
    retry_s: float | None
    at_most: int | None
    reason: str | None
    message_id: str | None


def claim(store: Store, batch_id: int, token: int) -> list[Item]:
    """Claim an issued batch and load its mails; empty when the ticket is stale."""
    batch = store.batch.get(batch_id)
    if batch is None or batch.state != "issued":
        return []
    lease = store.now + CLAIM_LEASE
    store.put(store.batch, batch_id, batch._replace(state="claimed", token=token, lease_until=lease))
    return [
        Item(mail.id, mail.status, mail.attempts, mail.tries, mail.expires_at <= store.now)
        for mail in (store.mail[mail_id] for mail_id in batch.mails)
    ]


def take_out(store: Store, batch_id: int, token: int, mails: Sequence[int]) -> None:
    """Take expired mails out of a claimed batch, if the claim is still ours."""
    batch = store.batch.get(batch_id)
    if batch is None or batch.token != token or batch.state != "claimed":
        return
    leaving = [store.mail[mail_id] for mail_id in batch.mails if mail_id in mails]
    moving.apply(store, [Move(m.id, m.status, Cause.EXPIRED, reason="expired") for m in leaving])
    moving.shrink(store, batch, [mail_id for mail_id in batch.mails if mail_id not in mails])


def mark(store: Store, batch_id: int, token: int, expired: Sequence[int]) -> Batch | None:
    """Commit the posting mark; None when the claim is no longer ours."""
    batch = store.batch.get(batch_id)
    if batch is None or batch.token != token or batch.state != "claimed" or batch.lease_until <= store.now:
        return None
    promises.may_be_posted(store, batch)
    if any(mail_id in batch.mails for mail_id in expired):
        raise Broken(Promise.EXPIRED_STAYS, f"batch {batch_id} is marked with an expired mail")
    if batch.lane in store.paused:
        raise Broken(Promise.PAUSE_HOLDS, f"batch {batch_id} is marked in a lane that a person paused")
    batch = batch._replace(state="posting", posting_at=store.now, lease_until=store.now + POSTING_LEASE)
    store.put(store.batch, batch_id, batch)
    store.marks[batch_id, token] = batch.mails
    return batch


def release(store: Store, batch_id: int, token: int, delay_s: float) -> None:
    """Give a batch back that was certainly not posted, also where it was given up meanwhile."""
    batch = store.batch.get(batch_id)
    if batch is None or batch.token != token:
        return
    if batch.state == "unknown":
        evidence.refuse(store, batch_id, [_not_posted(mail_id) for mail_id in batch.mails])
    if batch.state not in {"claimed", "posting"}:
        return
    store.put(
        store.batch,
        batch_id,
        batch._replace(
            state="issued",
            token=None,
            lease_until=NEVER,
            posting_at=NEVER,
            publish_after=store.now + delay_s,
        ),
    )


def _not_posted(mail_id: int) -> Result:
    return Result(
        mail=mail_id,
        was=Status.UNKNOWN,
        status=Status.RETRYING,
        cause=Cause.RETRY_SCHEDULED,
        outcome="deferred",
        charged=False,
        retry_s=0.0,
        at_most=None,
        reason="not_posted",
        message_id=None,
    )


def record(store: Store, batch_id: int, token: int, results: Sequence[Result]) -> bool:
    """Commit what became of every mail; False when the batch is not posting under this token."""
    batch = store.batch.get(batch_id)
    if batch is None or batch.token != token or batch.state != "posting":
        return False
    unclear = tuple(result.mail for result in results if result.status is Status.UNKNOWN)
    store.put(store.batch, batch_id, _kept(store, batch, unclear) if unclear else None)
    for result in results:
        _write(store, batch, result)
    return True


def _kept(store: Store, batch: Batch, unclear: tuple[int, ...]) -> Batch:
    anchor = max(store.now, batch.posting_at + REQUEST_TIMEOUT)
    due = anchor + SETTLE.schedule[0]
    store.anchors[batch.id] = anchor
    return batch._replace(
        state="unknown",
        mails=unclear,
        publishes=0,
        anchor_at=anchor,
        search_at=due,
        publish_after=due,
        lease_until=NEVER,
    )


def _write(store: Store, batch: Batch, result: Result) -> None:
    was = store.mail[result.mail]
    second = was.finished and result.outcome == "accepted"
    mail = was._replace(
        status=was.status if was.finished else result.status,
        duplicates=was.duplicates + second,
        attempts=was.attempts + result.charged,
        tries=was.tries + 1,
        crashes=0,
        reason=was.reason if was.finished else result.reason,
        message_id=was.message_id or result.message_id,
        finished=was.finished or result.status in {Status.SENT, Status.DEAD},
    )
    store.put(store.mail, mail.id, mail)
    store.insert(
        store.attempt,
        (mail.id, batch.id),
        Attempt(mail.id, batch.id, result.outcome, result.charged, batch.posting_at, result.message_id),
    )
    finished_before = mail.duplicates > 0 or mail.status is not result.status
    store.explain(mail.id, result.cause, mail.status if finished_before else result.was, mail.status)
    if mail.duplicates:
        store.explain(mail.id, Cause.DUPLICATE_FOUND, mail.status, mail.status)
    if mail.status is Status.RETRYING:
        due = store.now + (result.retry_s or 0.0)
        store.insert(store.ready, mail.id, Ready(mail.id, mail.lane, due, result.at_most))
    if mail.status is Status.DEAD:
        store.insert(store.dead_letter, mail.id, DeadLetter(mail.id, store.now))


def overdue_at(batch: Batch, after_s: float) -> float:
    """Say when a batch that is issued or unknown is pulled: its ticket did not come."""
    if batch.state == "unknown":
        return batch.search_at + after_s
    if batch.state != "issued":
        return NEVER
    if batch.publishes >= 2:
        return batch.issued_at
    unconfirmed = NEVER if batch.published_at is not None else batch.issued_at
    return min(batch.publish_after, unconfirmed) + after_s
