"""The headers of a message, sorted into the fields of a mail and the custom headers that travel along."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from atum_schema.addresses import Address, parse_addresses
from atum_schema.errors import MailRejected
from atum_schema.headers import FIELD_HEADERS, METADATA_HEADER_PREFIX, Header, is_transport
from atum_schema.message_charsets import decode_words, recover

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from email.message import EmailMessage

_FOLD = re.compile(r"\r?\n(?=[ \t])|\r?\n\Z")
_ADDRESS_FIELDS: Final = ("to", "cc", "bcc", "reply_to")
_FLAGS: Final = {"true": True, "false": False}


def fields_of_headers(message: EmailMessage, *, skip: Iterable[str]) -> dict[str, Any]:
    """Read the arguments for `Mail` that headers give, except the fields in `skip`.

    X-PM-Tag, X-PM-Metadata-*, X-PM-Message-Stream, X-PM-Track-Opens and X-PM-Track-Links set fields, as they do
    when a message reaches Postmark by SMTP. Headers of the transport are left out, all others become custom
    headers. Raises `MailRejected`.
    """
    found = _Sorted(message)
    skipped = frozenset(skip)
    fields: dict[str, Any] = {}
    for name in _ADDRESS_FIELDS:
        if name not in skipped and found.values.get(name):
            fields[name] = _addresses(name, found.values[name])
    if "sender" not in skipped:
        fields["sender"] = _sender(found.values.get("sender", []))
    for name in ("subject", "tag", "stream", "track_links"):
        if name not in skipped and name in found.values:
            fields[name] = _single(name, found.values[name])
    if "track_opens" not in skipped and "track_opens" in found.values:
        fields["track_opens"] = _flag(_single("track_opens", found.values["track_opens"]))
    if "metadata" not in skipped:
        fields["metadata"] = found.metadata
    if "headers" not in skipped:
        fields["headers"] = [_custom(name, raw) for name, raw in found.custom]
    return fields


class _Sorted:
    """Headers by what they are for; values are raw."""

    def __init__(self, message: EmailMessage) -> None:
        self.values: dict[str, list[str]] = {}
        self.metadata: dict[str, str] = {}
        self.custom: list[tuple[str, str]] = []
        for name, raw in message.raw_items():
            lower = name.lower()
            if lower in FIELD_HEADERS:
                self.values.setdefault(FIELD_HEADERS[lower], []).append(raw)
            elif lower.startswith(METADATA_HEADER_PREFIX):
                self._add_metadata(name[len(METADATA_HEADER_PREFIX) :], raw)
            elif not is_transport(name):
                self.custom.append((name, raw))

    def _add_metadata(self, key: str, raw: str) -> None:
        if key in self.metadata:
            raise MailRejected("metadata", f"has the key {key!r} twice")
        self.metadata[key] = header_text(f"metadata[{key}]", raw)


def header_text(field: str, raw: str) -> str:
    """Unfold and decode a header value. Raises `MailRejected` with `field` if its bytes are not text."""
    return _decoder(raw)(_unfolded(field, raw)).strip(" ")


def _unfolded(field: str, raw: str) -> str:
    try:
        return recover(_FOLD.sub("", str(raw))).replace("\t", " ")
    except ValueError as error:
        raise MailRejected(field, str(error)) from None


def _decoder(raw: str) -> Callable[[str], str]:
    # The standard library's header objects are decoded already; decoding again could find words in the text.
    return str if hasattr(raw, "defects") else decode_words


def _addresses(field: str, values: list[str]) -> tuple[Address, ...]:
    """Read all address headers of one kind, one after the other."""
    texts = [_unfolded(field, raw) for raw in values]
    joined = ", ".join(text for text in texts if text.strip())
    if not joined:
        return ()
    return parse_addresses(joined, field=field, decode=_decoder(values[0]))


def _sender(values: list[str]) -> Address:
    try:
        addresses = _addresses("sender", values)
    except MailRejected as error:
        raise MailRejected("sender", error.reason) from None
    if not addresses:
        raise MailRejected("sender", "is missing: the message has no From header")
    if len(addresses) > 1:
        raise MailRejected("sender", f"is not clear: From holds {len(addresses)} addresses, one is needed")
    return addresses[0]


def _single(field: str, values: list[str]) -> str:
    if len(values) > 1:
        raise MailRejected(field, f"is set by {len(values)} headers, one is needed")
    return header_text(field, values[0])


def _flag(value: str) -> bool:
    flag = _FLAGS.get(value.lower())
    if flag is None:
        raise MailRejected("track_opens", f"is {value!r}; allowed are true, false")
    return flag


def _custom(name: str, raw: str) -> Header:
    place = f"headers[{name}]"
    try:
        return Header(name, header_text(place, raw))
    except MailRejected as error:
        raise MailRejected(place, error.reason) from None
