"""What an application asks of the log: SQL beside the function that runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.rows import dict_row

from atum_schema import moves
from atum_schema.moves import Move
from atum_schema.status import Cause, Status

if TYPE_CHECKING:
    from uuid import UUID

# `sending` is derived: the mail is in a batch in flight. The table of batches is as small as the window.
STATE = """
SELECT m.id,
       CASE
           WHEN m.status IN ('queued', 'scheduled', 'retrying') AND EXISTS (
               SELECT FROM atum.batch b WHERE b.mail_ids @> ARRAY[m.id] AND b.state <> 'unknown') THEN 'sending'
           WHEN m.status = 'scheduled' AND m.send_at <= now() THEN 'queued'
           ELSE m.status
       END AS status,
       m.reason, m.detail, m.provider_message_id, m.accepted_at, m.due_at, m.finished_at
FROM atum.mail m
WHERE m.id = %(id)s
"""


def state(connection: psycopg.Connection[Any], mail_id: UUID) -> dict[str, Any] | None:
    """Give the row of `MailState`, or None."""
    with psycopg.Cursor(connection, row_factory=dict_row) as cursor:
        row = cursor.execute(STATE, {"id": mail_id}).fetchone()
    return None if row is None else {**row, "status": Status(row["status"])}


_CANCELABLE = frozenset({"queued", "scheduled", "retrying", "held"})


def cancel(connection: psycopg.Connection[Any], mail_id: UUID) -> bool:
    """Cancel the mail if no POST of it is under way or unresolved; False if there is no such mail.

    A batch that holds the mail and has no posting mark gives it up.
    """
    while True:
        with connection.transaction():
            owned = moves.lock_with_owners(connection, [mail_id])
            if owned is None:
                continue
            holders, locked = owned
            if not locked:
                return False
            (mail,) = locked
            if mail.status not in _CANCELABLE or any(holder.state == "posting" for holder in holders):
                return True
            for holder in holders:
                rest = [other for other in holder.mail_ids if other != mail_id]
                moves.shrink_batch(connection, batch=holder.id, rest=rest, held=len(holder.mail_ids))
            moves.apply(connection, [Move(mail_id, mail.status, Cause.CANCELED, reason="canceled")])
            return True
