"""Postmark's limits on subject, bodies, tag, metadata, headers and attachments.

Source: Postmark developer docs, "Send a single email". Lengths are in characters (the subject in UTF-16 units), sizes
in bytes of UTF-8. Each check gives the refusal, or None.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from atum_ops.simulator import texts
from atum_ops.simulator.texts import Refusal, invalid

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

BODY_BYTES = 5 * 1024 * 1024
SUBJECT_LENGTH = 2000
TAG_LENGTH = 1000
METADATA_KEYS = 10
METADATA_KEY_LENGTH = 20
METADATA_VALUE_LENGTH = 80
TRACK_LINKS = frozenset({"None", "HtmlAndText", "HtmlOnly", "TextOnly"})
# fmt: off
FORBIDDEN_EXTENSIONS = frozenset({
    "vbs", "exe", "bin", "bat", "chm", "com", "cpl", "crt", "hlp", "hta", "inf", "ins", "isp", "jse", "lnk", "mdb",
    "pcd", "pif", "reg", "scr", "sct", "shs", "vbe", "vba", "wsf", "wsh", "wsl", "msc", "msi", "msp", "mst",
})
# fmt: on
_MOST_UTF8_BYTES = 4
_MOST_UTF16_UNITS = 2


def check_content(item: Mapping[str, Any]) -> Refusal | None:
    """Check everything of a message but its stream, sender and recipients."""
    get = item.get
    refusal = _check_bodies(get("TextBody"), get("HtmlBody")) or _check_lengths(get("Subject"), get("Tag"))
    if refusal is None and (metadata := get("Metadata")):
        refusal = _check_metadata(metadata)
    if refusal is None and (headers := get("Headers")):
        refusal = _check_headers(headers)
    track_links = get("TrackLinks")
    if refusal is None and track_links and track_links not in TRACK_LINKS:
        refusal = invalid(f"Invalid 'TrackLinks' value: '{track_links}'.")
    if refusal is None and (attachments := get("Attachments")):
        refusal = _check_attachments(attachments)
    return refusal


def _check_bodies(text: str | None, html: str | None) -> Refusal | None:
    if not text and not html:
        return invalid(texts.NO_BODY)
    for name, body in (("TextBody", text), ("HtmlBody", html)):
        if body and len(body) * _MOST_UTF8_BYTES > BODY_BYTES and len(body.encode()) > BODY_BYTES:
            return invalid(f"The '{name}' is larger than {BODY_BYTES} bytes.")
    return None


def _check_lengths(subject: str | None, tag: str | None) -> Refusal | None:
    if (
        subject
        and len(subject) * _MOST_UTF16_UNITS > SUBJECT_LENGTH
        and len(subject.encode("utf-16-le")) // 2 > SUBJECT_LENGTH
    ):
        return invalid(f"The 'Subject' is longer than {SUBJECT_LENGTH} characters.")
    if tag and len(tag) > TAG_LENGTH:
        return invalid(f"The 'Tag' is longer than {TAG_LENGTH} characters.")
    return None


def _check_metadata(metadata: Mapping[str, str]) -> Refusal | None:
    for key, value in metadata.items():
        if len(key) > METADATA_KEY_LENGTH or len(value) > METADATA_VALUE_LENGTH:
            return invalid(texts.BAD_METADATA.format(key=key))
    if len(metadata) > METADATA_KEYS:
        return invalid(
            f"Invalid metadata content. A message may have {METADATA_KEYS} metadata fields at most."
        )
    if len(set(map(str.lower, metadata))) < len(metadata):
        return invalid("Invalid metadata content. Field names may not differ only by case.")
    return None


def _check_headers(headers: Sequence[Mapping[str, Any]]) -> Refusal | None:
    for header in headers:
        name, value = header.get("Name"), header.get("Value")
        if type(name) is not str or type(value) is not str or not name:
            return invalid("Invalid 'Headers': every header needs a 'Name' and a 'Value'.")
        if any(char in name or char in value for char in "\r\n\0"):
            return invalid(f"Invalid 'Headers': {name!a} contains a line break.")
    return None


def _check_attachments(attachments: Sequence[Mapping[str, Any]]) -> Refusal | None:
    for attachment in attachments:
        name, content = attachment.get("Name"), attachment.get("Content")
        if type(name) is not str or not name:
            return invalid("Invalid 'Attachments': every attachment needs a 'Name'.")
        if name.rpartition(".")[2].lower() in FORBIDDEN_EXTENSIONS:
            return Refusal(411, f"Attachment '{name}' has a file type that is not allowed.")
        if type(content) is not str or not _is_base64(content):
            return invalid(f"Invalid 'Attachments': the 'Content' of '{name}' is not base64.")
    return None


def _is_base64(content: str) -> bool:
    try:
        base64.b64decode("".join(content.split()), validate=True)
    except ValueError:
        return False
    return True
