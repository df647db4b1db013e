"""What an application asks of the log: SQL beside the function that runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.rows import dict_row, tuple_row

from atum_schema.status import Status

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


# Lock order: batch, then mail. A batch that holds the mail and has no posting mark gives it up.
LOCK_BATCH = """
SELECT id, state, cardinality(mail_ids) FROM atum.batch
WHERE mail_ids @> ARRAY[%(id)s::uuid] AND state <> 'unknown'
FOR UPDATE
"""

LEAVE_BATCH = "UPDATE atum.batch SET mail_ids = array_remove(mail_ids, %(id)s) WHERE id = %(batch)s"

DELETE_BATCH = "DELETE FROM atum.batch WHERE id = %(batch)s"

LOCK_MAIL = "SELECT status FROM atum.mail WHERE id = %(id)s FOR UPDATE"

CANCEL = """
WITH freed AS (
    DELETE FROM atum.ready WHERE mail_id = %(id)s
), dropped AS (
    DELETE FROM atum.content WHERE mail_id = %(id)s
), explained AS (
    INSERT INTO atum.event (mail_id, cause, from_status, to_status) VALUES (%(id)s, 'canceled', %(was)s, 'canceled')
)
UPDATE atum.mail
SET status = 'canceled', reason = 'canceled', detail = NULL, due_at = NULL, finished_at = clock_timestamp()
WHERE id = %(id)s
"""

_CANCELABLE = frozenset({"queued", "scheduled", "retrying", "held"})


def cancel(connection: psycopg.Connection[Any], mail_id: UUID) -> bool:
    """Cancel the mail if no POST of it is under way or unresolved; False if there is no such mail.

    Between two looks the relay may move the mail from `ready` into a batch: then the batch is locked and the
    mail looked at again, in the one lock order.
    """
    while True:
        with connection.transaction(), psycopg.Cursor(connection, row_factory=tuple_row) as cursor:
            batch = cursor.execute(LOCK_BATCH, {"id": mail_id}).fetchone()
            mail = cursor.execute(LOCK_MAIL, {"id": mail_id}).fetchone()
            if mail is None:
                return False
            if mail[0] not in _CANCELABLE or (batch is not None and batch[1] == "posting"):
                return True
            if batch is None and not _is_waiting(cursor, mail_id, mail[0]):
                continue
            if batch is not None:
                statement = DELETE_BATCH if batch[2] == 1 else LEAVE_BATCH
                cursor.execute(statement, {"id": mail_id, "batch": batch[0]})
            cursor.execute(CANCEL, {"id": mail_id, "was": mail[0]})
            return True


IS_READY = "SELECT FROM atum.ready WHERE mail_id = %(id)s FOR UPDATE"


def _is_waiting(cursor: psycopg.Cursor[Any], mail_id: UUID, status: str) -> bool:
    return status == "held" or cursor.execute(IS_READY, {"id": mail_id}).fetchone() is not None
