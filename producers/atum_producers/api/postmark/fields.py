"""The fields of a message as Postmark names them, their JSON types, and how one becomes a `Mail`: pure.

Names are read whatever their case, as Postmark reads them; null and "" are the same as leaving a field out; fields that
are not known are ignored (Postmark developer docs, "Send a single email").
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from atum_producers.api.postmark import texts
from atum_producers.api.postmark.texts import Refusal, invalid
from atum_schema.addresses import parse_addresses
from atum_schema.addresses_syntax import AddressSyntaxError, split_list
from atum_schema.errors import MailRejected
from atum_schema.headers import Header
from atum_schema.limits import FORBIDDEN_EXTENSIONS
from atum_schema.mail import Mail
from atum_schema.mail_attachments import Attachment
from atum_schema.mail_options import TrackLinks

if TYPE_CHECKING:
    from collections.abc import Mapping

#: A message by Postmark's names of its fields, without those that are null, empty or unknown.
Item: TypeAlias = dict[str, Any]

#: The JSON type of each field.
TYPES: Final[Mapping[str, type]] = MappingProxyType(
    {
        "From": str,
        "To": str,
        "Cc": str,
        "Bcc": str,
        "ReplyTo": str,
        "Subject": str,
        "Tag": str,
        "TextBody": str,
        "HtmlBody": str,
        "MessageStream": str,
        "TrackLinks": str,
        "TrackOpens": bool,
        "Metadata": dict,
        "Headers": list,
        "Attachments": list,
    }
)
_PARTS: Final = {
    "Headers": ("Name", "Value"),
    "Attachments": ("Name", "Content", "ContentType", "ContentID"),
}
_NAMES: Final = {name.lower(): name for name in TYPES}
_PART_NAMES: Final = {name.lower(): name for names in _PARTS.values() for name in names}
#: Postmark's name by that of our field, for what is said of it.
PLACES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "sender": "From",
        "to": "To",
        "cc": "Cc",
        "bcc": "Bcc",
        "reply_to": "ReplyTo",
        "subject": "Subject",
        "text": "TextBody",
        "html": "HtmlBody",
        "attachments": "Attachments",
        "headers": "Headers",
        "tag": "Tag",
        "metadata": "Metadata",
        "stream": "MessageStream",
        "track_opens": "TrackOpens",
        "track_links": "TrackLinks",
        "idempotency_key": "Idempotency-Key",
    }
)
_ADDRESSES: Final = frozenset({"sender", "to", "cc", "bcc", "reply_to"})
#: A custom header that is no header of the mail: it makes repeating the mail safe.
KEY_HEADER: Final = "idempotency-key"
_TRACK_LINKS: Final = {each.value.lower(): each for each in TrackLinks}
_ROOT: Final = re.compile(r"\w+")
_PLACE: Final = re.compile(r"\w+\[(\d+)\]")


def item_of(document: Mapping[str, Any]) -> Item:
    """Read a message's fields by their known names. Their types are not looked at."""
    return {name: value for name, value in _known(document, _NAMES).items() if value != ""}


def mistyped(item: Item) -> list[str]:
    """Name the fields whose JSON type is wrong, parts of lists as "Headers[0].Value"."""
    wrong = [name for name, value in item.items() if type(value) is not TYPES[name]]
    for name in _PARTS:
        if name in item and name not in wrong:
            wrong += _mistyped_parts(name, item[name])
    metadata = item.get("Metadata")
    if type(metadata) is dict:
        wrong += [f"Metadata.{key}" for key, value in metadata.items() if type(value) is not str]
    return wrong


def mail_of(item: Item) -> Mail | Refusal:
    """Make the mail of a message whose types are right, or say why it is refused."""
    refused = _lacks(item)
    if refused is not None:
        return refused
    get = item.get
    try:
        headers, key = _headers(item)
        return Mail(
            # Several are allowed, and the first one counts.
            sender=parse_addresses(_trimmed(item["From"]), field="sender")[0],
            to=_trimmed(item["To"]),
            cc=_trimmed(get("Cc", "")),
            bcc=_trimmed(get("Bcc", "")),
            reply_to=_trimmed(get("ReplyTo", "")),
            subject=get("Subject", ""),
            text=get("TextBody"),
            html=get("HtmlBody"),
            attachments=[_attachment(place, part) for place, part in enumerate(_parts(item, "Attachments"))],
            headers=headers,
            tag=get("Tag"),
            metadata=get("Metadata", {}),
            stream=get("MessageStream", "outbound"),
            track_opens=get("TrackOpens"),
            track_links=_track_links(get("TrackLinks")),
            idempotency_key=key,
        )
    except MailRejected as error:
        return refusal(error, item)


def refusal(error: MailRejected, item: Item) -> Refusal:
    """Say in Postmark's words which rule a message breaks; the reason is ours."""
    root = _ROOT.match(error.field)
    field = root[0] if root is not None else ""
    name = PLACES.get(field, error.field)
    if field == "stream":
        return Refusal(1235, texts.NO_STREAM.format(stream=item.get("MessageStream")))
    if field == "metadata":
        reason = f"Here {error.field} {error.reason}"
        return invalid(texts.BAD_METADATA.format(reason=reason))
    if field in _ADDRESSES:
        return invalid(_address_message(name, error, item.get(name, "")))
    place = error.field.removeprefix(field)
    return invalid(f"Invalid '{name}': {place.lstrip('.')}{' ' if place else ''}{error.reason}.")


def _address_message(name: str, error: MailRejected, value: str) -> str:
    """Word what is wrong with a list of addresses: django-anymail reads the address out of the last quotes."""
    reason = error.reason.replace("'", '"')
    place = _PLACE.fullmatch(error.field)
    try:
        items = split_list(_trimmed(value))
    except AddressSyntaxError:
        return f"Error parsing '{name}': {reason}."
    if place is None:
        return f"Invalid '{name}': {reason}."
    bad = items[int(place[1])].strip()
    bare = bad.rpartition("<")[2].removesuffix(">").strip() if bad.endswith(">") else bad
    return f"Invalid '{name}' address: '{bare}'. Reason: {reason}."


def _lacks(item: Item) -> Refusal | None:
    """Look for what every message needs, and for files that nobody carries."""
    if not _trimmed(item.get("From", "")):
        return invalid(texts.NO_SENDER)
    if not _trimmed(item.get("To", "")):
        others = any(_trimmed(item.get(name, "")) for name in ("Cc", "Bcc"))
        return invalid(texts.NO_TO if others else texts.NO_RECIPIENTS)
    if "TextBody" not in item and "HtmlBody" not in item:
        return invalid(texts.NO_BODY)
    for part in _parts(item, "Attachments"):
        stem, dot, extension = part.get("Name", "").rstrip(". ").rpartition(".")
        if dot and extension.lower() in FORBIDDEN_EXTENSIONS:
            return Refusal(411, texts.FORBIDDEN_FILE.format(name=f"{stem}.{extension}"))
    return None


def _headers(item: Item) -> tuple[list[Header], str | None]:
    """Read the custom headers, and take the key out of them."""
    headers: list[Header] = []
    key: str | None = None
    for place, part in enumerate(_parts(item, "Headers")):
        name, value = part.get("Name", ""), part.get("Value", "")
        if name.lower() == KEY_HEADER:
            if key is not None:
                raise MailRejected("headers", f"has {name!r} twice; keep one")
            key = value
            continue
        try:
            headers.append(Header(name, value))
        except MailRejected as error:
            raise MailRejected(f"headers[{place}].{error.field}", error.reason) from None
    return headers, key


def _attachment(place: int, part: Mapping[str, str]) -> Attachment:
    where = f"attachments[{place}]"
    for name in ("Name", "Content"):
        if name not in part:
            raise MailRejected(f"{where}.{name}", "is missing")
    try:
        # Encoders of MIME put line breaks in.
        content = b64decode("".join(part["Content"].split()), validate=True)
    except (binascii.Error, ValueError):
        raise MailRejected(f"{where}.Content", "is not base64 (RFC 4648 §4)") from None
    try:
        return Attachment(
            name=part["Name"],
            content=content,
            content_type=part.get("ContentType", ""),
            content_id=part.get("ContentID") or None,
        )
    except MailRejected as error:
        raise MailRejected(f"{where}.{error.field}", error.reason) from None


def _track_links(value: str | None) -> TrackLinks | None:
    if value is None:
        return None
    known = _TRACK_LINKS.get(value.lower())
    if known is None:
        raise MailRejected("track_links", f"is {value!r}; allowed are {', '.join(TrackLinks)}")
    return known


def _mistyped_parts(name: str, parts: list[Any]) -> list[str]:
    wrong = []
    for place, part in enumerate(parts):
        if type(part) is not dict:
            wrong.append(f"{name}[{place}]")
            continue
        known = _known(part, _PART_NAMES)
        wrong += [
            f"{name}[{place}].{key}" for key in _PARTS[name] if key in known and type(known[key]) is not str
        ]
    return wrong


def _parts(item: Item, name: str) -> list[dict[str, str]]:
    return [_known(part, _PART_NAMES) for part in item.get(name, ())]


def _known(document: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    known = {}
    for key, value in document.items():
        name = names.get(key.lower())
        if name is not None and value is not None:
            known[name] = value
    return known


def _trimmed(addresses: str) -> str:
    """Take commas off the ends, which joining lists leaves there."""
    return addresses.strip(" \t\r\n,")
