"""The one insert: how mails enter the log, whatever way in they took.

Several offers may share one transaction, so that a server commits once for many requests. What is wrong with one of
them is its answer and does not touch the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import orjson

from atum_schema import arrays
from atum_schema.acceptance import CHUNK, OWN_KEY, Offer, Row
from atum_schema.errors import AtumError, IdempotencyConflict
from atum_schema.script import Statement

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from uuid import UUID

    from atum_schema.addresses import Address
    from atum_schema.mail import Mail
    from atum_schema.script import Script


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """An offer is in the log once the transaction commits."""

    #: Ids of its mails, in order; of a mail that was known, the first one's.
    ids: list[UUID]
    #: Whether every mail of it was known, so that nothing was stored now.
    replayed: bool


class Later(NamedTuple):
    """An offer shares a key with one before it in the same call: offer it again after the commit."""


Answer: TypeAlias = Accepted | AtumError | Later

INSERT: Final = """
WITH input AS (
    SELECT *
    FROM unnest(%(ids)s::uuid[], %(clients)s::text[], %(lanes)s::text[], %(streams)s::text[], %(on_unknown)s::text[],
                %(senders)s::text[], %(to_lines)s::text[], %(cc_lines)s::text[], %(bcc_lines)s::text[],
                %(subjects)s::text[], %(tags)s::text[], %(metadata)s::text[], %(sizes)s::int[],
                %(send_at)s::timestamptz[], %(expires_at)s::timestamptz[])
        AS t(id, client, lane, stream, on_unknown, sender, to_line, cc_line, bcc_line, subject, tag, metadata, size,
             send_at, expires_at)
), stored AS (
    INSERT INTO atum.mail (id, client, lane, stream, status, on_unknown, sender, to_line, cc_line, bcc_line,
                           subject, tag, metadata, size, send_at, expires_at)
    SELECT id, client, lane, stream, CASE WHEN send_at > now() THEN 'scheduled' ELSE 'queued' END, on_unknown,
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

REMEMBER: Final = """
INSERT INTO atum.idempotency (client, key, fingerprint, mail_id)
SELECT client, key, fingerprint, mail_id
FROM unnest(%(clients)s::text[], %(keys)s::text[], %(fingerprints)s::bytea[], %(ids)s::uuid[])
    AS t(client, key, fingerprint, mail_id)
ORDER BY client, key
ON CONFLICT (client, key) DO NOTHING
RETURNING mail_id
"""

RECALL: Final = """
SELECT i.client, i.key, i.fingerprint, i.mail_id
FROM unnest(%(clients)s::text[], %(keys)s::text[]) AS t(client, key)
JOIN atum.idempotency i ON i.client = t.client AND i.key = t.key
"""

FORGET: Final = """
DELETE FROM atum.idempotency i USING unnest(%(clients)s::text[], %(keys)s::text[]) AS t(client, key)
WHERE i.client = t.client AND i.key = t.key
"""

KNOWN_IDS: Final = "SELECT id, client, subject FROM atum.mail WHERE id = ANY(%(ids)s)"


class Remembered(NamedTuple):
    """A key that is known, and the mail that it stands for."""

    client: str
    key: str
    fingerprint: bytes
    mail_id: UUID


class Stored(NamedTuple):
    """What is compared of a mail that an id stands for."""

    id: UUID
    client: str
    subject: str


_Key: TypeAlias = tuple[str, str]


def accepting(offers: Sequence[Offer], *, key_id: str) -> Script[list[Answer]]:
    """Store the offers in the caller's transaction; give an answer for each, in order.

    A mail whose key is known with the same content is not stored again: the first mail's id is in its place. An
    offer with a key that is known with other content gets `IdempotencyConflict`, one with a key twice
    `MailRejected`; nothing of those is stored. All rows are encrypted under `key_id`. The caller provides a transaction if
    `Offer.needs_transaction`, or if there are several offers.
    """
    answers: list[Answer | None] = list(_refused_at_sight(offers))
    open_offers = [offer for offer, answer in zip(offers, answers, strict=True) if answer is None]
    known, conflicts = yield from _look_up(open_offers)
    fresh: list[tuple[str, Row]] = []
    for place, offer in enumerate(offers):
        if answers[place] is not None:
            continue
        if (conflict := conflicts.get(id(offer))) is not None:
            answers[place] = conflict
            continue
        ids = [known.get((offer.client, row.key), row.id) for row in offer.rows]
        new = [row for row in offer.rows if (offer.client, row.key) not in known]
        fresh += [(offer.client, row) for row in new]
        answers[place] = Accepted(ids=ids, replayed=not new)
    for start in range(0, len(fresh), CHUNK):
        yield Statement(INSERT, _columns(fresh[start : start + CHUNK], key_id))
    return [answer for answer in answers if answer is not None]


def _refused_at_sight(offers: Sequence[Offer]) -> Iterable[Answer | None]:
    claimed: set[_Key] = set()
    for offer in offers:
        keys = [(offer.client, row.key) for row in offer.rows if offer.repeats or row.fingerprint]
        if not keys:
            yield None
        elif (rejection := offer.twice()) is not None:
            yield rejection
        elif not claimed.isdisjoint(keys):
            yield Later()
        else:
            claimed.update(keys)
            yield None


def _look_up(offers: Sequence[Offer]) -> Script[tuple[dict[_Key, UUID], dict[int, AtumError]]]:
    """Give the mails that are known by their keys, and the offers (by identity) whose keys mean something else."""
    known: dict[_Key, UUID] = {}
    conflicts: dict[int, AtumError] = {}
    keyed = [(offer, row) for offer in offers for row in offer.rows if row.fingerprint]
    if keyed:
        remembered = yield from _remembered(keyed)
        for offer, row in keyed:
            found = remembered.get((offer.client, row.key))
            if found is not None and bytes(found.fingerprint) != row.fingerprint:
                conflicts.setdefault(id(offer), IdempotencyConflict(offer.client, row.key))
            elif found is not None:
                known[offer.client, row.key] = found.mail_id
        forgotten = [
            (offer.client, row.key)
            for offer, row in keyed
            if id(offer) in conflicts and (offer.client, row.key) not in remembered
        ]
        if forgotten:
            yield Statement(FORGET, _pairs(forgotten))
    repeated = [
        (offer, row) for offer in offers if offer.repeats for row in offer.rows if row.key.startswith(OWN_KEY)
    ]
    if repeated:
        rows = yield Statement(KNOWN_IDS, {"ids": [row.id for _, row in repeated]}, Stored)
        stored: dict[UUID, Stored] = {mail.id: mail for mail in rows}
        for offer, row in repeated:
            found_mail = stored.get(row.id)
            if found_mail is None:
                continue
            if found_mail[1:] != (offer.client, row.mail.subject):
                conflicts.setdefault(id(offer), IdempotencyConflict(offer.client, row.key))
            known[offer.client, row.key] = row.id
    return known, conflicts


def _remembered(keyed: Sequence[tuple[Offer, Row]]) -> Script[dict[_Key, Remembered]]:
    """Remember the keys that are new; give what is known of the others."""
    keys = [(offer.client, row.key) for offer, row in keyed]
    rows = yield Statement(
        REMEMBER,
        {
            **_pairs(keys),
            "fingerprints": arrays.Bytes([row.fingerprint for _, row in keyed]),
            "ids": arrays.Uuids([row.id for _, row in keyed]),
        },
    )
    new = {mail_id for (mail_id,) in rows}
    if len(new) == len(keyed):
        return {}
    old = [key for key, (_, row) in zip(keys, keyed, strict=True) if row.id not in new]
    found = yield Statement(RECALL, _pairs(old), Remembered)
    return {(each.client, each.key): each for each in found}


def _pairs(keys: Sequence[_Key]) -> dict[str, Any]:
    return {
        "clients": arrays.Texts([client for client, _ in keys]),
        "keys": arrays.Texts([key for _, key in keys]),
    }


def _columns(pairs: Sequence[tuple[str, Row]], key_id: str) -> dict[str, Any]:
    rows = [row for _, row in pairs]
    mails = [row.mail for row in rows]
    return {
        "clients": arrays.Texts([client for client, _ in pairs]),
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
