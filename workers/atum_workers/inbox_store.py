"""What applying events reads and writes. Lock order: webhook_inbox, suppression, batch, mail by id, ready."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from psycopg.rows import args_row, tuple_row

from atum_schema import arrays

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime
    from uuid import UUID

    from atum_schema.database import Connection


class Taken(NamedTuple):
    """An event that is to be applied, locked."""

    id: UUID
    source: str
    #: How often no mail was found for it.
    tries: int
    received_at: datetime
    #: Seconds since then.
    age: float
    key_id: str
    body: bytes


TAKE = """
SELECT id, source, tries, received_at, extract(epoch FROM clock_timestamp() - received_at)::float8 AS age, key_id, body
FROM atum.webhook_inbox
WHERE state IN ('new', 'parked') AND due_at <= clock_timestamp()
ORDER BY due_at LIMIT %(limit)s
FOR UPDATE SKIP LOCKED
"""


def take(connection: Connection, *, limit: int) -> list[Taken]:
    """Lock the events that have been due for longest."""
    with connection.cursor(row_factory=args_row(Taken), binary=True) as cursor:
        return cursor.execute(TAKE, {"limit": limit}).fetchall()


TAKE_THESE = """
SELECT id, source, tries, received_at, extract(epoch FROM clock_timestamp() - received_at)::float8 AS age, key_id, body
FROM atum.webhook_inbox
WHERE state IN ('new', 'parked') AND id = ANY(%(ids)s)
ORDER BY id FOR UPDATE SKIP LOCKED
"""


def take_these(connection: Connection, ids: Collection[UUID]) -> list[Taken]:
    """Lock those of the events that still wait."""
    with connection.cursor(row_factory=args_row(Taken), binary=True) as cursor:
        return cursor.execute(TAKE_THESE, {"ids": list(ids)}).fetchall()


class Settled(NamedTuple):
    """What became of an event."""

    id: UUID
    state: str
    kind: str | None = None
    reason: str | None = None
    mail_id: UUID | None = None
    #: Seconds until it is looked at again, while it waits.
    due_s: float | None = None


SETTLE = """
UPDATE atum.webhook_inbox i
SET state = t.state, kind = t.kind, reason = t.reason, mail_id = t.mail_id, tries = i.tries + 1,
    due_at = CASE WHEN t.due_s IS NULL THEN i.due_at ELSE clock_timestamp() + make_interval(secs => t.due_s) END,
    done_at = CASE WHEN t.due_s IS NULL THEN clock_timestamp() END
FROM unnest(%(ids)s::uuid[], %(states)s::text[], %(kinds)s::text[], %(reasons)s::text[], %(mail_ids)s::uuid[],
            %(due_s)s::float8[]) AS t(id, state, kind, reason, mail_id, due_s)
WHERE i.id = t.id
"""


def settle(connection: Connection, settled: Sequence[Settled]) -> None:
    """Write what became of locked events."""
    with connection.cursor() as cursor:
        arrays.register(cursor)
        cursor.execute(
            SETTLE,
            {
                "ids": arrays.Uuids([each.id for each in settled]),
                "states": arrays.Texts([each.state for each in settled]),
                "kinds": arrays.Texts([each.kind for each in settled]),
                "reasons": arrays.Texts([each.reason for each in settled]),
                "mail_ids": [each.mail_id for each in settled],
                "due_s": arrays.Floats([each.due_s for each in settled]),
            },
        )


PUT_OFF = """
UPDATE atum.webhook_inbox SET due_at = clock_timestamp() + make_interval(secs => %(seconds)s) WHERE id = ANY(%(ids)s)
"""


def put_off(connection: Connection, ids: Collection[UUID], *, seconds: float) -> None:
    """Keep locked events from others for a while."""
    connection.execute(PUT_OFF, {"ids": list(ids), "seconds": seconds})


class Fact(NamedTuple):
    """What is known of one recipient of one mail."""

    mail_id: UUID
    recipient: str
    kind: str
    #: Tells facts of one kind apart.
    fact: str
    told_at: datetime | None
    source: str
    message_id: str | None
    code: int | None
    detail: str | None


# In the order of the key, so that two writers never wait for each other in a circle.
NOTE = """
INSERT INTO atum.recipient_event (mail_id, recipient, kind, fact, told_at, source, message_id, code, detail)
SELECT mail_id, recipient, kind, fact, told_at, source, message_id, code, detail
FROM unnest(%(mail_ids)s::uuid[], %(recipients)s::text[], %(kinds)s::text[], %(facts)s::text[],
            %(told_at)s::timestamptz[], %(sources)s::text[], %(message_ids)s::text[], %(codes)s::int[],
            %(details)s::text[])
    AS t(mail_id, recipient, kind, fact, told_at, source, message_id, code, detail)
ORDER BY mail_id, recipient, kind, fact
ON CONFLICT (mail_id, recipient, kind, fact) DO NOTHING
RETURNING mail_id, recipient, kind, fact
"""


def note(connection: Connection, facts: Sequence[Fact]) -> set[tuple[UUID, str, str, str]]:
    """Write facts; give the keys (mail, recipient, kind, fact) of those that were not known."""
    if not facts:
        return set()
    with connection.cursor(row_factory=tuple_row) as cursor:
        arrays.register(cursor)
        values = {
            "mail_ids": arrays.Uuids([each.mail_id for each in facts]),
            "recipients": arrays.Texts([each.recipient for each in facts]),
            "kinds": arrays.Texts([each.kind for each in facts]),
            "facts": arrays.Texts([each.fact for each in facts]),
            "told_at": [each.told_at for each in facts],
            "sources": arrays.Texts([each.source for each in facts]),
            "message_ids": arrays.Texts([each.message_id for each in facts]),
            "codes": arrays.Ints([each.code for each in facts]),
            "details": arrays.Texts([each.detail for each in facts]),
        }
        return set(cursor.execute(NOTE, values).fetchall())


class About(NamedTuple):
    """What an event may lack, and its mail knows."""

    id: UUID
    stream: str
    #: All recipients, as a line of mailboxes.
    recipients: str


ABOUT = """
SELECT id, stream, concat_ws(', ', to_line, cc_line, bcc_line) AS recipients FROM atum.mail WHERE id = ANY(%(ids)s)
"""


def about(connection: Connection, ids: Collection[UUID]) -> dict[UUID, About]:
    """Give stream and recipients of mails; those that do not exist are left out."""
    if not ids:
        return {}
    with connection.cursor(row_factory=args_row(About)) as cursor:
        return {row.id: row for row in cursor.execute(ABOUT, {"ids": list(ids)})}
