"""What an application asks of the log: SQL beside the function that runs it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from atum_schema import moves
from atum_schema.errors import MailNotFound
from atum_schema.moves import Move
from atum_schema.script import Statement
from atum_schema.status import Cause, Status

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from atum_schema.script import Script

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


@dataclass(frozen=True, slots=True, kw_only=True)
class MailState:
    """Where a mail is, and why."""

    id: UUID
    status: Status
    #: Why, in a stable word (None while nothing went wrong).
    reason: str | None
    #: Why, for people; never an address or a body.
    detail: str | None
    #: Provider's MessageID, once acceptance is proven.
    provider_message_id: str | None
    accepted_at: datetime
    #: When the next attempt is due, while it waits for one.
    due_at: datetime | None
    #: When it was sent or reached another end.
    finished_at: datetime | None


def looking_up(mail_id: UUID) -> Script[MailState]:
    """Give the state of a mail. Raises `MailNotFound`."""
    rows = yield Statement(STATE, {"id": mail_id})
    if not rows:
        raise MailNotFound(f"no mail has the id {mail_id}")
    ((found, status, *rest),) = rows
    names = ("reason", "detail", "provider_message_id", "accepted_at", "due_at", "finished_at")
    return MailState(id=found, status=Status(status), **dict(zip(names, rest, strict=True)))


_CANCELABLE = frozenset({"queued", "scheduled", "retrying", "held"})


def canceling(mail_id: UUID) -> Script[bool]:
    """Cancel the mail, in the caller's transaction, if no POST of it is under way or unresolved.

    A batch that holds the mail and has no posting mark gives it up. False when a relay has just moved it: begin again
    in a new transaction. Raises `MailNotFound`.
    """
    owned = yield from moves.locking_with_owners([mail_id])
    if owned is None:
        return False
    holders, locked = owned
    if not locked:
        raise MailNotFound(f"no mail has the id {mail_id}")
    (mail,) = locked
    if mail.status not in _CANCELABLE or any(holder.state == "posting" for holder in holders):
        return True
    for holder in holders:
        rest = [other for other in holder.mail_ids if other != mail_id]
        yield from moves.shrinking_batch(batch=holder.id, rest=rest, held=len(holder.mail_ids))
    yield from moves.applying([Move(mail_id, mail.status, Cause.CANCELED, reason="canceled")])
    return True
