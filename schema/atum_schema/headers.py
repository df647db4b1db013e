"""Custom headers: which names are the mail's own business, and how a header must look.

Names follow RFC 5322 §2.2 (ftext). Refused are the headers that another field of the mail sets, those that
belong to the transport, and those by which a value could change how the message is read. The list holds what
Postmark's own Ruby client strips, and Content-*, MIME-Version, trace and signature headers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from atum_schema.errors import MailRejected
from atum_schema.limits import HEADER_LINE_BYTES
from atum_schema.text_rules import forbidden_character, require_str, utf8_size

_NAME = re.compile(r"[!-9;-~]+")

#: Headers with a field of their own: name in lower case, field to use instead.
FIELD_HEADERS: Final = {
    "from": "sender",
    "to": "to",
    "cc": "cc",
    "bcc": "bcc",
    "reply-to": "reply_to",
    "subject": "subject",
    "tag": "tag",
    "x-pm-tag": "tag",
    "attachment": "attachments",
    "message-stream": "stream",
    "x-pm-message-stream": "stream",
    "track-opens": "track_opens",
    "x-pm-track-opens": "track_opens",
    "x-pm-trackopens": "track_opens",
    "track-links": "track_links",
    "x-pm-track-links": "track_links",
    "x-pm-tracklinks": "track_links",
}
_TRANSPORT_HEADERS: Final = frozenset(
    (  # noqa: SIM905 (one word a line reads worse)
        "return-path sender received date mime-version dkim-signature domainkey-signature x-pm-rcpt x-pm-keepid "
        "postmark-template-alias received-spf authentication-results delivered-to"
    ).split()
)
_TRANSPORT_PREFIXES: Final = ("content-", "arc-")
METADATA_HEADER_PREFIX: Final = "x-pm-metadata-"

HeadersLike: TypeAlias = "Mapping[str, str] | Iterable[Header | tuple[str, str]]"


@dataclass(frozen=True, slots=True)
class Header:
    """A custom header: ASCII name, Unicode value on one line of at most 998 bytes; always valid and not reserved.

    Raises `MailRejected` ("name" or "value").
    """

    name: str
    value: str

    def __post_init__(self) -> None:
        name = require_str("name", self.name)
        value = require_str("value", self.value)
        if _NAME.fullmatch(name) is None:
            raise MailRejected("name", f"{name!r} is not a header name (RFC 5322 §2.2)")
        _require_own(name)
        if not value.isprintable():
            forbidden_character("value", value)
        size = len(name) + 2 + utf8_size(value)
        if size > HEADER_LINE_BYTES:
            raise MailRejected("value", f"makes a line of {size} bytes, the limit is {HEADER_LINE_BYTES}")


def is_transport(name: str) -> bool:
    """Whether a header belongs to the transport of one message and not to the mail itself."""
    lower = name.lower()
    return lower in _TRANSPORT_HEADERS or lower.startswith(_TRANSPORT_PREFIXES)


def headers_of(value: HeadersLike, *, field: str = "headers") -> tuple[Header, ...]:
    """Read headers from a mapping or from pairs, order and duplicates kept.

    Raises `MailRejected` whose field carries the index ("headers[0].name").
    """
    pairs: object = value.items() if isinstance(value, Mapping) else value
    if isinstance(pairs, (str, bytes)) or not isinstance(pairs, Iterable):
        raise MailRejected(field, f"must be a mapping or a list of headers, not {type(value).__name__}")
    return tuple([_header(item, f"{field}[{index}]") for index, item in enumerate(pairs)])


def _header(item: object, field: str) -> Header:
    if isinstance(item, Header):
        return item
    if not isinstance(item, (tuple, list)) or len(item) != 2:  # noqa: PLR2004 (a pair is two)
        raise MailRejected(field, "must be a Header or a (name, value) pair")
    try:
        return Header(item[0], item[1])
    except MailRejected as error:
        raise MailRejected(f"{field}.{error.field}", error.reason) from None


def _require_own(name: str) -> None:
    lower = name.lower()
    instead = FIELD_HEADERS.get(lower)
    if instead is not None:
        raise MailRejected("name", f"{name!r} is reserved; set the field {instead} instead")
    if lower.startswith(METADATA_HEADER_PREFIX):
        raise MailRejected("name", f"{name!r} is reserved; set the field metadata instead")
    if is_transport(lower):
        raise MailRejected("name", f"{name!r} is reserved for the transport")
