"""Searching the provider for messages by our own ids (Postmark developer docs, "Messages API", outbound search).

One metadata field per search; a page has at most 500 messages, and offset plus count stay within 10,000. The stream is
always given, because the provider looks in `outbound` alone otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import httpx
import orjson

from atum_schema.addresses import folded
from atum_schema.webhook import ids_of

if TYPE_CHECKING:
    from uuid import UUID

    from atum_workers.deadline import Deadline
    from atum_workers.transport import Clock

_PAGE: Final = 500
_REACH: Final = 10_000


class SearchFailed(Exception):
    """The search gave no answer that says anything; the text names no address and no token."""


class Found(NamedTuple):
    """A message that the provider has accepted from us."""

    mail_id: UUID
    batch_id: UUID
    message_id: str
    #: As `folded` writes addresses.
    recipients: frozenset[str]


def search(
    client: httpx.Client, clock: Clock, *, stream: str, key: str, value: UUID, deadline: Deadline
) -> list[Found]:
    """Find all messages of a stream whose metadata field `key` (MAIL_KEY or BATCH_KEY) is `value`.

    Raises `SearchFailed` when any page fails, does not come by the deadline, or does not add up.
    """
    found: list[Found] = []
    seen = 0
    for offset in range(0, _REACH, _PAGE):
        document = _page(client, clock, stream=stream, key=key, value=value, offset=offset, deadline=deadline)
        messages, total = document.get("Messages"), document.get("TotalCount")
        if not isinstance(messages, list) or type(total) is not int:
            raise SearchFailed("the answer is no list of messages")
        seen += len(messages)
        # A provider that ignores the filter would show messages of others: they prove nothing.
        read = [_read(message) for message in messages]
        found += [each for each in read if each is not None and value in {each.mail_id, each.batch_id}]
        if seen >= total:
            return found
        if not messages:
            raise SearchFailed(f"{seen} of {total} messages came")
    raise SearchFailed(f"more than {_REACH} messages")


def _page(
    client: httpx.Client, clock: Clock, *, stream: str, key: str, value: UUID, offset: int, deadline: Deadline
) -> dict[str, Any]:
    query: dict[str, str | int] = {
        "count": _PAGE,
        "offset": offset,
        "messagestream": stream,
        f"metadata_{key}": str(value),
    }
    try:
        with clock.bound(deadline):
            response = client.get("/messages/outbound", params=query)
    except httpx.HTTPError as error:
        raise SearchFailed(type(error).__name__) from error
    if response.status_code != httpx.codes.OK:
        raise SearchFailed(f"HTTP {response.status_code}")
    try:
        document = orjson.loads(response.content)
    except orjson.JSONDecodeError as error:
        raise SearchFailed("the answer is not JSON") from error
    if not isinstance(document, dict):
        raise SearchFailed("the answer is no object")
    return document


def _read(message: Any) -> Found | None:
    if not isinstance(message, dict):
        return None
    metadata, message_id, recipients = (message.get(name) for name in ("Metadata", "MessageID", "Recipients"))
    if not isinstance(metadata, dict) or not isinstance(message_id, str) or not message_id:
        return None
    mail_id, batch_id = ids_of(metadata)
    if mail_id is None or batch_id is None:
        return None
    addresses = recipients if isinstance(recipients, list) else []
    return Found(
        mail_id,
        batch_id,
        message_id,
        frozenset(folded(address) for address in addresses if isinstance(address, str)),
    )
