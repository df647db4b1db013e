"""What is stored of a mail, whatever way in it took: pure, `atum_schema.accept` does the storing.

`prepare` turns checked mails into rows: lane chosen, content encrypted, id assigned. An `Offer` is what one caller
hands over at once: it is stored whole or not at all.

A key is what makes repeating safe. An application's own `idempotency_key` lives in atum.idempotency, unique
per client. A mail without one has its id as key, written `mail:<id>`: the log's primary key is then the memory,
at no cost for those who never repeat.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple
from uuid import UUID

import orjson

from atum_schema import limits
from atum_schema.document import content_of, mail_to_document
from atum_schema.errors import MailRejected
from atum_schema.ids import new_mail_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from atum_schema.encryption import Keyring
    from atum_schema.mail import Mail

CHUNK: Final = 500
"""Mails per statement."""

OWN_KEY: Final = limits.IDEMPOTENCY_KEY_RESERVED_PREFIX
"""What the key of a mail without an application's own key begins with; its id follows."""


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
        return f"{OWN_KEY}{self.id}" if self.own_key is None else self.own_key


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
    mails: Sequence[Mail],
    *,
    lanes: LanePolicy,
    keyring: Keyring,
    keys: Sequence[str] = (),
    ids: Sequence[UUID | None] = (),
) -> list[Row]:
    """Turn mails into rows; `keys` (from `EnqueueUncertain`) repeats an earlier call, in the same order.

    `ids` are the ids that the mails come with, None where one is still to be assigned.

    Raises `MailRejected` for an unknown lane, with the mail's index if there are several.
    """
    rows = []
    for place, mail in enumerate(mails):
        try:
            lane = lanes.choose(mail)
        except MailRejected as rejection:
            raise rejection.at(place) if len(mails) > 1 else rejection from None
        key = keys[place] if keys else mail.idempotency_key
        rows.append(_row(mail, lane, keyring, key, ids[place] if ids else None))
    return rows


def as_one(rows: Sequence[Row], key: str) -> list[Row]:
    """Put the rows of a list under one key of the application, so that the list is repeated as a whole or not at all.

    The first mail's fingerprint is that of all of them, and its key the application's: a single mail, a longer or a
    changed list under the same key is other content. The keys of the others hold a line feed, which no application's
    key may.
    """
    prints = [_fingerprint(row.mail, row.lane) for row in rows]
    whole = hashlib.sha256(b"".join(prints)).digest()
    return [
        row._replace(own_key=f"{key}\n{place}" if place else key, fingerprint=own if place else whole)
        for place, (row, own) in enumerate(zip(rows, prints, strict=True))
    ]


def _row(mail: Mail, lane: str, keyring: Keyring, key: str | None, given: UUID | None) -> Row:
    own = key is None or key.startswith(OWN_KEY)
    mail_id = _id_of(key) if key is not None and own else given or new_mail_id()
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


def _id_of(key: str) -> UUID:
    try:
        return UUID(key[len(OWN_KEY) :])
    except ValueError:
        raise MailRejected("keys", f"has {key!r}, which is not a key of an earlier call") from None


def _fingerprint(mail: Mail, lane: str) -> bytes:
    # Of what was handed over, not of what is stored: derived text may change with the library that makes it. The key
    # may have come beside the mail or within it.
    document = mail_to_document(mail)
    document.pop("idempotency_key", None)
    return hashlib.sha256(orjson.dumps(document) + lane.encode()).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """Mails that one client hands over at once: stored whole or not at all."""

    #: Name of the application; the scope of its idempotency keys.
    client: str
    rows: Sequence[Row]
    #: Whether the rows may have been stored by an earlier call: ids are looked up before they are stored.
    repeats: bool = False

    @property
    def needs_transaction(self) -> bool:
        """Whether storing takes more than one statement."""
        return self.repeats or len(self.rows) > CHUNK or any(row.fingerprint for row in self.rows)

    def twice(self) -> MailRejected | None:
        """Say which key appears twice: one mail would be stored, and two answers given for it."""
        seen: set[str] = set()
        for place, row in enumerate(self.rows):
            if row.key in seen:
                reason = f"{row.key!r} of client {self.client!r} appears twice in one list"
                return MailRejected("idempotency_key", reason, index=place)
            seen.add(row.key)
        return None
