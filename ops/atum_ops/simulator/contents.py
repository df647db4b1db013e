"""The content of the latest accepted messages, as it was sent; the oldest goes first when it is too much."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Unknown fields are left out: the pages and the control side show what Postmark would have read.
_FIELDS = (
    "From",
    "To",
    "Cc",
    "Bcc",
    "ReplyTo",
    "Subject",
    "Tag",
    "TextBody",
    "HtmlBody",
    "Metadata",
    "MessageStream",
    "TrackOpens",
    "TrackLinks",
)
_OF_HEADER = ("Name", "Value")
_OF_ATTACHMENT = ("Name", "Content", "ContentType", "ContentID")


class _Body:
    """The bytes of one request, and how many of its messages are still kept."""

    __slots__ = ("left", "text")

    def __init__(self, text: bytes, left: int) -> None:
        self.text = text
        self.left = left


class Contents:
    """Keeps the content of `most` messages, and of fewer when their requests take more than `most_bytes` together.

    What is kept are the requests themselves, read again when somebody asks: almost nobody does.
    """

    def __init__(self, *, most: int, most_bytes: int) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._kept: OrderedDict[str, tuple[_Body, int]] = OrderedDict()
        self.bytes = 0

    def keep(self, text: bytes, message_ids: Sequence[str | None]) -> None:
        """Keep a request with one message or an array of them; their ids in order, None for those not accepted.

        Of a request larger than the bound nothing is kept.
        """
        accepted = [(message_id, at) for at, message_id in enumerate(message_ids) if message_id is not None]
        latest = accepted[-self._most :] if self._most else []
        if not latest or len(text) > self._most_bytes:
            return
        body = _Body(text, len(latest))
        self.bytes += len(text)
        for message_id, at in latest:
            self._kept[message_id] = (body, at)
        while len(self._kept) > self._most or self.bytes > self._most_bytes:
            self._forget_oldest()

    def get(self, message_id: str) -> dict[str, Any] | None:
        """Give the message as it was sent, without what is empty, or None when it is no longer kept."""
        found = self._kept.get(message_id)
        if found is None:
            return None
        body, at = found
        document = orjson.loads(body.text)
        return _known(document[at] if isinstance(document, list) else document)

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()
        self.bytes = 0

    def _forget_oldest(self) -> None:
        _, (body, _) = self._kept.popitem(last=False)
        body.left -= 1
        if not body.left:
            self.bytes -= len(body.text)


def _known(item: Mapping[str, Any]) -> dict[str, Any]:
    known: dict[str, Any] = {name: item[name] for name in _FIELDS if item.get(name)}
    for name, fields in (("Headers", _OF_HEADER), ("Attachments", _OF_ATTACHMENT)):
        if parts := item.get(name):
            known[name] = [{key: part[key] for key in fields if part.get(key)} for part in parts]
    return known
