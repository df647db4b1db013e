"""The rules of each field of a mail, and those that look at the mail as a whole. Pure checks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

from atum_schema import limits
from atum_schema.errors import MailRejected
from atum_schema.mail_options import OnUnknown, TrackLinks
from atum_schema.text_rules import body_bytes, require_line, require_str, too_long, utf8_size, utf16_units

if TYPE_CHECKING:
    from atum_schema.mail import Mail

_STREAM = re.compile(r"[A-Za-z0-9_-]+")
_LANE = re.compile(r"[a-z][a-z0-9_-]*")
_KEY = re.compile(r"[!-~](?:[ -~]*[!-~])?")

_Option = TypeVar("_Option", bound=StrEnum)


def checked_subject(value: str) -> str:
    """Check a subject: one line of at most 2000 UTF-16 code units."""
    require_str("subject", value)
    require_line("subject", value, limits.SUBJECT_UNITS)
    if not value.isascii():
        units = utf16_units(value)
        if units > limits.SUBJECT_UNITS:
            raise MailRejected(
                "subject", f"is {units} UTF-16 units long, the limit is {limits.SUBJECT_UNITS}"
            )
    return value


def checked_tag(value: str) -> str:
    """Check a tag: one line, 1 to 1000 characters."""
    require_str("tag", value)
    require_line("tag", value, limits.TAG_CHARACTERS)
    if not value:
        raise MailRejected("tag", "is empty; leave it out instead")
    return value


def checked_metadata(value: Mapping[str, str]) -> Mapping[str, str]:
    """Check metadata and give a read-only copy."""
    if not isinstance(value, Mapping):
        raise MailRejected("metadata", f"must be a mapping, not {type(value).__name__}")
    copy = dict(value)
    if len(copy) > limits.METADATA_FIELDS:
        raise MailRejected("metadata", f"has {len(copy)} keys, the limit is {limits.METADATA_FIELDS}")
    for key, item in copy.items():
        _check_metadata_item(key, item)
    _check_metadata_case(copy)
    return MappingProxyType(copy)


def _check_metadata_item(key: str, item: str) -> None:
    require_str("metadata", key)
    require_line("metadata", key, limits.METADATA_KEY_CHARACTERS)
    if not key:
        raise MailRejected("metadata", "has an empty key")
    if key.lower().startswith(limits.METADATA_RESERVED_PREFIX):
        raise MailRejected("metadata", f"has the key {key!r}; keys that start with atum- are reserved")
    place = f"metadata[{key}]"
    require_str(place, item)
    require_line(place, item, limits.METADATA_VALUE_CHARACTERS)


def _check_metadata_case(items: dict[str, str]) -> None:
    seen: dict[str, str] = {}
    for key in items:
        other = seen.setdefault(key.lower(), key)
        if other != key:
            raise MailRejected("metadata", f"has the keys {other!r} and {key!r}, which differ only by case")


def checked_stream(value: str) -> str:
    """Check a message stream id."""
    return _checked_name("stream", value, _STREAM, limits.STREAM_CHARACTERS, "letters, digits, _ and -")


def checked_lane(value: str) -> str:
    """Check a lane name, which becomes a part of queue names."""
    wanted = "lower-case letters, digits, _ and -, starting with a letter"
    return _checked_name("lane", value, _LANE, limits.LANE_CHARACTERS, wanted)


def checked_key(value: str) -> str:
    """Check an idempotency key."""
    wanted = "printable ASCII without a space at either end"
    key = _checked_name("idempotency_key", value, _KEY, limits.IDEMPOTENCY_KEY_CHARACTERS, wanted)
    if key.startswith(limits.IDEMPOTENCY_KEY_RESERVED_PREFIX):
        raise MailRejected(
            "idempotency_key",
            f"is {key!r}; keys that begin with {limits.IDEMPOTENCY_KEY_RESERVED_PREFIX!r} are reserved",
        )
    return key


def _checked_name(field: str, value: str, pattern: re.Pattern[str], limit: int, wanted: str) -> str:
    require_str(field, value)
    if len(value) > limit:
        raise too_long(field, len(value), limit)
    if pattern.fullmatch(value) is None:
        raise MailRejected(field, f"is {value!r}; allowed are {wanted}")
    return value


def checked_flag(field: str, value: bool | None) -> bool | None:
    """Check for True, False or None."""
    if value is None or value is True or value is False:
        return value
    raise MailRejected(field, f"must be true or false, not {type(value).__name__}")


def checked_track_links(value: TrackLinks | str) -> TrackLinks:
    """Read a `TrackLinks` from its value."""
    return _option("track_links", value, TrackLinks)


def checked_on_unknown(value: OnUnknown | str) -> OnUnknown:
    """Read an `OnUnknown` from its value."""
    return _option("on_unknown", value, OnUnknown)


def _option(field: str, value: str, options: type[_Option]) -> _Option:
    require_str(field, value)
    try:
        return options(value)
    except ValueError:
        raise MailRejected(field, f"is {value!r}; allowed are {', '.join(options)}") from None


def checked_time(field: str, value: datetime) -> datetime:
    """Check that a time is aware, and give it in UTC."""
    if not isinstance(value, datetime):
        raise MailRejected(field, f"must be a datetime, not {type(value).__name__}")
    if value.tzinfo is UTC:
        return value
    if value.utcoffset() is None:
        raise MailRejected(field, "has no time zone")
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise MailRejected(field, f"is {value.isoformat()}, which has no equal in UTC") from None


def check_whole(mail: Mail) -> None:
    """Check what no field can know alone: sender length, recipients, bodies, times and the size of the mail."""
    _check_sender(mail)
    _check_recipients(mail)
    size = _checked_bodies(mail)
    _check_size(mail, size)
    if mail.send_at is not None and mail.expires_at is not None and mail.expires_at <= mail.send_at:
        raise MailRejected("expires_at", "is not after send_at")


def _check_sender(mail: Mail) -> None:
    sender = mail.sender
    # Quoting adds at most 2 characters, plus one for each of the quoted characters; only then render it.
    if 2 * len(sender.name) + len(sender.email) + 5 > limits.FROM_CHARACTERS:
        length = len(str(sender))
        if length > limits.FROM_CHARACTERS:
            raise too_long("sender", length, limits.FROM_CHARACTERS)


def _check_recipients(mail: Mail) -> None:
    if not mail.to:
        raise MailRejected("to", "has no recipient; at least one is required, cc and bcc do not count")
    count = len(mail.to) + len(mail.cc) + len(mail.bcc)
    if count > limits.RECIPIENTS:
        raise MailRejected("to", f"has {count} recipients with cc and bcc, the limit is {limits.RECIPIENTS}")
    if len(mail.reply_to) > limits.RECIPIENTS:
        raise MailRejected(
            "reply_to", f"has {len(mail.reply_to)} addresses, the limit is {limits.RECIPIENTS}"
        )


def _checked_bodies(mail: Mail) -> int:
    text, html = mail.text, mail.html
    if not text and not html:
        for name, value in (("text", text), ("html", html)):
            if value is not None:
                require_str(name, value)
        raise MailRejected("text", "and html are both empty; at least one body is required")
    size = 0
    if text is not None:
        size += body_bytes("text", require_str("text", text), limits.BODY_BYTES)
    if html is not None:
        size += body_bytes("html", require_str("html", html), limits.BODY_BYTES)
    return size


def _check_size(mail: Mail, bodies: int) -> None:
    # All that is neither body nor attachment nor custom header is far smaller than a megabyte.
    if bodies < limits.MESSAGE_BYTES - 1_000_000 and not mail.attachments and not mail.headers:
        return
    size = message_size(mail)
    if size > limits.MESSAGE_BYTES:
        field = "attachments" if mail.attachments else "html"
        reason = f"makes the mail {size} bytes large with attachments in base64, the limit is {limits.MESSAGE_BYTES}"
        raise MailRejected(field, reason)


def message_size(mail: Mail) -> int:
    """Size of a mail with checked fields, in bytes: bodies, attachments in base64, and all header fields."""
    size = sum(utf8_size(body) for body in (mail.text, mail.html) if body is not None)
    size += sum(
        each.encoded_size + utf8_size(each.name) + len(each.content_type) for each in mail.attachments
    )
    size += sum(len(header.name) + utf8_size(header.value) for header in mail.headers)
    size += sum(utf8_size(str(address)) for address in (mail.sender, *mail.recipients, *mail.reply_to))
    size += sum(utf8_size(key) + utf8_size(value) for key, value in mail.metadata.items())
    return size + utf8_size(mail.subject) + utf8_size(mail.tag or "")
