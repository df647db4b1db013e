"""Canceling what has waited for too long. What is being posted, or may have been, is left alone."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import UUID

from psycopg.rows import args_row, tuple_row

from atum_ops import operations
from atum_schema import moves
from atum_schema.ids import first_mail_id
from atum_schema.moves import Move
from atum_schema.status import Cause, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from atum_ops.operations import Operation
    from atum_schema.database import Connection
    from atum_schema.moves import Holder

KIND: Final = "queue.purge"
CANCELED: Final = "canceled"
REFUSED: Final = "refused"
"""Being posted: too late to stop."""
LEFT: Final = "left"
"""Not waiting any more when its turn came, or unknown."""

_AT_ONCE: Final = 200
_TRIES: Final = 20
_NONE: Final = UUID(int=0)
_CANCELABLE: Final = frozenset({Status.QUEUED.value, Status.RETRYING.value, Status.SCHEDULED.value})


class Old(NamedTuple):
    """Waiting mails that are older than a purge wants, by status; those being posted have a word of their own."""

    status: str
    mails: int


# A mail whose time is still to come has not waited yet, however long ago it was accepted.
COUNT: Final = """
SELECT CASE WHEN t.posting THEN 'posting' ELSE m.status END AS status, count(*) AS mails
FROM (
    SELECT r.mail_id, false AS posting FROM atum.ready r
    WHERE r.mail_id < %(before)s AND (%(lane)s::text IS NULL OR r.lane = %(lane)s)
    UNION ALL
    SELECT u.id, b.state = 'posting' FROM atum.batch b CROSS JOIN unnest(b.mail_ids) AS u(id)
    WHERE b.state <> 'unknown' AND u.id < %(before)s
) t
JOIN atum.mail m ON m.id = t.mail_id
WHERE (m.send_at IS NULL OR m.send_at <= clock_timestamp()) AND (%(lane)s::text IS NULL OR m.lane = %(lane)s)
GROUP BY 1 ORDER BY 1
"""


def count(connection: Connection, *, before: datetime, lane: str | None) -> list[Old]:
    """Count the waiting mails that were accepted before then, by status; `posting` would be refused."""
    with connection.cursor(row_factory=args_row(Old)) as cursor:
        return cursor.execute(COUNT, {"before": first_mail_id(before), "lane": lane}).fetchall()


NEXT: Final = """
SELECT t.mail_id FROM (
    (SELECT r.mail_id FROM atum.ready r
     WHERE r.mail_id > %(last)s AND r.mail_id < %(before)s AND (%(lane)s::text IS NULL OR r.lane = %(lane)s)
     ORDER BY r.mail_id LIMIT %(limit)s)
    UNION
    (SELECT u.id FROM atum.batch b CROSS JOIN unnest(b.mail_ids) AS u(id)
     WHERE b.state <> 'unknown' AND u.id > %(last)s AND u.id < %(before)s
     ORDER BY u.id LIMIT %(limit)s)
) t
ORDER BY t.mail_id LIMIT %(limit)s
"""

FITTING: Final = """
SELECT id FROM atum.mail
WHERE id = ANY(%(ids)s) AND (send_at IS NULL OR send_at <= clock_timestamp())
      AND (%(lane)s::text IS NULL OR lane = %(lane)s)
"""


def begin(
    connection: Connection, *, before: datetime, lane: str | None, actor: str, reason: str | None
) -> Operation:
    """Begin a purge of what was accepted before then; it is audited, and can be taken up again."""
    return operations.begin(
        connection,
        KIND,
        actor=actor,
        reason=reason,
        selection={"before": before.astimezone(UTC).isoformat(), "lane": lane},
    )


def work(connection: Connection, operation: Operation, progress: Callable[[int], None]) -> Mapping[str, int]:
    """Cancel to the end, in chunks that each commit with how far it is; give what became of the mails.

    Mails come in order of their ids. Each chunk takes the locks in the order of all others: batches, mails, places in
    `ready`.
    """
    counts = Counter(operation.counts)
    before = datetime.fromisoformat(operation.selection["before"])
    last = UUID(operation.last["id"]) if operation.last else _NONE
    lane = operation.selection["lane"]
    while ids := _next(connection, last=last, before=before, lane=lane):
        counts += _chunk(connection, operation, ids, counts)
        last = ids[-1]
        progress(len(ids))
    operations.end(connection, operation.id, actor=operation.actor, counts=counts)
    return counts


def _next(connection: Connection, *, last: UUID, before: datetime, lane: str | None) -> list[UUID]:
    values = {"last": last, "before": first_mail_id(before), "lane": lane, "limit": _AT_ONCE}
    with connection.cursor(row_factory=tuple_row) as cursor:
        return [mail_id for (mail_id,) in cursor.execute(NEXT, values)]


def _chunk(
    connection: Connection, operation: Operation, ids: Sequence[UUID], so_far: Counter[str]
) -> Counter[str]:
    values = {"ids": list(ids), "lane": operation.selection["lane"]}
    for _ in range(_TRIES):
        with connection.transaction():
            fitting = [row[0] for row in connection.execute(FITTING, values).fetchall()]
            done = _cancel(connection, fitting, operation)
            if done is not None:
                operations.advance(connection, operation.id, last={"id": str(ids[-1])}, counts=so_far + done)
                return done
    # A relay that always is faster: what it has taken is found in its batches at the next purge.
    done = Counter({LEFT: len(ids)})
    operations.advance(connection, operation.id, last={"id": str(ids[-1])}, counts=so_far + done)
    return done


def _cancel(connection: Connection, ids: Sequence[UUID], operation: Operation) -> Counter[str] | None:
    owned = moves.lock_with_owners(connection, ids)
    if owned is None:
        return None
    holders, locked = owned
    posting = _mails(holder for holder in holders if holder.state == "posting")
    unknown = _mails(holder for holder in holders if holder.state == "unknown")
    going = {
        mail.mail_id: mail.status
        for mail in locked
        if mail.status in _CANCELABLE and mail.mail_id not in posting | unknown
    }
    for holder in holders:
        rest = [mail_id for mail_id in holder.mail_ids if mail_id not in going]
        if holder.state not in {"posting", "unknown"}:
            moves.shrink_batch(connection, batch=holder.id, rest=rest, held=len(holder.mail_ids))
    detail = f"purged by {operation.actor}"
    moves.apply(
        connection,
        [
            Move(mail_id, status, Cause.CANCELED, reason="purged", detail=detail)
            for mail_id, status in going.items()
        ],
    )
    refused = sum(mail_id in posting for mail_id in ids)
    return +Counter({CANCELED: len(going), REFUSED: refused, LEFT: len(ids) - len(going) - refused})


def _mails(holders: Any) -> set[UUID]:
    return {mail_id for holder in holders for mail_id in _ids(holder)}


def _ids(holder: Holder) -> list[UUID]:
    return holder.mail_ids
