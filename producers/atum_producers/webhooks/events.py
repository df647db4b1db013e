"""What is stored of a request's body: an event as it came, or whatever else a genuine sender sent. Pure."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from atum_schema import inbox, webhook
from atum_schema.ids import new_mail_id
from atum_schema.inbox import Arrival

if TYPE_CHECKING:
    from datetime import datetime

    from atum_schema.encryption import Keyring

#: Bytes of an event above which the mail that it quotes is not kept.
QUOTED_BYTES: Final = 256 * 1024


class About(NamedTuple):
    """What is counted of an event; None where it does not say."""

    record_type: str | None
    at: datetime | None


def arrival(body: bytes, *, keyring: Keyring, trace: str | None) -> Arrival:
    """Make a body ready to be stored; `trace` is its trace id, if it has one that counts."""
    return made(body, keyring=keyring, trace=trace)[0]


def made(body: bytes, *, keyring: Keyring, trace: str | None) -> tuple[Arrival, About]:
    """Make a body ready to be stored, as `arrival` does, and say what is counted of it."""
    document = _read(body)
    about = About(None, None) if document is None else About(*webhook.record_and_time(document))
    return _arrival(body, document, keyring=keyring, trace=trace), about


def _arrival(body: bytes, document: dict[str, Any] | None, *, keyring: Keyring, trace: str | None) -> Arrival:
    if document is None or (trace is None and not _is_distinct(document)):
        # Nothing is lost: what nobody understands yet is kept, and is the same only if all of it is.
        event_id = new_mail_id()
        return Arrival(event_id, hashlib.sha256(body).digest(), keyring.encrypt(event_id, body))
    if len(body) > QUOTED_BYTES and "Content" in document:
        del document["Content"]
        body = orjson.dumps({**document, "ContentDropped": True})
    return inbox.arrival(body, document, keyring=keyring, trace=trace)


def _read(body: bytes) -> dict[str, Any] | None:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return document if isinstance(document, dict) else None


def _is_distinct(document: dict[str, Any]) -> bool:
    """Whether what is known of events tells this one from others."""
    told = webhook.read(document)
    return told.kind is not None and told.recipient is not None and (told.message_id or told.at) is not None
