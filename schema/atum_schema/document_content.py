"""The content of a mail as it is stored: all that the provider needs to send it, nothing to decide again.

Content is written once from a checked mail and trusted when read. Keys with no value are left out:

- "from", "subject", "stream": strings, always there
- "to", always there; "cc", "bcc", "reply_to": lists of rendered mailboxes
- "text", "html", "tag": strings
- "headers": list of [name, value]
- "attachments": list of {"name", "content" (base64), "content_type", "content_id" (only inline)}
- "metadata": object of strings
- "track_opens": boolean; "track_links": value of `TrackLinks`
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Any, TypeAlias

import orjson

if TYPE_CHECKING:
    from atum_schema.addresses import Address
    from atum_schema.mail import Mail
    from atum_schema.mail_attachments import Attachment

Content: TypeAlias = dict[str, Any]


def content_of(mail: Mail) -> bytes:
    """Render a mail into stored content, UTF-8 JSON. A mail with HTML alone gets a text body here."""
    content: Content = {
        "from": str(mail.sender),
        "to": _rendered(mail.to),
        "subject": mail.subject,
        "stream": mail.stream,
    }
    if mail.text:
        content["text"] = mail.text
    elif derived := _derived_text(mail):
        content["text"] = derived
    if mail.html:
        content["html"] = mail.html
    if mail.cc:
        content["cc"] = _rendered(mail.cc)
    if mail.bcc:
        content["bcc"] = _rendered(mail.bcc)
    if mail.reply_to:
        content["reply_to"] = _rendered(mail.reply_to)
    if mail.tag is not None:
        content["tag"] = mail.tag
    if mail.metadata:
        content["metadata"] = dict(mail.metadata)
    _add_rare(content, mail)
    return orjson.dumps(content)


def decode_content(data: bytes) -> Content:
    """Read stored content back, without checking it again."""
    content: Content = orjson.loads(data)
    return content


def mail_of(content: Content) -> Mail:
    """Make the mail again that stored content was written from, all rules checked; its inverse is `content_of`.

    What is not content (lane, times, key, policy) is not in it. Raises `MailRejected` when the rules have become
    stricter since.
    """
    from atum_schema.mail import Attachment, Mail

    return Mail(
        sender=content["from"],
        to=content["to"],
        cc=content.get("cc", ()),
        bcc=content.get("bcc", ()),
        reply_to=content.get("reply_to", ()),
        subject=content["subject"],
        text=content.get("text"),
        html=content.get("html"),
        attachments=[
            Attachment(
                name=each["name"],
                content=b64decode(each["content"]),
                content_type=each["content_type"],
                content_id=each.get("content_id"),
            )
            for each in content.get("attachments", ())
        ],
        headers=[(name, value) for name, value in content.get("headers", ())],
        tag=content.get("tag"),
        metadata=content.get("metadata", {}),
        stream=content["stream"],
        track_opens=content.get("track_opens"),
        track_links=content.get("track_links"),
    )


def _add_rare(content: Content, mail: Mail) -> None:
    if mail.headers:
        content["headers"] = [[header.name, header.value] for header in mail.headers]
    if mail.attachments:
        content["attachments"] = [attachment_document(each) for each in mail.attachments]
    if mail.track_opens is not None:
        content["track_opens"] = mail.track_opens
    if mail.track_links is not None:
        content["track_links"] = mail.track_links.value


def attachment_document(attachment: Attachment) -> dict[str, str]:
    """Write an attachment as JSON object, its content in base64."""
    document = {
        "name": attachment.name,
        "content": b64encode(attachment.content).decode("ascii"),
        "content_type": attachment.content_type,
    }
    if attachment.content_id is not None:
        document["content_id"] = attachment.content_id
    return document


def _rendered(addresses: tuple[Address, ...]) -> list[str]:
    return [str(address) for address in addresses]


def _derived_text(mail: Mail) -> str:
    from atum_schema.text import derived_text

    return derived_text(mail)
