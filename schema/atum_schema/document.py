"""The JSON document of a mail, version 1: what travels through `mail.intake` and what the HTTP API takes.

`schema/atum_schema/jsonschema/mail.schema.json` describes the same document for other languages. Names are those
of `Mail`, but for "from"; addresses are strings, attachment content is base64, times are RFC 3339. An optional
"id" (UUID) names the mail before it is stored. Unknown fields and wrong types are refused by name: a misspelt
field must not turn into a mail without it.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import orjson

from atum_schema.document_content import Content, content_of, decode_content
from atum_schema.document_fields import READERS, WRITERS, Reader
from atum_schema.errors import MailRejected
from atum_schema.mail import Mail

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "VERSION",
    "Content",
    "content_of",
    "decode",
    "decode_content",
    "document_id",
    "encode",
    "mail_from_document",
    "mail_to_document",
]

#: The version this code writes, and the only one it reads.
VERSION: Final = 1

_REQUIRED: Final = ("version", "from", "to", "subject")
_PYTHON_NAMES: Final = {"from": "sender"}
_DOCUMENT_NAMES: Final = {"sender": "from"}


def encode(mail: Mail, *, mail_id: UUID | None = None) -> bytes:
    """Write a mail as UTF-8 JSON. `decode(encode(mail)) == mail` holds for every mail."""
    document = mail_to_document(mail)
    if mail_id is not None:
        document["id"] = str(mail_id)
    return orjson.dumps(document)


def decode(data: bytes) -> Mail:
    """Read a mail from UTF-8 JSON. Raises `MailRejected`; the field is "document" if it is not JSON at all."""
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise MailRejected("document", f"is not JSON: {error}") from None
    return mail_from_document(value)


def mail_from_document(value: object) -> Mail:
    """Read a mail from a parsed document. Raises `MailRejected` with the document's name of the field."""
    document = _object(value)
    _check_names(document)
    document_id(document)
    arguments: dict[str, Any] = {}
    for name, item in document.items():
        reader = READERS.get(name)
        if reader is not None:
            arguments[_PYTHON_NAMES.get(name, name)] = _read(name, item, reader)
    try:
        return Mail(**arguments)
    except MailRejected as error:
        raise MailRejected(_DOCUMENT_NAMES.get(error.field, error.field), error.reason) from None


def mail_to_document(mail: Mail) -> dict[str, Any]:
    """Write a mail as a document of JSON types; fields without a value are left out."""
    document: dict[str, Any] = {"version": VERSION}
    for name, write in WRITERS.items():
        value = getattr(mail, _PYTHON_NAMES.get(name, name))
        if value is not None and (value or name in ("subject", "text", "html", "track_opens")):
            document[name] = write(value)
    return document


def document_id(value: object) -> UUID | None:
    """Give the id that a parsed document asks for, None if it leaves that open. Raises `MailRejected`."""
    raw = _object(value).get("id")
    if raw is None:
        return None
    try:
        return UUID(raw)
    except (ValueError, AttributeError, TypeError):
        raise MailRejected("id", "is not a UUID") from None


def field_names() -> frozenset[str]:
    """Every field a document may have."""
    return frozenset({"version", "id", *(_DOCUMENT_NAMES.get(each.name, each.name) for each in fields(Mail))})


def _object(value: object) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise MailRejected("document", f"must be a JSON object, not {type(value).__name__}")


def _check_names(document: Mapping[str, Any]) -> None:
    for name in _REQUIRED:
        if name not in document:
            raise MailRejected(name, "is missing")
    for name in document:
        if name not in READERS and name not in ("version", "id"):
            raise MailRejected(str(name), "is not a field of a mail")
    version = document["version"]
    if type(version) is not int or version != VERSION:
        raise MailRejected("version", f"is {version!r}; this release reads version {VERSION}")


def _read(name: str, item: object, reader: Reader) -> object:
    if item is None and not reader.nullable:
        raise MailRejected(name, "must not be null; leave it out instead")
    return None if item is None else reader.read(name, item)
