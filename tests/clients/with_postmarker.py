"""postmarker as published; `root_api_url` names the place. It has neither streams nor suppressions.

It joins paths to that URL in such a way that a path in it is lost.
"""

from __future__ import annotations

import base64
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from postmarker.core import PostmarkClient

from tests.clients import job

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tests.clients.letter import Attachment, Letter


@contextmanager
def client(url: str, token: str) -> Iterator[PostmarkClient]:
    made = PostmarkClient(server_token=token, root_api_url=url, timeout=60)
    with made.session:
        yield made


def send(url: str, token: str, letters: Sequence[Letter]) -> list[dict[str, Any]]:
    with client(url, token) as postmark:
        if len(letters) == 1:
            return [job.result(postmark.emails.send(**message(letters[0])))]
        return [job.result(one) for one in postmark.emails.send_batch(*map(message, letters))]


def template(url: str, token: str, letters: Sequence[Letter], alias: str) -> list[dict[str, Any]]:
    messages = [{**message(letter), "TemplateAlias": alias, "TemplateModel": {}} for letter in letters]
    for one in messages:
        for name in ("Subject", "TextBody", "HtmlBody"):
            del one[name]
    with client(url, token) as postmark:
        if len(messages) == 1:
            return [job.result(postmark.emails.send_with_template(**messages[0]))]
        return [job.result(one) for one in postmark.emails.send_template_batch(*messages)]


def search(url: str, token: str, query: Mapping[str, Any]) -> list[dict[str, Any]]:
    with client(url, token) as postmark:
        return [one.as_dict() for one in postmark.messages.outbound.all(**query)]


def details(url: str, token: str, message_id: str) -> dict[str, Any]:
    with client(url, token) as postmark:
        found: dict[str, Any] = postmark.messages.outbound.get(message_id).as_dict()
        return found


def server(url: str, token: str) -> dict[str, Any]:
    with client(url, token) as postmark:
        found: dict[str, Any] = postmark.server.get().as_dict()
        return found


def message(letter: Letter) -> dict[str, Any]:
    return {
        "From": letter.sender,
        "To": list(letter.to),
        "Cc": list(letter.cc),
        "Bcc": list(letter.bcc),
        "ReplyTo": letter.reply_to,
        "Subject": letter.subject,
        "TextBody": letter.text,
        "HtmlBody": letter.html,
        "Tag": letter.tag,
        "Metadata": letter.metadata,
        "Headers": dict(letter.headers),
        "Attachments": [attachment(one) for one in letter.attachments],
        "TrackOpens": letter.track_opens,
        "TrackLinks": letter.track_links or "None",
        "MessageStream": letter.stream,
    }


def attachment(one: Attachment) -> tuple[str, ...]:
    known = (one.name, base64.b64encode(one.content).decode(), one.content_type)
    return (*known, f"cid:{one.content_id}") if one.content_id is not None else known


def told(error: Exception) -> dict[str, Any]:
    response = getattr(error.__cause__ or error, "response", None)
    return {
        "code": getattr(error, "error_code", None),
        "status": response.status_code if response is not None else None,
    }


if __name__ == "__main__":
    jobs: dict[str, Callable[..., Any]] = {
        "send": send,
        "template": template,
        "search": search,
        "details": details,
        "server": server,
    }
    job.run(jobs, told=told)
