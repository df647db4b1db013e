"""A mail as a test means it, before a client puts it into the words of its own interface. Standard library only."""

from __future__ import annotations

import base64
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A file; with `content_id` (without `cid:` and brackets) it is one that the HTML shows."""

    name: str
    content: bytes
    content_type: str
    content_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """One mail. Addresses are as in a header, with or without a display name; None and empty mean: not set."""

    sender: str = "Shop <shop@example.com>"
    to: tuple[str, ...] = ("jane@example.org",)
    cc: tuple[str, ...] = ()
    bcc: tuple[str, ...] = ()
    reply_to: str | None = None
    subject: str = "Your order"
    text: str | None = "Hello"
    html: str | None = None
    tag: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    attachments: tuple[Attachment, ...] = ()
    track_opens: bool | None = None
    #: Postmark's word: None, HtmlAndText, HtmlOnly or TextOnly. Anymail knows the first two only.
    track_links: str | None = None
    stream: str | None = None

    def to_document(self) -> dict[str, Any]:
        """Give it JSON-ready; `from_document` reads it back."""
        document = asdict(self)
        for attachment in document["attachments"]:
            attachment["content"] = base64.b64encode(attachment["content"]).decode()
        return document

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Letter:
        """Read what `to_document` gave."""
        attachments = tuple(
            Attachment(**{**one, "content": base64.b64decode(one["content"])})
            for one in document["attachments"]
        )
        lists = {name: tuple(document[name]) for name in ("to", "cc", "bcc")}
        return cls(**{**document, **lists, "attachments": attachments})
