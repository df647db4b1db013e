"""The one insert: how a mail enters the log, whatever way in it took.

`prepare` is pure: it turns checked mails into rows (lane chosen, content encrypted, id assigned). `insert`
runs one statement per chunk, so a chunk is stored whole or not at all.

A key is what makes repeating safe. An application's own `idempotency_key` lives in atum.idempotency, unique
per client. A mail without one has its id as key, written `mail:<id>`: the log's primary key is then the memory,
at no cost for those who never repeat.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import UUID

import orjson
import psycopg
from psycopg.rows import tuple_row

from atum_schema import arrays
from atum_schema.document import content_of, encode
from atum_schema.errors import IdempotencyConflict, MailRejected
from atum_schema.ids import new_mail_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from atum_schema.addresses import Address
    from atum_schema.database import Connection
    from atum_schema.encryption import Keyring
    from atum_schema.mail import Mail

CHUNK: Final = 500
"""Mails per statement."""

_OWN_KEY: Final = "mail:"


class Row(NamedTuple):
    """A mail ready to be stored."""

    mail: Mail
    #: Its id, unless its key is known already.
    id: UUID
    #: The application's own idempotency key, if it gave one.
    own_key: str | None
    lane: str
    #: Bytes before encryption.
    size: int
    #: Encrypted content.
    body: bytes
    #: SHA-256 of everything that was enqueued; empty where no application's key needs comparing.
    fingerprint: bytes

    @property
    def key(self) -> str:
        """The key under which repeating is safe: the application's own, or `mail:<id>`."""
        return f"{_OWN_KEY}{self.id}" if self.own_key is None else self.own_key


@dataclass(frozen=True, slots=True, kw_only=True)
class LanePolicy:
    """How a mail finds its lane."""

    #: Known lanes, the first one is the default.
    names: tuple[str, ...]

    def choose(self, mail: Mail) -> str:
        """Give the mail's lane: its own, else the lane named like its stream, else the first one.

        Raises `MailRejected` when the mail names a lane that does not exist.
        """
        if mail.lane is not None:
            if mail.lane not in self.names:
                raise MailRejected("lane", f"is {mail.lane!r}, must be one of {', '.join(self.names)}")
            return mail.lane
        return mail.stream if mail.stream in self.names else self.names[0]


def prepare(
    mails: Sequence[Mail], *, lanes: LanePolicy, keyring: Keyring, keys: Sequence[str] = ()
) -> list[Row]:
    """Turn mails into rows; `keys` (from `EnqueueUncertain`) repeats an earlier call, in the same order.

    Raises `MailRejected` for an unknown lane, with the mail's index if there are several.
    """
    rows = []
    for place, mail in enumerate(mails):
        try:
            lane = lanes.choose(mail)
        except MailRejected as rejection:
            raise rejection.at(place) if len(mails) > 1 else rejection from None
        rows.append(_row(mail, lane, keyring, keys[place] if keys else mail.idempotency_key))
    return rows


def _row(mail: Mail, lane: str, keyring: Keyring, key: str | None) -> Row:
    own = key is None or key.startswith(_OWN_KEY)
    mail_id = UUID(key[len(_OWN_KEY) :]) if key is not None and own else new_mail_id()
    content = content_of(mail)
    return Row(
        mail,
        mail_id,
        None if own else key,
        lane,
        len(content),
        keyring.encrypt(mail_id, content),
        b"" if own else _fingerprint(mail, lane),
    )


def _fingerprint(mail: Mail, lane: str) -> bytes:
    # Of what was handed over, not of what is stored: derived text may change with the library that makes it.
    return hashlib.sha256(encode(mail) + lane.encode()).digest()


INSERT: Final = """
WITH input AS (
    SELECT *
    FROM unnest(%(ids)s::uuid[], %(lanes)s::text[], %(streams)s::text[], %(on_unknown)s::text[],
                %(senders)s::text[], %(to_lines)s::text[], %(cc_lines)s::text[], %(bcc_lines)s::text[],
                %(subjects)s::text[], %(tags)s::text[], %(metadata)s::text[], %(sizes)s::int[],
                %(send_at)s::timestamptz[], %(expires_at)s::timestamptz[])
        AS t(id, lane, stream, on_unknown, sender, to_line, cc_line, bcc_line, subject, tag, metadata, size,
             send_at, expires_at)
), stored AS (
    INSERT INTO atum.mail (id, client, lane, stream, status, on_unknown, sender, to_line, cc_line, bcc_line,
                           subject, tag, metadata, size, send_at, expires_at)
    SELECT id, %(client)s, lane, stream, CASE WHEN send_at > now() THEN 'scheduled' ELSE 'queued' END, on_unknown,
           sender, to_line, cc_line, bcc_line, subject, tag, metadata::jsonb, size, send_at, expires_at
    FROM input
), kept AS (
    INSERT INTO atum.content (mail_id, key_id, body)
    SELECT id, %(key_id)s, body FROM unnest(%(ids)s::uuid[], %(bodies)s::bytea[]) AS t(id, body)
), explained AS (
    INSERT INTO atum.event (mail_id, cause, to_status)
    SELECT id, CASE WHEN send_at > now() THEN 'accepted_for_later' ELSE 'accepted' END,
           CASE WHEN send_at > now() THEN 'scheduled' ELSE 'queued' END
    FROM input
), waiting AS (
    INSERT INTO atum.ready (mail_id, lane, due_at, size)
    SELECT id, lane, greatest(send_at, clock_timestamp()), size FROM input
)
SELECT pg_notify('atum_ready', '') FROM atum.sleeper WHERE for_mail AND until > now() LIMIT 1
"""

REMEMBER = """
INSERT INTO atum.idempotency (client, key, fingerprint, mail_id)
SELECT %(client)s, key, fingerprint, mail_id
FROM unnest(%(keys)s::text[], %(fingerprints)s::bytea[], %(ids)s::uuid[]) AS t(key, fingerprint, mail_id)
ORDER BY key
ON CONFLICT (client, key) DO NOTHING
"""

RECALL = """
SELECT key, fingerprint, mail_id FROM atum.idempotency WHERE client = %(client)s AND key = ANY(%(keys)s)
"""

KNOWN_IDS = "SELECT id FROM atum.mail WHERE id = ANY(%(ids)s)"


def insert(
    connection: Connection, rows: Sequence[Row], *, client: str, key_id: str, repeats: bool
) -> list[UUID]:
    """Store the rows in the connection's transaction; give their ids in order.

    A row whose key is known is not stored again: its place holds the first mail's id. `repeats` says that the
    rows may have been stored by an earlier, uncertain call. Raises `IdempotencyConflict` when a key is known with
    other content. The caller provides a transaction if there are keys or more than one chunk.
    """
    # An application's own connection may have other factories; ours must not depend on them.
    with psycopg.Cursor(connection, row_factory=tuple_row) as cursor:
        arrays.register(cursor)
        known = _recall(cursor, rows, client) | (_stored_before(cursor, rows) if repeats else {})
        fresh = [row for row in rows if row.key not in known] if known else rows
        for start in range(0, len(fresh), CHUNK):
            cursor.execute(INSERT, _columns(fresh[start : start + CHUNK], client, key_id))
    return [known.get(row.key, row.id) for row in rows] if known else [row.id for row in rows]


def needs_transaction(rows: Sequence[Row]) -> bool:
    """Whether storing the rows takes more than one statement."""
    return len(rows) > CHUNK or any(row.fingerprint for row in rows)


def _recall(cursor: psycopg.Cursor[Any], rows: Sequence[Row], client: str) -> dict[str, UUID]:
    keyed = {row.key: row for row in rows if row.fingerprint}
    if not keyed:
        return {}
    _refuse_twice_in_one_call(rows, keyed, client)
    columns = {
        "client": client,
        "keys": arrays.Texts(list(keyed)),
        "fingerprints": arrays.Bytes([row.fingerprint for row in keyed.values()]),
        "ids": arrays.Uuids([row.id for row in keyed.values()]),
    }
    cursor.execute(REMEMBER, columns)
    if cursor.rowcount == len(keyed):
        return {}
    known: dict[str, UUID] = {}
    for key, fingerprint, mail_id in cursor.execute(RECALL, {"client": client, "keys": list(keyed)}):
        if bytes(fingerprint) != keyed[key].fingerprint:
            raise IdempotencyConflict(client, key)
        if mail_id != keyed[key].id:
            known[key] = mail_id
    return known


def _refuse_twice_in_one_call(rows: Sequence[Row], keyed: dict[str, Row], client: str) -> None:
    # The same key twice in one list would store one mail and give two answers for it.
    if len(keyed) != sum(bool(row.fingerprint) for row in rows):
        seen: set[str] = set()
        for place, row in enumerate(rows):
            if row.key in seen:
                raise MailRejected(
                    "idempotency_key",
                    f"{row.key!r} of client {client!r} appears twice in one list",
                    index=place,
                )
            seen.add(row.key)


def _stored_before(cursor: psycopg.Cursor[Any], rows: Sequence[Row]) -> dict[str, UUID]:
    ids = [row.id for row in rows if not row.fingerprint]
    return {f"{_OWN_KEY}{found}": found for (found,) in cursor.execute(KNOWN_IDS, {"ids": ids})}


def _columns(rows: Sequence[Row], client: str, key_id: str) -> dict[str, Any]:
    mails = [row.mail for row in rows]
    return {
        "client": client,
        "key_id": key_id,
        "ids": arrays.Uuids([row.id for row in rows]),
        "lanes": arrays.Texts([row.lane for row in rows]),
        "sizes": arrays.Ints([row.size for row in rows]),
        "bodies": arrays.Bytes([row.body for row in rows]),
        "streams": arrays.Texts([mail.stream for mail in mails]),
        "on_unknown": arrays.Texts([mail.on_unknown and mail.on_unknown.value for mail in mails]),
        "senders": arrays.Texts([str(mail.sender) for mail in mails]),
        "to_lines": arrays.Texts([_line(mail.to) for mail in mails]),
        "cc_lines": arrays.Texts([_line(mail.cc) for mail in mails]),
        "bcc_lines": arrays.Texts([_line(mail.bcc) for mail in mails]),
        "subjects": arrays.Texts([mail.subject for mail in mails]),
        "tags": arrays.Texts([mail.tag for mail in mails]),
        "metadata": arrays.Texts([_json(mail) for mail in mails]),
        "send_at": arrays.Times([mail.send_at for mail in mails]),
        "expires_at": arrays.Times([mail.expires_at for mail in mails]),
    }


def _line(addresses: tuple[Address, ...]) -> str | None:
    if len(addresses) == 1:
        return str(addresses[0])
    return ", ".join(map(str, addresses)) or None


def _json(mail: Mail) -> str | None:
    return orjson.dumps(dict(mail.metadata)).decode() if mail.metadata else None
