"""The statements before a POST, as functions from database to database: issue, claim, mark, release, sweep, cancel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.model.state import Batch, batch_of, made_ready, with_batch, with_mail, without_batch

if TYPE_CHECKING:
    from tests.model.rules import Rules
    from tests.model.scope import Scope
    from tests.model.state import Database

_CRASHES: Final = 2
"""Claims of a batch that ended in a crash before it is split."""


def in_flight(rules: Rules, db: Database) -> int:
    """Count the batches that occupy the window."""
    return sum(batch.state != "unknown" or not rules.unknown_leaves_window for batch in db.batches)


def issue(scope: Scope, db: Database, batch: int) -> Database:
    """Move the first due mails into a new batch; a mail under suspicion travels alone."""
    first = db.ready[0]
    taken: tuple[int, ...] = (first,)
    if not db.mails[first].alone:
        taken = tuple(number for number in db.ready if not db.mails[number].alone)[: scope.batch_mails]
    db = db._replace(ready=tuple(number for number in db.ready if number not in taken))
    return with_batch(db, Batch(id=batch, mails=taken))


def claim(scope: Scope, rules: Rules, db: Database, batch: Batch, token: int) -> Database:
    """Claim a batch and take out what has expired."""
    # Counted only where something looks at it, so that states do not differ by it elsewhere.
    counted = scope.poison is not None or not rules.tokens_are_unique
    claims = min(batch.claims + counted, _CRASHES) if rules.tokens_are_unique else batch.claims + counted
    claimed = batch._replace(state="claimed", token=token, lease=scope.claim_lease, claims=claims)
    return _without_expired(db, claimed)


def _without_expired(db: Database, batch: Batch) -> Database:
    expired = [number for number in batch.mails if db.mails[number].expired]
    for number in expired:
        db = with_mail(db, number, db.mails[number]._replace(status="expired"))
    return with_batch(
        db, batch._replace(mails=tuple(number for number in batch.mails if number not in expired))
    )


def passes_fence(rules: Rules, batch: Batch, token: int) -> bool:
    """Say whether the posting mark finds its row."""
    if not rules.mark_is_fenced:
        return True
    return (
        (batch.token == token or not rules.fence_checks_token)
        and (batch.state == "claimed" or not rules.fence_checks_state)
        and (batch.lease > 0 or not rules.fence_checks_lease)
    )


def mark(scope: Scope, rules: Rules, db: Database, batch: Batch) -> Database:
    """Commit the posting mark on a batch that passed the fence."""
    lease = scope.posting_lease if rules.lease_outlives_deadline else scope.deadline
    marked = batch._replace(state="posting", lease=lease)
    return _without_expired(db, marked) if rules.expiry_is_seen_at_mark else with_batch(db, marked)


def release(rules: Rules, db: Database, number: int, token: int) -> Database:
    """Give a batch back that was not posted; nothing happens unless the token is the row's."""
    batch = batch_of(db, number)
    if batch is None or batch.state not in {"claimed", "posting"}:
        return db
    if batch.token != token and rules.release_is_fenced:
        return db
    # A claim that was given back has not crashed.
    claims = max(0, batch.claims - 1) if rules.tokens_are_unique else batch.claims
    mails = batch.mails
    if rules.proven_is_not_released:
        mails = tuple(mail for mail in mails if db.mails[mail].status != "sent")
    return with_batch(db, batch._replace(state="issued", token=0, lease=0, claims=claims, mails=mails))


def reissue(rules: Rules, db: Database, batch: Batch) -> Database:
    """Free an expired claim; a batch that has crashed its workers is split until the suspect is alone."""
    if not rules.crashes_are_counted or batch.claims < _CRASHES:
        return with_batch(db, batch._replace(state="issued", token=0, lease=0))
    db = without_batch(db, batch.id)
    if len(batch.mails) == 1:
        (number,) = batch.mails
        return with_mail(db, number, db.mails[number]._replace(status="dead"))
    for number in batch.mails:
        db = made_ready(db, number, db.mails[number]._replace(alone=True))
    return db


def cancel(db: Database, number: int) -> Database | None:
    """Cancel a mail; None when it is in flight or unknown, so that nothing is acknowledged."""
    mail = db.mails[number]
    holder = next((batch for batch in db.batches if number in batch.mails), None)
    if mail.status not in {"waiting", "held"} or (holder is not None and holder.state == "posting"):
        return None
    return removed(with_mail(db, number, mail._replace(status="canceled")), number)


def removed(db: Database, number: int) -> Database:
    """Take a mail out of `ready` and of the batches that are not posted."""
    db = db._replace(ready=tuple(other for other in db.ready if other != number))
    for batch in db.batches:
        if batch.state in {"issued", "claimed"} and number in batch.mails:
            db = with_batch(
                db, batch._replace(mails=tuple(other for other in batch.mails if other != number))
            )
    return db
