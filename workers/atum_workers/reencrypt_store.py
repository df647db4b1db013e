"""Rows that are encrypted, and orders to encrypt them under another key.

Two tables have such rows; each has the same statements. A row is known by its key and the head of what is stored, its
version byte and nonce: whoever has changed it meanwhile wins. Nobody is waited for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, LiteralString, NamedTuple
from uuid import UUID

from psycopg.types.json import Jsonb

from atum_schema import audit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from atum_schema.database import Connection

KIND: Final = "keys.rotate"
"""The kind of operation that asks for it."""

FIRST: Final = UUID(int=0)
"""Below every id."""


class Shelf(NamedTuple):
    """A table of encrypted rows, and its statements."""

    name: str
    page: LiteralString
    fetch: LiteralString
    replace: LiteralString
    look: LiteralString


PAGE_CONTENT: Final = """
SELECT mail_id AS id, key_id, octet_length(body) AS size FROM atum.content
WHERE mail_id > %(after)s ORDER BY mail_id LIMIT %(limit)s
"""

FETCH_CONTENT: Final = """
SELECT mail_id AS id, key_id, body FROM atum.content WHERE mail_id = ANY(%(ids)s) AND key_id <> %(active)s
"""

REPLACE_CONTENT: Final = """
WITH given AS (
    SELECT id, key_id, head, body
    FROM unnest(%(ids)s::uuid[], %(key_ids)s::text[], %(heads)s::bytea[], %(bodies)s::bytea[]) AS t(id, key_id, head, body)
), mine AS (
    SELECT c.mail_id FROM given t JOIN atum.content c ON c.mail_id = t.id
    WHERE c.key_id = t.key_id AND substring(c.body FROM 1 FOR octet_length(t.head)) = t.head
    ORDER BY c.mail_id FOR UPDATE OF c SKIP LOCKED
)
UPDATE atum.content c SET key_id = %(active)s, body = t.body
FROM mine m JOIN given t ON t.id = m.mail_id WHERE c.mail_id = m.mail_id
RETURNING true
"""

LOOK_CONTENT: Final = """
SELECT key_id, count(*) FROM (
    (SELECT mail_id, key_id FROM atum.content ORDER BY mail_id LIMIT %(limit)s)
    UNION
    (SELECT mail_id, key_id FROM atum.content ORDER BY mail_id DESC LIMIT %(limit)s)
) AS ends GROUP BY key_id
"""

PAGE_EVENTS: Final = """
SELECT id, key_id, octet_length(body) AS size FROM atum.webhook_inbox
WHERE id > %(after)s ORDER BY id LIMIT %(limit)s
"""

FETCH_EVENTS: Final = """
SELECT id, key_id, body FROM atum.webhook_inbox WHERE id = ANY(%(ids)s) AND key_id <> %(active)s
"""

REPLACE_EVENTS: Final = """
WITH given AS (
    SELECT id, key_id, head, body
    FROM unnest(%(ids)s::uuid[], %(key_ids)s::text[], %(heads)s::bytea[], %(bodies)s::bytea[]) AS t(id, key_id, head, body)
), mine AS (
    SELECT i.id FROM given t JOIN atum.webhook_inbox i ON i.id = t.id
    WHERE i.key_id = t.key_id AND substring(i.body FROM 1 FOR octet_length(t.head)) = t.head
    ORDER BY i.id FOR UPDATE OF i SKIP LOCKED
)
UPDATE atum.webhook_inbox i SET key_id = %(active)s, body = t.body
FROM mine m JOIN given t ON t.id = m.id WHERE i.id = m.id
RETURNING true
"""

LOOK_EVENTS: Final = """
SELECT key_id, count(*) FROM (
    (SELECT id, key_id FROM atum.webhook_inbox ORDER BY id LIMIT %(limit)s)
    UNION
    (SELECT id, key_id FROM atum.webhook_inbox ORDER BY id DESC LIMIT %(limit)s)
) AS ends GROUP BY key_id
"""

SHELVES: Final = (
    Shelf("content", PAGE_CONTENT, FETCH_CONTENT, REPLACE_CONTENT, LOOK_CONTENT),
    Shelf("events", PAGE_EVENTS, FETCH_EVENTS, REPLACE_EVENTS, LOOK_EVENTS),
)


class Seen(NamedTuple):
    """An encrypted row, without what is in it."""

    id: UUID
    key_id: str
    #: Bytes.
    size: int


def page(connection: Connection, shelf: Shelf, *, after: UUID, limit: int) -> list[Seen]:
    """Give the next rows by id, at most so many. What is in them is not read."""
    return [Seen(*row) for row in connection.execute(shelf.page, {"after": after, "limit": limit})]


class Sealed(NamedTuple):
    """An encrypted row."""

    id: UUID
    key_id: str
    body: bytes


def fetch(connection: Connection, shelf: Shelf, ids: Sequence[UUID], *, active: str) -> list[Sealed]:
    """Give those of the rows that are there and not under the active key."""
    values = {"ids": list(ids), "active": active}
    return [Sealed(*row) for row in connection.execute(shelf.fetch, values, binary=True)]


def replace(
    connection: Connection,
    shelf: Shelf,
    rows: Sequence[tuple[Sealed, bytes]],
    *,
    active: str,
    head: int,
) -> int:
    """Put what is encrypted anew in the place of what was read; give how many rows.

    A row that was changed or dropped meanwhile stays so, and one that somebody holds is left for the next time. `head`
    is the size of what tells one encryption from another.
    """
    values = {
        "ids": [row.id for row, _ in rows],
        "key_ids": [row.key_id for row, _ in rows],
        "heads": [row.body[:head] for row, _ in rows],
        "bodies": [body for _, body in rows],
        "active": active,
    }
    return connection.execute(shelf.replace, values).rowcount


def look(connection: Connection, shelf: Shelf, *, limit: int) -> dict[str, int]:
    """Count the oldest and the newest rows by their keys, at most so many of each."""
    return dict(connection.execute(shelf.look, {"limit": limit}).fetchall())


CLOCK: Final = "SELECT clock_timestamp()"


def clock(connection: Connection) -> datetime:
    """Give the time by the database."""
    ((now,),) = connection.execute(CLOCK).fetchall()
    found: datetime = now
    return found


ASKED: Final = """
SELECT count(*) FROM atum.operation
WHERE kind = 'keys.rotate' AND ended_at IS NULL AND selection ->> 'active' = %(active)s
"""


def asked(connection: Connection, *, active: str) -> bool:
    """Whether somebody has asked for a walk to this key that has not ended."""
    ((number,),) = connection.execute(ASKED, {"active": active}).fetchall()
    return bool(number)


ADVANCE: Final = """
UPDATE atum.operation SET counts = %(counts)s
WHERE kind = 'keys.rotate' AND ended_at IS NULL AND selection ->> 'active' = %(active)s
"""


def advance(connection: Connection, *, active: str, counts: Mapping[str, int]) -> None:
    """Tell those who asked how far it is."""
    connection.execute(ADVANCE, {"active": active, "counts": Jsonb(dict(counts))})


END: Final = """
UPDATE atum.operation SET counts = %(counts)s, ended_at = clock_timestamp()
WHERE kind = 'keys.rotate' AND ended_at IS NULL AND selection ->> 'active' = %(active)s AND began_at <= %(began_at)s
RETURNING id, reason
"""


def end(
    connection: Connection, *, active: str, counts: Mapping[str, int], began_at: datetime, actor: str
) -> None:
    """End what was asked for before the last pass began: it has seen everything that was there by then."""
    values = {"active": active, "counts": Jsonb(dict(counts)), "began_at": began_at}
    with connection.transaction():
        for operation, reason in connection.execute(END, values).fetchall():
            detail: dict[str, Any] = {
                "operation": str(operation),
                "reason": reason,
                "active": active,
                "counts": dict(counts),
            }
            audit.record(connection, actor, f"{KIND}.ended", detail)
