"""Carrying out orders on mails. Lock order: batch, mail by id, ready."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from psycopg.rows import args_row

from atum_ops.mails.deciding import Done, Order, Target, decide
from atum_schema import audit, moves

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from atum_ops.mails.deciding import Nothing, Refused
    from atum_schema.database import Connection
    from atum_schema.moves import Holder


class About(NamedTuple):
    """What an order has to know of a locked mail."""

    id: UUID
    waits_s: float
    unresolved: int
    has_content: bool


ABOUT = """
SELECT m.id, greatest(0, coalesce(extract(epoch FROM m.send_at - clock_timestamp()), 0))::float8 AS waits_s,
       (SELECT count(*) FROM atum.attempt a WHERE a.mail_id = m.id AND a.outcome = 'unknown') AS unresolved,
       EXISTS (SELECT FROM atum.content c WHERE c.mail_id = m.id) AS has_content
FROM atum.mail m WHERE m.id = ANY(%(ids)s)
"""


def targets(connection: Connection, ids: Sequence[UUID]) -> tuple[list[Holder], list[Target]] | None:
    """Lock mails with whatever holds them, and look at them; None: begin again in a new transaction."""
    owned = moves.lock_with_owners(connection, ids)
    if owned is None:
        return None
    holders, locked = owned
    posting = {mail for holder in holders if holder.state == "posting" for mail in holder.mail_ids}
    travelling = {mail for holder in holders if holder.state != "unknown" for mail in holder.mail_ids}
    with connection.cursor(row_factory=args_row(About)) as cursor:
        rows = cursor.execute(ABOUT, {"ids": list(ids)}).fetchall()
    about = {row.id: row for row in rows}
    return holders, [
        Target(
            id=mail.mail_id,
            status=mail.status,
            posting=mail.mail_id in posting,
            travelling=mail.mail_id in travelling,
            waits_s=about[mail.mail_id].waits_s,
            unresolved=about[mail.mail_id].unresolved,
            crashes=mail.crashes,
            has_content=about[mail.mail_id].has_content,
        )
        for mail in locked
    ]


HURRY = """
WITH hurried AS (
    UPDATE atum.ready SET due_at = clock_timestamp() WHERE mail_id = ANY(%(ids)s)
), changed AS (
    UPDATE atum.mail SET due_at = clock_timestamp() WHERE id = ANY(%(ids)s)
)
SELECT count(pg_notify('atum_ready', '')) FROM atum.sleeper WHERE until > now() AND for_mail
"""


def carry_out(
    connection: Connection, order: Order, ids: Sequence[UUID], *, by: str, sure: bool
) -> dict[UUID, Done | Nothing | Refused] | None:
    """Carry out an order on mails in the caller's transaction; give what became of each that exists.

    A batch without a posting mark gives up the mails that leave it, so that no later POST is made of them. None when
    a relay has moved one meanwhile: begin again in a new transaction.
    """
    found = targets(connection, ids)
    if found is None:
        return None
    holders, mails = found
    answers = {mail.id: decide(order, mail, by=by, sure=sure) for mail in mails}
    done = [answer for answer in answers.values() if isinstance(answer, Done)]
    leaving = {answer.move.mail_id for answer in done if not answer.hurry}
    for holder in holders:
        rest = [mail for mail in holder.mail_ids if mail not in leaving]
        moves.shrink_batch(connection, batch=holder.id, rest=rest, held=len(holder.mail_ids))
    moves.apply(connection, [answer.move for answer in done])
    hurried = [answer.move.mail_id for answer in done if answer.hurry]
    if hurried:
        connection.execute(HURRY, {"ids": hurried})
    return answers


def record(connection: Connection, order: Order, done: Sequence[UUID], *, by: str, note: str | None) -> None:
    """Record an order on single mails, once for each."""
    words = {} if note is None else {"note": note}
    audit.record(
        connection, f"operator:{by}", f"mail.{order.value}", *[{"mail": str(mail)} | words for mail in done]
    )
