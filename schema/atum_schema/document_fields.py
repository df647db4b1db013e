"""How each field of a mail document is read: JSON types in, arguments for `Mail` out."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeVar

from atum_schema.document_content import attachment_document
from atum_schema.errors import MailRejected
from atum_schema.headers import Header
from atum_schema.mail_attachments import Attachment
from atum_schema.text_rules import require_str

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from atum_schema.addresses import Address

_RFC3339 = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:[Zz]|[+-]\d{2}:\d{2})")
_FRACTION = re.compile(r"(\.\d{6})\d+")

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Reads one field. `nullable`: null means the same as leaving the field out."""

    read: Callable[[str, Any], Any]
    nullable: bool = False


def _flag(name: str, value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise MailRejected(name, f"must be true or false, not {type(value).__name__}")


def _list(name: str, value: object) -> list[Any]:
    if isinstance(value, list):
        return value
    raise MailRejected(name, f"must be a list, not {type(value).__name__}")


def _addresses(name: str, value: object) -> str | list[str]:
    if isinstance(value, str):
        return value
    return [require_str(f"{name}[{index}]", item) for index, item in enumerate(_list(name, value))]


def _metadata(name: str, value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise MailRejected(name, f"must be an object, not {type(value).__name__}")
    return value


def _time(name: str, value: object) -> datetime:
    text = require_str(name, value)
    if _RFC3339.fullmatch(text) is None:
        raise MailRejected(name, f"is {text!r}, not an RFC 3339 time with zone such as 2026-11-05T16:33:54Z")
    try:
        return datetime.fromisoformat(_FRACTION.sub(r"\1", text.upper()))
    except ValueError as error:
        raise MailRejected(name, f"is not a time that exists: {error}") from None


def _headers(name: str, value: object) -> list[Header]:
    return [_header(f"{name}[{index}]", item) for index, item in enumerate(_list(name, value))]


def _header(place: str, value: object) -> Header:
    item = _members(place, value, required=("name", "value"))
    return _built(place, lambda: Header(item["name"], item["value"]))


def _attachments(name: str, value: object) -> list[Attachment]:
    return [_attachment(f"{name}[{index}]", item) for index, item in enumerate(_list(name, value))]


def _attachment(place: str, value: object) -> Attachment:
    item = _members(place, value, required=("name", "content"), optional=("content_type", "content_id"))
    content = _base64(f"{place}.content", item["content"])
    return _built(
        place,
        lambda: Attachment(
            name=item["name"],
            content=content,
            content_type=item.get("content_type", ""),
            content_id=item.get("content_id"),
        ),
    )


def _base64(place: str, value: object) -> bytes:
    text = require_str(place, value)
    try:
        return b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise MailRejected(place, "is not base64 (RFC 4648 §4, without line breaks)") from None


def _members(
    place: str, value: object, *, required: tuple[str, ...], optional: tuple[str, ...] = ()
) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise MailRejected(place, f"must be an object, not {type(value).__name__}")
    for name in required:
        if name not in value:
            raise MailRejected(f"{place}.{name}", "is missing")
    for name in value:
        if name not in required and name not in optional:
            raise MailRejected(f"{place}.{name}", "is not a known member")
    return value


def _built(place: str, build: Callable[[], _T]) -> _T:
    try:
        return build()
    except MailRejected as error:
        raise MailRejected(f"{place}.{error.field}", error.reason) from None


_TEXT = Reader(read=require_str)
_OPTIONAL_TEXT = Reader(read=require_str, nullable=True)
_OPTIONAL_TIME = Reader(read=_time, nullable=True)
_ADDRESSES = Reader(read=_addresses)

#: Reader by field name of the document; "version" and "id" belong to the document, not to the mail.
READERS: Final[Mapping[str, Reader]] = MappingProxyType(
    {
        "from": _TEXT,
        "to": _ADDRESSES,
        "cc": _ADDRESSES,
        "bcc": _ADDRESSES,
        "reply_to": _ADDRESSES,
        "subject": _TEXT,
        "text": _OPTIONAL_TEXT,
        "html": _OPTIONAL_TEXT,
        "attachments": Reader(read=_attachments),
        "headers": Reader(read=_headers),
        "tag": _OPTIONAL_TEXT,
        "metadata": Reader(read=_metadata),
        "stream": _TEXT,
        "lane": _OPTIONAL_TEXT,
        "track_opens": Reader(read=_flag, nullable=True),
        "track_links": _OPTIONAL_TEXT,
        "send_at": _OPTIONAL_TIME,
        "expires_at": _OPTIONAL_TIME,
        "idempotency_key": _OPTIONAL_TEXT,
        "on_unknown": _OPTIONAL_TEXT,
    }
)


def _same(value: object) -> object:
    return value


def _address_strings(value: tuple[Address, ...]) -> list[str]:
    return [str(address) for address in value]


def _header_objects(value: tuple[Header, ...]) -> list[dict[str, str]]:
    return [{"name": header.name, "value": header.value} for header in value]


def _attachment_objects(value: tuple[Attachment, ...]) -> list[dict[str, str]]:
    return [attachment_document(each) for each in value]


#: Writer by field name of the document, in the order in which documents are written.
WRITERS: Final[Mapping[str, Callable[[Any], Any]]] = MappingProxyType(
    {
        "from": str,
        "to": _address_strings,
        "cc": _address_strings,
        "bcc": _address_strings,
        "reply_to": _address_strings,
        "subject": _same,
        "text": _same,
        "html": _same,
        "attachments": _attachment_objects,
        "headers": _header_objects,
        "tag": _same,
        "metadata": dict,
        "stream": _same,
        "lane": _same,
        "track_opens": _same,
        "track_links": str,
        "send_at": datetime.isoformat,
        "expires_at": datetime.isoformat,
        "idempotency_key": _same,
        "on_unknown": str,
    }
)
