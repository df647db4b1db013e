"""Attachments: bytes with a name. Never a path: what the caller did not read cannot be sent by mistake."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from atum_schema.errors import MailRejected
from atum_schema.limits import ATTACHMENT_NAME_CHARACTERS, FORBIDDEN_EXTENSIONS, HEADER_LINE_BYTES
from atum_schema.text_rules import require_line, require_str

_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"  # noqa: S105 (RFC 2045 token, not a secret)
_CONTENT_TYPE = re.compile(
    rf'{_TOKEN}/{_TOKEN}(?:[ \t]*;[ \t]*{_TOKEN}=(?:{_TOKEN}|"(?:[^"\\\x00-\x1f\x7f]|\\[ -~])*"))*'
)
_CONTENT_ID = re.compile(r"[!#$%&'*+\-/=?^_`{|}~0-9A-Za-z.@:\[\]]+")
# Small and fixed on purpose: the standard library's table reads files of the host and so differs between hosts.
_TYPES: Final = {
    "csv": "text/csv",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "eml": "message/rfc822",
    "gif": "image/gif",
    "htm": "text/html",
    "html": "text/html",
    "ics": "text/calendar",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "json": "application/json",
    "pdf": "application/pdf",
    "png": "image/png",
    "svg": "image/svg+xml",
    "txt": "text/plain",
    "vcf": "text/vcard",
    "webp": "image/webp",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "xml": "application/xml",
    "zip": "application/zip",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A file of the mail, always valid.

    `name` is a file name without any path, at most 255 characters, with an extension that Postmark carries.
    `content` is the file itself. `content_type` (RFC 2045 §5.1) is worked out from the extension if left empty.
    `content_id` makes it an inline part: HTML refers to it as ``cid:<content_id>``; given with or without
    "cid:" or angle brackets, kept without. Raises `MailRejected` ("name", "content", …).
    """

    name: str
    content: bytes = field(repr=False)
    content_type: str = ""
    content_id: str | None = None

    def __post_init__(self) -> None:
        _check_name(require_str("name", self.name))
        object.__setattr__(self, "content", _bytes(self.content))
        content_type = require_str("content_type", self.content_type) or type_of(self.name)
        object.__setattr__(self, "content_type", content_type)
        require_line("content_type", content_type, HEADER_LINE_BYTES // 2)
        if _CONTENT_TYPE.fullmatch(content_type) is None:
            raise MailRejected(
                "content_type", f"{content_type!r} is not a media type such as 'application/pdf'"
            )
        if self.content_id is not None:
            object.__setattr__(self, "content_id", _content_id(require_str("content_id", self.content_id)))

    @property
    def encoded_size(self) -> int:
        """Size in base64, in bytes: what counts against the provider's limit."""
        return 4 * ((len(self.content) + 2) // 3)


def attachments_of(value: Iterable[Attachment], *, field: str = "attachments") -> tuple[Attachment, ...]:
    """Check that all items are attachments. Raises `MailRejected` whose field carries the index."""
    if not isinstance(value, Iterable):
        raise MailRejected(field, f"must be a list of Attachment, not {type(value).__name__}")
    items = tuple(value)
    for index, item in enumerate(items):
        if not isinstance(item, Attachment):
            raise MailRejected(
                f"{field}[{index}]",
                f"must be an Attachment, not {type(item).__name__}; paths are not accepted",
            )
    return items


def type_of(name: str) -> str:
    """Media type for a file name, "application/octet-stream" if the extension says nothing."""
    return _TYPES.get(_extension(name), "application/octet-stream")


def extension_of(content_type: str) -> str:
    """File extension for a media type, "dat" if none is known."""
    return next((extension for extension, known in _TYPES.items() if known == content_type), "dat")


def _extension(name: str) -> str:
    # Trailing dots and spaces are dropped by Windows, so "run.exe. " is run.exe to the one who opens it.
    return name.rstrip(". ").rpartition(".")[2].lower()


def _check_name(name: str) -> None:
    require_line("name", name, ATTACHMENT_NAME_CHARACTERS)
    if not name.strip(". "):
        raise MailRejected("name", f"{name!r} is not a file name")
    if "/" in name or "\\" in name:
        raise MailRejected("name", f"{name!r} contains a path separator; give the bare file name")
    extension = _extension(name)
    if extension in FORBIDDEN_EXTENSIONS and "." in name:
        raise MailRejected("name", f"has the extension .{extension}, which Postmark does not carry")


def _bytes(content: object) -> bytes:
    if isinstance(content, bytes):
        return content
    if isinstance(content, (bytearray, memoryview)):
        return bytes(content)
    raise MailRejected("content", f"must be bytes, not {type(content).__name__}; paths are not accepted")


def _content_id(value: str) -> str:
    require_line("content_id", value, HEADER_LINE_BYTES // 2)
    bare = value.removeprefix("cid:")
    if bare.startswith("<") and bare.endswith(">"):
        bare = bare[1:-1]
    if _CONTENT_ID.fullmatch(bare) is None:
        raise MailRejected("content_id", f"{value!r} is not a content id")
    return bare
