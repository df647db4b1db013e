"""postmark-python, the official SDK, as published; `base_url` names the place.

It repeats a POST on 429, 500, 503 and timeouts by itself, which makes duplicates, so its retries are off unless a test
asks for them.
"""

from __future__ import annotations

import base64
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Any

import postmark.sync

from tests.clients import job

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pydantic import BaseModel

    from tests.clients.letter import Letter


def client(url: str, token: str, *, retries: int = 0) -> Any:
    return postmark.sync.ServerClient(token, retries=retries, timeout=60, base_url=url)


def send(url: str, token: str, letters: Sequence[Letter], retries: int = 0) -> list[dict[str, Any]]:
    messages = [message(letter) for letter in letters]
    with client(url, token, retries=retries) as sdk:
        answers = (
            [sdk.outbound.send(messages[0])] if len(messages) == 1 else sdk.outbound.send_batch(messages)
        )
        return [job.result(document(one)) for one in answers]


def template(url: str, token: str, letters: Sequence[Letter], alias: str) -> list[dict[str, Any]]:
    messages = [{**message(letter), "template_alias": alias, "template_model": {}} for letter in letters]
    for one in messages:
        for name in ("subject", "text_body", "html_body"):
            one.pop(name, None)
    with client(url, token) as sdk:
        if len(messages) == 1:
            return [job.result(document(sdk.outbound.send_with_template(messages[0])))]
        return [job.result(document(one)) for one in sdk.outbound.send_batch_with_template(messages)]


def search(url: str, token: str, query: Mapping[str, Any]) -> list[dict[str, Any]]:
    names = {"messagestream": "message_stream", "fromemail": "from_email"}
    given = {names.get(name, name): value for name, value in query.items()}
    with client(url, token) as sdk:
        return [document(one) for one in sdk.outbound.list(**given).items]


def details(url: str, token: str, message_id: str) -> dict[str, Any]:
    with client(url, token) as sdk:
        return document(sdk.outbound.get(message_id))


def server(url: str, token: str) -> dict[str, Any]:
    with client(url, token) as sdk:
        return document(sdk.server.get())


def streams(url: str, token: str) -> list[dict[str, Any]]:
    with client(url, token) as sdk:
        return [document(one) for one in sdk.stream.list().items]


def stream(url: str, token: str, stream: str) -> dict[str, Any]:
    with client(url, token) as sdk:
        return document(sdk.stream.get(stream))


def suppressions(url: str, token: str, stream: str) -> list[dict[str, Any]]:
    with client(url, token) as sdk:
        return [document(one) for one in sdk.suppressions.dump(stream)]


def suppress(url: str, token: str, stream: str, given: Sequence[str]) -> list[dict[str, Any]]:
    with client(url, token) as sdk:
        return [document(one) for one in sdk.suppressions.create(stream, given)]


def unsuppress(url: str, token: str, stream: str, given: Sequence[str]) -> list[dict[str, Any]]:
    with client(url, token) as sdk:
        return [document(one) for one in sdk.suppressions.delete(stream, given)]


def message(letter: Letter) -> dict[str, Any]:
    given = {
        "sender": letter.sender,
        "to": ", ".join(letter.to),
        "cc": ", ".join(letter.cc),
        "bcc": ", ".join(letter.bcc),
        "reply_to": letter.reply_to,
        "subject": letter.subject,
        "text_body": letter.text,
        "html_body": letter.html,
        "tag": letter.tag,
        "metadata": dict(letter.metadata),
        "headers": [{"name": name, "value": value} for name, value in letter.headers.items()],
        "track_opens": letter.track_opens,
        "track_links": letter.track_links,
        "message_stream": letter.stream,
        "attachments": [
            {
                "name": one.name,
                "content": base64.b64encode(one.content).decode(),
                "content_type": one.content_type,
                "content_id": f"cid:{one.content_id}" if one.content_id is not None else None,
            }
            for one in letter.attachments
        ],
    }
    return {name: value for name, value in given.items() if value not in (None, "")}


def document(model: BaseModel) -> dict[str, Any]:
    """Give a model under the provider's own names."""
    return {name: plain(value) for name, value in model.model_dump(by_alias=True).items()}


def plain(value: Any) -> Any:
    match value:
        case Enum():
            return value.value
        case datetime():
            return value.isoformat()
        case list():
            return [plain(one) for one in value]
        case dict():
            return {key: plain(one) for key, one in value.items()}
        case _:
            return value


def told(error: Exception) -> dict[str, Any]:
    return {"code": getattr(error, "error_code", None), "status": getattr(error, "http_status", None)}


if __name__ == "__main__":
    jobs: dict[str, Callable[..., Any]] = {
        "send": send,
        "template": template,
        "search": search,
        "details": details,
        "server": server,
        "streams": streams,
        "stream": stream,
        "suppressions": suppressions,
        "suppress": suppress,
        "unsuppress": unsuppress,
    }
    job.run(jobs, told=told)
