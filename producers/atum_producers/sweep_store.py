"""What becomes of batches whose lease has run out. Lock order: batch, mail by id, ready."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from psycopg.rows import args_row

from atum_schema import moves, sweeping
from atum_schema.moves import Locked, Move
from atum_schema.status import ENDED, Cause, Status
from atum_schema.steps import Reached, Step, go_on

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from atum_schema.database import Connection

_AT_ONCE = 100


class Lapsed(NamedTuple):
    """A batch whose lease has run out, locked."""

    id: UUID
    state: str
    mail_ids: list[UUID]
    claimed_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What a sweep found: numbers of batches."""

    #: Nothing was posted: their mails wait again.
    reissued: int
    #: A POST may have been made.
    unknown: int
    #: Their only mail is dead: it killed its worker each time.
    buried: int


LAPSED = """
SELECT id, state, mail_ids, claimed_by FROM atum.batch
WHERE state IN ('claimed', 'posting') AND lease_until < clock_timestamp()
ORDER BY id LIMIT %(limit)s
FOR UPDATE SKIP LOCKED
"""


def sweep(connection: Connection, *, poison_crashes: int, settle_s: float, reached: Reached = go_on) -> Swept:
    """Decide about the batches whose lease has run out (at most 100), in one transaction.

    `poison_crashes` is how often a mail may kill its worker alone; `settle_s` the seconds until the first search.
    """
    counts: Counter[type] = Counter()
    with connection.transaction():
        with connection.cursor(row_factory=args_row(Lapsed)) as cursor:
            lapsed = cursor.execute(LAPSED, {"limit": _AT_ONCE}).fetchall()
        if lapsed:
            locked = moves.lock(connection, [mail_id for batch in lapsed for mail_id in batch.mail_ids])
            mails = {mail.mail_id: mail for mail in locked}
            reached(Step.LAPSED_LOCKED)
            for batch in lapsed:
                verdict = _apply(connection, batch, mails, poison_crashes=poison_crashes, settle_s=settle_s)
                counts[type(verdict)] += 1
            reached(Step.LAPSED_MOVED)
    if lapsed:
        reached(Step.SWEPT)
    return Swept(
        reissued=counts[sweeping.Scatter], unknown=counts[sweeping.GiveUp], buried=counts[sweeping.Bury]
    )


def _apply(
    connection: Connection, batch: Lapsed, locked: dict[UUID, Locked], *, poison_crashes: int, settle_s: float
) -> sweeping.Verdict:
    mails = [locked[mail_id] for mail_id in batch.mail_ids]
    verdict = sweeping.expired(
        batch.state, mails=len(mails), crashes=mails[0].crashes, poison_crashes=poison_crashes
    )
    if isinstance(verdict, sweeping.GiveUp):
        _give_up(connection, batch, mails, settle_s)
        return verdict
    moves.shrink_batch(connection, batch=batch.id, rest=[], held=len(mails))
    moves.apply(connection, [_unposted(mail, batch, verdict, alone=len(mails) == 1) for mail in mails])
    return verdict


def _unposted(mail: Locked, batch: Lapsed, verdict: sweeping.Scatter | sweeping.Bury, *, alone: bool) -> Move:
    detail = f"worker stopped between claim and posting: {batch.claimed_by}"
    if isinstance(verdict, sweeping.Bury):
        return Move(
            mail.mail_id,
            mail.status,
            Cause.POISONED,
            reason="poison",
            detail=detail,
            batch_id=batch.id,
            crashed=True,
        )
    return Move(
        mail.mail_id,
        mail.status,
        Cause.REISSUED,
        detail=detail,
        batch_id=batch.id,
        due_s=0.0,
        at_most=verdict.at_most,
        crashed=alone,
    )


# Posted, and the lease has run out: nobody knows. The batch keeps its token, so a late answer still proves. What a
# webhook has proven meanwhile has an attempt already.
GIVE_UP = """
WITH given_up AS (
    UPDATE atum.batch
    SET state = 'unknown', publishes = 0, anchor_at = clock_timestamp(),
        search_at = clock_timestamp() + make_interval(secs => %(settle_s)s),
        publish_after = clock_timestamp() + make_interval(secs => %(settle_s)s)
    WHERE id = %(batch)s
    RETURNING id, account, token, mail_ids, issued_at, posting_at, claimed_by
)
INSERT INTO atum.attempt (mail_id, batch_id, token, outcome, charged, issued_at, posting_at, detail, account)
SELECT u.id, g.id, g.token, 'unknown', false, g.issued_at, g.posting_at, 'no answer recorded by ' || g.claimed_by,
       g.account
FROM given_up g CROSS JOIN unnest(g.mail_ids) AS u(id)
ON CONFLICT (mail_id, batch_id) DO NOTHING
"""


def _give_up(connection: Connection, batch: Lapsed, mails: Sequence[Locked], settle_s: float) -> None:
    connection.execute(GIVE_UP, {"batch": batch.id, "settle_s": settle_s})
    # What was proven while it was being posted needs no settling.
    open_ones = [mail.mail_id for mail in mails if Status(mail.status) not in ENDED]
    moves.shrink_batch(connection, batch=batch.id, rest=open_ones, held=len(mails))
    moves.apply(
        connection,
        [
            Move(
                mail.mail_id,
                mail.status,
                Cause.OUTCOME_UNKNOWN,
                reason="no_answer_recorded",
                detail=f"no answer recorded by {batch.claimed_by}",
                batch_id=batch.id,
                tried=True,
                crashed=len(mails) == 1,
            )
            for mail in mails
        ],
    )
