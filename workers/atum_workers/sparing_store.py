"""Leaving suppressed recipients out of a claimed batch. Lock order: batch, mail by id."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg.rows import tuple_row

from atum_schema import arrays, moves
from atum_schema.moves import Move
from atum_schema.status import Cause
from atum_workers import sparing
from atum_workers.store import LOCK_CLAIMED

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from uuid import UUID

    from atum_schema.database import Connection
    from atum_schema.document_content import Content
    from atum_workers.sparing import Spared

SUPPRESSED = """
SELECT s.stream, s.address
FROM unnest(%(streams)s::text[], %(addresses)s::text[]) AS r(stream, address)
JOIN atum.suppression s ON s.stream = r.stream AND s.address = r.address
WHERE s.suppressed
"""


def suppressed(connection: Connection, recipients: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
    """Give those of the recipients, each with the stream, that must not be mailed now."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        arrays.register(cursor)
        values = {
            "streams": arrays.Texts([stream for stream, _ in recipients]),
            "addresses": arrays.Texts([address for _, address in recipients]),
        }
        return set(cursor.execute(SUPPRESSED, values).fetchall())


def leave_out(
    connection: Connection, *, batch: UUID, token: UUID, contents: Mapping[UUID, Content]
) -> dict[UUID, Content | None]:
    """Leave suppressed recipients out of the mails of a claimed batch; give what is left of the mails concerned.

    A mail of which nothing is left is taken out of the batch. Nothing is written if the claim is no longer ours. No
    POST was made.
    """
    out = suppressed(connection, sparing.recipients(contents.values()))
    spared = {
        mail_id: each
        for mail_id, content in contents.items()
        if (each := sparing.spare(content, out)) is not None
    }
    if spared:
        _write(connection, batch, token, spared)
    return {mail_id: each.content for mail_id, each in spared.items()}


# A batch that is given back before its POST comes here again: what it did is said once.
NOTE_LEFT_OUT = """
INSERT INTO atum.recipient_event (mail_id, recipient, kind, fact, source)
SELECT mail_id, recipient, 'suppressed', %(batch)s::uuid::text, 'worker'
FROM unnest(%(ids)s::uuid[], %(recipients)s::text[]) AS r(mail_id, recipient)
ON CONFLICT DO NOTHING
RETURNING mail_id
"""


def _write(connection: Connection, batch: UUID, token: UUID, spared: Mapping[UUID, Spared]) -> None:
    with connection.transaction(), connection.cursor(row_factory=tuple_row) as cursor:
        arrays.register(cursor)
        row = cursor.execute(LOCK_CLAIMED, {"batch": batch, "token": token}).fetchone()
        held: set[UUID] = set() if row is None else set(row[0])
        locked = moves.lock(connection, held & spared.keys())
        pairs = [(mail.mail_id, address) for mail in locked for address in spared[mail.mail_id].left_out]
        values = {
            "batch": batch,
            "ids": arrays.Uuids([mail_id for mail_id, _ in pairs]),
            "recipients": arrays.Texts([address for _, address in pairs]),
        }
        new = {mail_id for (mail_id,) in cursor.execute(NOTE_LEFT_OUT, values)}
        gone = {mail.mail_id for mail in locked if spared[mail.mail_id].content is None}
        moves.apply(
            connection,
            [
                _move(mail.mail_id, mail.status, batch, spared[mail.mail_id])
                for mail in locked
                if mail.mail_id in gone | new
            ],
        )
        moves.shrink_batch(connection, batch=batch, rest=sorted(held - gone), held=len(held))


def _move(mail_id: UUID, was: str, batch: UUID, spared: Spared) -> Move:
    return Move(
        mail_id,
        was,
        Cause.SUPPRESSED if spared.content is None else Cause.PARTLY_SUPPRESSED,
        reason="suppressed",
        detail=spared.detail,
        batch_id=batch,
    )
