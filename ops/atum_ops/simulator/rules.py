"""Which messages Postmark takes: field types, then the rules of one message in the provider's order.

Sources: Postmark developer docs, "Send a single email", "Send batch emails", "Error codes"; the order of the checks is
inferred. Lengths are in characters (the subject in UTF-16 units), sizes in bytes.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from atum_ops.simulator import recipients, texts
from atum_ops.simulator.ledger import Envelope
from atum_ops.simulator.recipients import BadAddress, Recipient
from atum_ops.simulator.texts import Refusal

BATCH_ITEMS = 500
BATCH_BYTES = 50 * 1024 * 1024
MESSAGE_BYTES = 10 * 1024 * 1024
BODY_BYTES = 5 * 1024 * 1024
RECIPIENTS = 50
FROM_LENGTH = 255
SUBJECT_LENGTH = 2000
TAG_LENGTH = 1000
METADATA_KEYS = 10
METADATA_KEY_LENGTH = 20
METADATA_VALUE_LENGTH = 80
TRACK_LINKS = frozenset({"None", "HtmlAndText", "HtmlOnly", "TextOnly"})
FORBIDDEN_EXTENSIONS = frozenset(
    "vbs exe bin bat chm com cpl crt hlp hta inf ins isp jse lnk mdb pcd pif reg scr sct shs vbe vba wsf wsh wsl msc "
    "msi msp mst".split()
)
_UTF8_MOST = 4
_KNOWN_SENDERS = 1000
_INVALID_REQUEST = 300


def _is_text(value: object) -> bool:
    return value is None or type(value) is str


def _is_flag(value: object) -> bool:
    return value is None or type(value) is bool


def _is_objects(value: object) -> bool:
    return value is None or (type(value) is list and all(type(item) is dict for item in value))


def _is_metadata(value: object) -> bool:
    if type(value) is not dict:
        return value is None
    return all(type(text) is str for text in value.values())


_TYPES: dict[str, Callable[[object], bool]] = {
    **dict.fromkeys(
        (
            "From",
            "To",
            "Cc",
            "Bcc",
            "ReplyTo",
            "Subject",
            "Tag",
            "TextBody",
            "HtmlBody",
            "MessageStream",
            "TrackLinks",
        ),
        _is_text,
    ),
    "TrackOpens": _is_flag,
    "Headers": _is_objects,
    "Attachments": _is_objects,
    "Metadata": _is_metadata,
}


def mistyped(item: Mapping[str, Any]) -> list[str]:
    """Name the fields of a message whose JSON type is wrong (ErrorCode 403). Unknown fields are ignored."""
    types = _TYPES
    return [
        name
        for name, value in item.items()
        if type(value) is not str
        and (check := types.get(name)) is not None
        and not check(value)
        or type(value) is str
        and types.get(name, _is_text) is not _is_text
    ]


@dataclass(slots=True, kw_only=True)
class Account:
    """What a Postmark server knows that decides about a message. `signatures` empty: every sender is confirmed."""

    streams: Mapping[str, str]
    signatures: frozenset[str] = frozenset()
    inactive: set[str] = field(default_factory=set)
    confirmed: set[str] = field(default_factory=set)


def check(item: Mapping[str, Any], account: Account, *, in_batch: bool) -> Envelope | Refusal:
    """Decide about one message whose field types are right: its envelope, or why it is refused."""
    get = item.get
    stream = get("MessageStream") or "outbound"
    kind = account.streams.get(stream)
    if kind is None:
        return Refusal(1235, texts.NO_STREAM.format(stream=stream))
    if kind == "Inbound":
        return Refusal(1236, texts.NOT_SENDING.format(stream=stream))
    sender = get("From") or ""
    if sender not in account.confirmed and (refusal := _check_sender(sender, account)) is not None:
        return refusal
    try:
        to, cc, bcc = _read(item, "To"), _read(item, "Cc"), _read(item, "Bcc")
        reply_to = get("ReplyTo")
        if reply_to:
            recipients.parse("ReplyTo", reply_to)
    except BadAddress as error:
        return Refusal(_INVALID_REQUEST, str(error))
    count = len(to) + len(cc) + len(bcc)
    if not count:
        return Refusal(_INVALID_REQUEST, texts.NO_RECIPIENTS)
    if count > RECIPIENTS:
        return _refuse(f"Too many recipients specified: {count}. The limit is {RECIPIENTS}.")
    refusal = _check_content(item) or _check_metadata(get("Metadata")) or _check_parts(item)
    if refusal is not None:
        return refusal
    envelope = Envelope(
        stream,
        sender,
        [one.email for one in to],
        [one.email for one in cc],
        [one.email for one in bcc],
        get("Subject") or "",
        get("Tag") or "",
        get("Metadata") or {},
        _extra(item, to, cc, bcc),
    )
    return _suppress(envelope, account.inactive, in_batch=in_batch) if account.inactive else envelope


def _refuse(message: str) -> Refusal:
    return Refusal(_INVALID_REQUEST, message)


def _read(item: Mapping[str, Any], name: str) -> list[Recipient]:
    value = item.get(name)
    return recipients.parse(name, value) if value else []


def _check_sender(sender: str, account: Account) -> Refusal | None:
    if len(sender) > FROM_LENGTH:
        return _refuse(f"Invalid 'From' value: longer than {FROM_LENGTH} characters.")
    try:
        found = recipients.parse("From", sender)
    except BadAddress as error:
        return _refuse(str(error))
    if not found:
        return _refuse("Invalid 'From' address: ''.")
    address = found[0].email
    if account.signatures and not _signed(address.lower(), account.signatures):
        return Refusal(400, texts.UNCONFIRMED.format(address=address))
    if len(account.confirmed) < _KNOWN_SENDERS:
        account.confirmed.add(sender)
    return None


def _signed(address: str, signatures: frozenset[str]) -> bool:
    return address in signatures or address.rpartition("@")[2] in signatures


def _check_content(item: Mapping[str, Any]) -> Refusal | None:
    text, html = item.get("TextBody"), item.get("HtmlBody")
    if not text and not html:
        return _refuse(texts.NO_BODY)
    if text and _longer(text, BODY_BYTES):
        return _refuse(f"The 'TextBody' is larger than {BODY_BYTES} bytes.")
    if html and _longer(html, BODY_BYTES):
        return _refuse(f"The 'HtmlBody' is larger than {BODY_BYTES} bytes.")
    subject, tag = item.get("Subject"), item.get("Tag")
    if (
        subject
        and len(subject) * 2 > SUBJECT_LENGTH
        and len(subject.encode("utf-16-le")) // 2 > SUBJECT_LENGTH
    ):
        return _refuse(f"The 'Subject' is longer than {SUBJECT_LENGTH} characters.")
    if tag and len(tag) > TAG_LENGTH:
        return _refuse(f"The 'Tag' is longer than {TAG_LENGTH} characters.")
    return None


def _longer(text: str, limit: int) -> bool:
    return len(text) * _UTF8_MOST > limit and len(text.encode()) > limit


def _check_metadata(metadata: Mapping[str, str] | None) -> Refusal | None:
    if not metadata:
        return None
    for key, value in metadata.items():
        if len(key) > METADATA_KEY_LENGTH or len(value) > METADATA_VALUE_LENGTH:
            return _refuse(texts.BAD_METADATA.format(key=key))
    if len(metadata) > METADATA_KEYS:
        return _refuse(
            f"Invalid metadata content. A message may have {METADATA_KEYS} metadata fields at most."
        )
    if len({key.lower() for key in metadata}) < len(metadata):
        return _refuse("Invalid metadata content. Field names may not differ only by case.")
    return None


def _check_parts(item: Mapping[str, Any]) -> Refusal | None:
    track_links = item.get("TrackLinks")
    if track_links and track_links not in TRACK_LINKS:
        return _refuse(f"Invalid 'TrackLinks' value: '{track_links}'.")
    headers, attachments = item.get("Headers"), item.get("Attachments")
    return (_check_headers(headers) if headers else None) or (
        _check_attachments(attachments) if attachments else None
    )


def _check_headers(headers: list[dict[str, Any]]) -> Refusal | None:
    for header in headers:
        name, value = header.get("Name"), header.get("Value")
        if type(name) is not str or type(value) is not str or not name:
            return _refuse("Invalid 'Headers': every header needs a 'Name' and a 'Value'.")
        if any(char in name or char in value for char in "\r\n\0"):
            return _refuse(f"Invalid 'Headers': '{name}' contains a line break.")
    return None


def _check_attachments(attachments: list[dict[str, Any]]) -> Refusal | None:
    for attachment in attachments:
        name, content = attachment.get("Name"), attachment.get("Content")
        if type(name) is not str or not name:
            return _refuse("Invalid 'Attachments': every attachment needs a 'Name'.")
        if name.rpartition(".")[2].lower() in FORBIDDEN_EXTENSIONS:
            return Refusal(411, f"Attachment '{name}' has a file type that is not allowed.")
        if type(content) is not str or not _is_base64(content):
            return _refuse(f"Invalid 'Attachments': the 'Content' of '{name}' is not base64.")
    return None


def _is_base64(content: str) -> bool:
    try:
        base64.b64decode("".join(content.split()), validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def _extra(
    item: Mapping[str, Any], to: list[Recipient], cc: list[Recipient], bcc: list[Recipient]
) -> dict[str, Any]:
    extra: dict[str, Any] = {}
    names = {one.email: one.name for group in (to, cc, bcc) for one in group if one.name}
    if names:
        extra["names"] = names
    attachments = item.get("Attachments")
    if attachments:
        extra["attachments"] = [attachment["Name"] for attachment in attachments]
    for field_name, key in (("TrackOpens", "track_opens"), ("TrackLinks", "track_links")):
        value = item.get(field_name)
        if value:
            extra[key] = value
    return extra


def _suppress(envelope: Envelope, inactive: set[str], *, in_batch: bool) -> Envelope | Refusal:
    everyone = [*envelope.to, *envelope.cc, *envelope.bcc]
    skipped = [email.lower() for email in everyone if email.lower() in inactive]
    if not skipped:
        return envelope
    if len(skipped) == len(everyone):
        whom = "a recipient that has been" if in_batch else "recipient(s) that have been"
        message = texts.INACTIVE.format(whom=whom, addresses=", ".join(skipped))
        return Refusal(406, message + " " if in_batch else message)
    return skip(envelope, skipped)


def skip(envelope: Envelope, skipped: list[str]) -> Envelope:
    """Give the envelope without the inactive addresses `skipped` (lower-case), which its `extra` then names."""
    to, cc, bcc = (
        [email for email in group if email.lower() not in skipped]
        for group in (envelope.to, envelope.cc, envelope.bcc)
    )
    return envelope._replace(to=to, cc=cc, bcc=bcc, extra={**envelope.extra, "skipped": skipped})
