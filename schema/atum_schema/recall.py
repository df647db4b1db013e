"""Taking batches back from a lane that has stopped, before they are posted. Lock order: batch, mail by id, ready."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from psycopg.rows import args_row

from atum_schema import moves
from atum_schema.moves import Locked, Move
from atum_schema.status import Cause

if TYPE_CHECKING:
    from uuid import UUID

    from atum_schema.database import Connection

_AT_ONCE: Final = 50


class Recalled(NamedTuple):
    """A batch that is taken back, locked."""

    id: UUID
    mail_ids: list[UUID]


# A batch that was issued since the lane stopped is a probe, and goes on. Who is just claiming or marking a batch is
# waited for: the row is looked at again in its new state.
STOPPED = """
SELECT b.id, b.mail_ids FROM atum.batch b
JOIN atum.flow f ON f.lane = b.lane AND f.account = b.account
WHERE b.lane = %(lane)s AND b.account = %(account)s AND f.state <> 'open' AND b.issued_at < f.since
      AND (b.state = 'issued' OR (b.state = 'claimed' AND %(claimed)s))
ORDER BY b.id LIMIT %(limit)s
FOR UPDATE OF b
"""


def recall(connection: Connection, *, lane: str, account: str, claimed: bool, detail: str) -> int:
    """Put the mails of batches that nobody has posted back into `ready`; give how many.

    With `claimed`, those of batches that a worker has taken and not posted yet too: its posting mark then fails, so
    after this no POST begins. `detail` is for the mails' events.
    """
    number = 0
    while batch := _recall(connection, lane, account, claimed, detail):
        number += batch
    return number


def _recall(connection: Connection, lane: str, account: str, claimed: bool, detail: str) -> int:
    values = {"lane": lane, "account": account, "claimed": claimed, "limit": _AT_ONCE}
    with connection.transaction():
        with connection.cursor(row_factory=args_row(Recalled)) as cursor:
            batches = cursor.execute(STOPPED, values).fetchall()
        of_batch = {mail: batch.id for batch in batches for mail in batch.mail_ids}
        locked = moves.lock(connection, of_batch)
        for batch in batches:
            moves.shrink_batch(connection, batch=batch.id, rest=[], held=len(batch.mail_ids))
        moves.apply(connection, [_waiting(mail, of_batch[mail.mail_id], detail) for mail in locked])
    return len(locked)


def _waiting(mail: Locked, batch: UUID, detail: str) -> Move:
    return Move(
        mail.mail_id,
        mail.status,
        Cause.REISSUED,
        detail=detail,
        batch_id=batch,
        due_s=0.0,
        # Who has killed a worker stays alone.
        at_most=1 if mail.crashes else None,
    )
