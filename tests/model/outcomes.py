"""The statements after a POST: recording answers, giving up, proof, and what settling decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.model.state import Batch, batch_of, made_ready, with_batch, with_mail, without_batch
from tests.model.statements import removed

if TYPE_CHECKING:
    from tests.model.rules import Rules
    from tests.model.scope import Scope
    from tests.model.state import Database, Mail


def prove(rules: Rules, db: Database, number: int) -> Database:
    """Apply proof of acceptance: the mail is sent, whatever it was, and nothing more is sent of it."""
    db = with_mail(db, number, db.mails[number]._replace(status="sent", unresolved=()))
    for batch in db.batches:
        if batch.state == "unknown" and number in batch.mails:
            db = with_batch(
                db, batch._replace(mails=tuple(other for other in batch.mails if other != number))
            )
    return removed(db, number) if rules.proof_pulls_back else db


def give_up(scope: Scope, rules: Rules, db: Database, batch: Batch) -> Database:
    """Turn an expired posting into an unknown batch, or issue it again as no rule allows."""
    if not rules.expired_posting_is_settled:
        return with_batch(db, batch._replace(state="issued", token=0, lease=0))
    return _became_unknown(scope, rules, db, batch)


def _became_unknown(scope: Scope, rules: Rules, db: Database, batch: Batch) -> Database:
    unclear = tuple(number for number in batch.mails if db.mails[number].status != "sent")
    for number in unclear:
        mail = db.mails[number]
        unresolved = tuple(sorted({*mail.unresolved, (batch.id, batch.token)}))
        db = with_mail(
            db, number, mail._replace(status="unknown", tries=mail.tries + 1, unresolved=unresolved)
        )
    since = scope.posting_lease - batch.lease
    first = (
        scope.search_after[0] + batch.lease
        if rules.settling_starts_at_anchor
        else max(0, scope.search_after[0] - since)
    )
    return with_batch(db, batch._replace(state="unknown", mails=unclear, lease=0, search_in=first))


def record(
    scope: Scope, rules: Rules, db: Database, number: int, token: int, mails: tuple[int, ...], answer: str
) -> Database:
    """Commit what became of each mail, or the half of it when outcomes and the batch's end are apart."""
    batch = batch_of(db, number)
    states = {"posting", "unknown"} if rules.posting_is_marked else {"claimed", "unknown"}
    if batch is not None and batch.token == token and batch.state in states:
        return _recorded(scope, rules, db, batch, mails, answer)
    known = (number, token)
    for mail in mails:
        if not rules.recording_is_idempotent:
            db = _applied(scope, rules, db, mail, answer)
        elif known in db.mails[mail].unresolved and rules.late_answers_count:
            db = _applied_late(scope, rules, db, mail, answer, known)
    return db


def _recorded(
    scope: Scope, rules: Rules, db: Database, batch: Batch, mails: tuple[int, ...], answer: str
) -> Database:
    known = (batch.id, batch.token)
    if batch.state == "unknown":
        if not rules.late_answers_count or answer == "unclear":
            return db
        for mail in mails:
            db = _applied_late(scope, rules, db, mail, answer, known)
        return db
    if answer == "unclear":
        return _became_unknown(scope, rules, db, batch)
    for mail in mails:
        db = _applied(scope, rules, db, mail, answer)
    return without_batch(db, batch.id) if rules.outcomes_in_one_transaction else db


def _applied_late(
    scope: Scope, rules: Rules, db: Database, number: int, answer: str, known: tuple[int, int]
) -> Database:
    """Apply an answer to an attempt that was given up: a yes proves, a no settles that attempt alone."""
    if answer == "accepted":
        return prove(rules, db, number)
    if answer == "unclear":
        return db
    mail = db.mails[number]
    left = tuple(attempt for attempt in mail.unresolved if attempt != known)
    settled = mail._replace(unresolved=left)
    db = with_mail(db, number, settled)
    batch = batch_of(db, known[0])
    if batch is not None and number in batch.mails:
        db = with_batch(db, batch._replace(mails=tuple(other for other in batch.mails if other != number)))
    elif mail.status != "held" or left:
        # A resend is under way, or an earlier attempt is as open as before.
        return db
    # The try was counted when the attempt was given up.
    return _refused(scope, rules, db, number, settled, answer)


def _applied(scope: Scope, rules: Rules, db: Database, number: int, answer: str) -> Database:
    mail = db.mails[number]
    if answer == "accepted":
        return prove(rules, db, number)
    if mail.status == "sent" and rules.proof_is_final:
        return db
    return _refused(scope, rules, db, number, mail._replace(tries=mail.tries + 1), answer)


def _refused(scope: Scope, rules: Rules, db: Database, number: int, mail: Mail, answer: str) -> Database:
    charged = answer == "deferred" or (answer == "outage" and not rules.outages_are_free)
    mail = mail._replace(charged=mail.charged + charged)
    if answer == "rejected" or mail.tries >= scope.tries or mail.charged >= scope.attempts:
        return with_mail(db, number, mail._replace(status="dead"))
    return made_ready(db, number, mail._replace(status="waiting"))


def counted(scope: Scope, rules: Rules, db: Database, batch: Batch) -> Database:
    """Count an empty search; after the last one the mail's policy decides."""
    searches = batch.searches + 1
    if searches < len(scope.search_after):
        pause = scope.search_after[searches] if rules.searches_are_spaced else 0
        return with_batch(db, batch._replace(searches=searches, search_in=pause))
    db = without_batch(db, batch.id)
    for number in batch.mails:
        db = _decided(scope, rules, db, number)
    return db


def postponed(scope: Scope, db: Database, batch: Batch) -> Database:
    """Let a search that proves nothing be repeated."""
    return with_batch(db, batch._replace(search_in=scope.search_after[batch.searches]))


def _decided(scope: Scope, rules: Rules, db: Database, number: int) -> Database:
    mail = db.mails[number]
    if mail.expired and rules.expired_is_not_resent:
        return with_mail(db, number, mail._replace(status="expired"))
    if mail.tries < scope.tries and (scope.policy == "resend" or not rules.hold_holds):
        return made_ready(db, number, mail._replace(status="waiting"))
    return with_mail(db, number, mail._replace(status="held"))


def released(db: Database, number: int) -> Database:
    """Let a held mail go out again, as a person says."""
    return made_ready(db, number, db.mails[number]._replace(status="waiting"))


def forgotten(scope: Scope, db: Database, number: int, batch: int) -> Database:
    """Make an open mail unknown of which the database may have lost attempts: it is searched by its own id."""
    mail = db.mails[number]
    if mail.status not in {"waiting", "unknown"}:
        return db
    db = db._replace(ready=tuple(other for other in db.ready if other != number))
    for holder in db.batches:
        if number in holder.mails:
            left = tuple(other for other in holder.mails if other != number)
            db = with_batch(db, holder._replace(mails=left))
    # The latest moment at which a worker that was marked before the loss can have been heard.
    first = scope.posting_lease + scope.search_after[0]
    db = with_mail(db, number, mail._replace(status="unknown"))
    return with_batch(db, Batch(id=batch, mails=(number,), state="unknown", search_in=first, by_mail=True))
