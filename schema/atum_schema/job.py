"""A job: what a producer that knows only the broker puts into `mail.intake`.

It is a mail document, version 1, as the body of a persistent message. A job has an id (UUIDv7) or an idempotency key:
RabbitMQ delivers at least once, and only these make the second delivery no second mail. The AMQP property `app_id`
names the client. `schema/atum_schema/jsonschema/job.schema.json` describes the document for other languages.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from uuid import RFC_4122, UUID

import orjson

from atum_schema import document, limits
from atum_schema.errors import MailRejected
from atum_schema.ids import milliseconds_of

if TYPE_CHECKING:
    from datetime import datetime

    from atum_schema.mail import Mail

#: Largest job, in bytes: the largest mail, with room for what JSON adds to it. RabbitMQ 4 takes 16 MiB by default.
MAX_BYTES: Final = limits.MESSAGE_BYTES * 14 // 10
#: How far in the future the time within an id may be, in seconds.
MAX_AHEAD_S: Final = 86_400
#: Who hands over jobs without an `app_id`.
DEFAULT_CLIENT: Final = "broker"
#: Longest client name, in characters.
CLIENT_CHARACTERS: Final = 100
#: What a rejection may name instead of a field of the document.
BESIDE_THE_DOCUMENT: Final = frozenset({"document", "app_id"})

_VERSION: Final = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job that was read: a checked mail, and what makes repeating it safe."""

    mail: Mail
    #: Id that the mail will have; None: it has an idempotency key, and gets an id when it is stored.
    id: UUID | None


def write(mail: Mail, mail_id: UUID) -> bytes:
    """Write a job. Raises `MailRejected` if it is too large for the way through the broker, or could not be read."""
    body = document.encode(mail, mail_id=mail_id)
    _check_size(len(body))
    return body


def read(body: bytes, *, now: datetime) -> Job:
    """Read a job. Raises `MailRejected`; the field is "document" if it is not JSON, or too large to be looked at."""
    _check_size(len(body))
    try:
        value: Any = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MailRejected("document", f"is not JSON: {error}") from None
    mail = document.mail_from_document(value)
    mail_id = document.document_id(value)
    if mail_id is not None:
        _check_id(mail_id, value["id"], now)
    elif mail.idempotency_key is None:
        raise MailRejected(
            "id",
            "is missing, and so is idempotency_key: set one of them, and keep it when you publish again, because a job "
            "may be delivered twice",
        )
    return Job(mail=mail, id=mail_id)


def client_of(app_id: object) -> str:
    """Give the client that an AMQP `app_id` names. Raises `MailRejected`."""
    if app_id is None or app_id == "":
        return DEFAULT_CLIENT
    if not isinstance(app_id, str) or not app_id.isprintable() or app_id != app_id.strip():
        raise MailRejected("app_id", "must be printable text without a space at either end")
    if len(app_id) > CLIENT_CHARACTERS:
        raise MailRejected("app_id", f"is {len(app_id)} characters long, the limit is {CLIENT_CHARACTERS}")
    return app_id


def _check_size(size: int) -> None:
    if size > MAX_BYTES:
        raise MailRejected("document", f"is {size} bytes long, the limit is {MAX_BYTES}")


def _check_id(mail_id: UUID, raw: str, now: datetime) -> None:
    if str(mail_id) != raw.lower():
        raise MailRejected("id", "must be written as 8-4-4-4-12 hexadecimal digits")
    if mail_id.variant != RFC_4122 or mail_id.version != _VERSION:
        raise MailRejected(
            "id", f"is a UUID of version {mail_id.version or '?'}, must be a UUIDv7 (RFC 9562 §5.7)"
        )
    ahead = milliseconds_of(mail_id) / 1000 - now.timestamp()
    if ahead > MAX_AHEAD_S:
        raise MailRejected(
            "id", f"is from {ahead:.0f} s in the future, the limit is {MAX_AHEAD_S}; is the clock right?"
        )
