"""Sending a mail again: the new one is stored, linked and explained in one transaction."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from psycopg.rows import args_row, tuple_row

from atum_ops.mails import resending
from atum_ops.mails.why_store import children as children_of
from atum_schema import audit, moves
from atum_schema.accept import Accepted, accepting
from atum_schema.acceptance import LanePolicy, Offer, prepare
from atum_schema.addresses import folded
from atum_schema.document_content import decode_content, mail_of
from atum_schema.errors import AtumError, MailNotFound
from atum_schema.mail_options import OnUnknown
from atum_schema.moves import Move
from atum_schema.script import run
from atum_schema.status import Cause
from atum_workers import sparing_store

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from atum_ops.mails.resending import Difference, Overrides
    from atum_schema.database import Connection
    from atum_schema.encryption import Keyring
    from atum_schema.mail import Mail


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A mail that is to be sent again, by whom and how."""

    mail_id: UUID
    overrides: Overrides
    by: str
    note: str | None = None
    #: Whether a second copy is wanted, and whether others than before may get it.
    again: bool = False
    recipients_may_change: bool = False


class Resent(NamedTuple):
    """What came of it, or would."""

    #: The new mail; None where nothing was to be done.
    id: UUID | None
    #: Whether the same order made it before.
    before: bool
    differences: list[Difference]


class Origin(NamedTuple):
    """What the log has of the old mail."""

    client: str
    lane: str
    status: str
    on_unknown: str | None
    #: When it expires, if that is still to come.
    expires_at: datetime | None
    key_id: str | None
    body: bytes | None


ORIGIN = """
SELECT m.client, m.lane, m.status, m.on_unknown,
       CASE WHEN m.expires_at > clock_timestamp() THEN m.expires_at END AS expires_at, c.key_id, c.body
FROM atum.mail m LEFT JOIN atum.content c ON c.mail_id = m.id
WHERE m.id = %(id)s
"""

KNOWN = "SELECT mail_id FROM atum.idempotency WHERE client = %(client)s AND key = %(key)s"

LINK = """
WITH bound AS (
    UPDATE atum.ready SET account = %(account)s::text WHERE mail_id = %(id)s
)
UPDATE atum.mail SET resent_from = %(old)s, account = %(account)s::text WHERE id = %(id)s
"""


def resend(
    connection: Connection, order: Order, *, keyring: Keyring, lanes: Sequence[str], dry_run: bool
) -> Resent:
    """Send a mail again, in the caller's transaction, or say what that would be.

    The same order twice is one new mail, unless `again` or the new one has failed. Raises `MailNotFound`,
    `MailRejected` for a bad override, `ContentUnreadable`, and `AtumError` for whatever stands against it.
    """
    locked = moves.lock(connection, [order.mail_id])
    origin = _origin(connection, order.mail_id)
    if not locked or origin is None:
        raise MailNotFound(f"no mail has the id {order.mail_id}")
    children = children_of(connection, order.mail_id)
    # What stands against it for good comes first, then what can be overruled.
    resending.check_content(order.mail_id, origin.status, there=origin.body is not None)
    old = _old(order.mail_id, origin, keyring, lanes)
    new = resending.changed(old, order.overrides)
    found = resending.differences(old, new)
    key = resending.key(order.mail_id, new, order.overrides.account, children)
    before = None if order.again else _known(connection, origin.client, key)
    if before is not None:
        return Resent(before, before=True, differences=found)
    resending.check_status(order.mail_id, origin.status, children, again=order.again)
    resending.check_recipients(old, new, allowed=order.recipients_may_change)
    resending.check_suppressed(new.stream, _suppressed(connection, new))
    if dry_run:
        return Resent(None, before=False, differences=found)
    stored = new if order.again else replace(new, idempotency_key=key)
    new_id = _store(connection, origin.client, stored, keyring, lanes)
    connection.execute(LINK, {"id": new_id, "old": order.mail_id, "account": order.overrides.account})
    moves.apply(connection, [Move(order.mail_id, origin.status, Cause.RESENT, detail=f"as {new_id}")])
    _record(connection, order, new_id, found)
    return Resent(new_id, before=False, differences=found)


def _old(mail_id: UUID, origin: Origin, keyring: Keyring, lanes: Sequence[str]) -> Mail:
    if origin.key_id is None or origin.body is None:
        raise AssertionError("content that is gone was looked at before")
    content = decode_content(keyring.decrypt(mail_id, origin.key_id, origin.body))
    return replace(
        mail_of(content),
        # A lane that was removed leaves the choice to the settings.
        lane=origin.lane if origin.lane in lanes else None,
        on_unknown=None if origin.on_unknown is None else OnUnknown(origin.on_unknown),
        expires_at=origin.expires_at,
    )


def _store(connection: Connection, client: str, mail: Mail, keyring: Keyring, lanes: Sequence[str]) -> UUID:
    rows = prepare([mail], lanes=LanePolicy(names=tuple(lanes)), keyring=keyring)
    (answer,) = run(connection, accepting([Offer(client=client, rows=rows)], key_id=keyring.active))
    if isinstance(answer, AtumError):
        raise answer
    if not isinstance(answer, Accepted):
        raise TypeError(answer)
    return answer.ids[0]


def _record(connection: Connection, order: Order, new_id: UUID, found: Sequence[Difference]) -> None:
    different = [each.field for each in found if each.old != each.new]
    detail = {"mail": str(order.mail_id), "as": str(new_id), "changed": different, "again": order.again}
    account = {} if order.overrides.account is None else {"account": order.overrides.account}
    note = {} if order.note is None else {"note": order.note}
    audit.record(connection, f"operator:{order.by}", "mail.resent", detail | account | note)


def _origin(connection: Connection, mail_id: UUID) -> Origin | None:
    with connection.cursor(row_factory=args_row(Origin)) as cursor:
        return cursor.execute(ORIGIN, {"id": mail_id}).fetchone()


def _known(connection: Connection, client: str, key: str) -> UUID | None:
    with connection.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(KNOWN, {"client": client, "key": key}).fetchone()
    return None if row is None else row[0]


def _suppressed(connection: Connection, mail: Mail) -> list[str]:
    recipients = {(mail.stream, folded(address.email)) for address in mail.recipients}
    return sorted(address for _, address in sparing_store.suppressed(connection, recipients))
