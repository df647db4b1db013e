"""From stored content to the items of a Postmark request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from atum_schema.webhook import BATCH_KEY, MAIL_KEY

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from atum_schema.document_content import Content

_PLAIN: Final = (
    ("text", "TextBody"),
    ("html", "HtmlBody"),
    ("tag", "Tag"),
    ("track_opens", "TrackOpens"),
    ("track_links", "TrackLinks"),
)
_LISTS: Final = (("to", "To"), ("cc", "Cc"), ("bcc", "Bcc"), ("reply_to", "ReplyTo"))


def item(content: Content, mail_id: UUID, batch_id: str) -> dict[str, Any]:
    """Render one mail (Postmark developer docs, "Send a single email"), marked with its own id and its batch's."""
    rendered: dict[str, Any] = {
        "From": content["from"],
        "Subject": content["subject"],
        "MessageStream": content["stream"],
        "Metadata": {**content.get("metadata", {}), MAIL_KEY: str(mail_id), BATCH_KEY: batch_id},
    }
    for ours, theirs in _LISTS:
        if ours in content:
            rendered[theirs] = ", ".join(content[ours])
    for ours, theirs in _PLAIN:
        if ours in content:
            rendered[theirs] = content[ours]
    if "headers" in content:
        rendered["Headers"] = [{"Name": name, "Value": value} for name, value in content["headers"]]
    if "attachments" in content:
        rendered["Attachments"] = [_attachment(each) for each in content["attachments"]]
    return rendered


def body(items: Sequence[dict[str, Any]]) -> bytes:
    """Render the request's body: one mail as an object, several as an array."""
    return orjson.dumps(items[0] if len(items) == 1 else list(items))


def _attachment(each: dict[str, str]) -> dict[str, str | None]:
    content_id = each.get("content_id")
    return {
        "Name": each["name"],
        "Content": each["content"],
        "ContentType": each["content_type"],
        "ContentID": None if content_id is None else f"cid:{content_id}",
    }
