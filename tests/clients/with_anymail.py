"""django-anymail's Postmark backend as published; the setting `POSTMARK_API_URL` names the place.

Its batch is one message to many, with metadata and headers of each recipient; letters that differ in more are sent one
by one over one connection.
"""

from __future__ import annotations

from dataclasses import replace
from email.utils import parseaddr
from typing import TYPE_CHECKING, Any

import django
from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection

from tests.clients import job

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.clients.letter import Letter

_STATUSES = {"sent", "queued"}


def send(url: str, token: str, letters: Sequence[Letter]) -> list[dict[str, Any]]:
    configure(url, token)
    if len(letters) > 1 and alike(letters):
        return deliver([batch(letters)])
    return deliver([message(letter) for letter in letters])


def template(url: str, token: str, letters: Sequence[Letter], alias: str) -> list[dict[str, Any]]:
    configure(url, token)
    plain = [replace(letter, subject="", text="", html=None) for letter in letters]
    made = batch(plain) if len(plain) > 1 else message(plain[0])
    made.template_id = alias
    return deliver([made])


def configure(url: str, token: str) -> None:
    settings.configure(
        EMAIL_BACKEND="anymail.backends.postmark.EmailBackend",
        ANYMAIL={"POSTMARK_SERVER_TOKEN": token, "POSTMARK_API_URL": url, "REQUESTS_TIMEOUT": 60},
        INSTALLED_APPS=["anymail"],
    )
    django.setup()


def deliver(messages: Sequence[Any]) -> list[dict[str, Any]]:
    """Send, and tell what anymail knows: a status and an id for each recipient, but no code."""
    with get_connection() as connection:
        connection.send_messages(messages)
    return [
        {
            "accepted": status.status in _STATUSES,
            "message_id": status.message_id,
            "code": None,
            "message": f"{address}: {status.status}",
        }
        for one in messages
        for address, status in one.anymail_status.recipients.items()
    ]


def alike(letters: Sequence[Letter]) -> bool:
    bare = {repr(replace(letter, to=(), metadata={}, headers={})) for letter in letters}
    return len(bare) == 1 and all(len(letter.to) == 1 for letter in letters)


def batch(letters: Sequence[Letter]) -> Any:
    made = message(replace(letters[0], to=tuple(letter.to[0] for letter in letters), metadata={}, headers={}))
    made.merge_metadata = {parseaddr(letter.to[0])[1]: dict(letter.metadata) for letter in letters}
    made.merge_headers = {parseaddr(letter.to[0])[1]: dict(letter.headers) for letter in letters}
    return made


def message(letter: Letter) -> Any:
    made: Any = EmailMultiAlternatives(
        subject=letter.subject,
        body=letter.text or "",
        from_email=letter.sender,
        to=list(letter.to),
        cc=list(letter.cc),
        bcc=list(letter.bcc),
        reply_to=[letter.reply_to] if letter.reply_to is not None else None,
        headers=dict(letter.headers),
    )
    if letter.html is not None:
        made.attach_alternative(letter.html, "text/html")
    for one in letter.attachments:
        if one.content_id is None:
            made.attach(one.name, one.content, one.content_type)
        else:
            made.attach(inline(one.name, one.content, one.content_type, one.content_id))
    if letter.metadata:
        made.metadata = dict(letter.metadata)
    if letter.tag is not None:
        made.tags = [letter.tag]
    if letter.track_opens is not None:
        made.track_opens = letter.track_opens
    if letter.track_links is not None:
        made.track_clicks = letter.track_links == "HtmlAndText"
    if letter.stream is not None:
        made.esp_extra = {"MessageStream": letter.stream}
    return made


def inline(name: str, content: bytes, content_type: str, content_id: str) -> Any:
    from email.mime.image import MIMEImage

    image = MIMEImage(content, _subtype=content_type.partition("/")[2])
    image.add_header("Content-Disposition", "inline", filename=name)
    image.add_header("Content-ID", f"<{content_id}>")
    return image


def told(error: Exception) -> dict[str, Any]:
    status = getattr(error, "status_code", None)
    response = getattr(error, "response", None)
    document = (
        response.json() if response is not None and "json" in response.headers["Content-Type"] else None
    )
    return {"status": status, "code": document.get("ErrorCode") if isinstance(document, dict) else None}


if __name__ == "__main__":
    job.run({"send": send, "template": template}, told=told)
