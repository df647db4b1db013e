"""The inbox: the accepted mails as pages for people, at `/` of the simulator. It needs no token and takes no script.

It shows addresses and bodies to whoever reaches the port, because this is a test bed; it is meant for loopback. What a
mail contains is foreign: every page says so to the browser by its Content-Security-Policy, on top of all escaping.
"""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote

import orjson

from atum_ops.simulator import inbox_pages
from atum_ops.simulator.exchange import Answer
from atum_ops.simulator.inbox_pages import Listing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from atum_ops.simulator.exchange import Request
    from atum_ops.simulator.ledger import Ledger
    from atum_ops.simulator.state import State

PER_PAGE = 50
#: So many of the newest mails are looked through: searching all of a long run would hold up every other request.
SEARCHED = 5000

_PATH = re.compile(r"/inbox/([0-9]{1,12})(?:/(html|json|attachments/([0-9]{1,4})))?")
_PAGE = (
    "default-src 'none'; style-src 'self'; img-src data:; frame-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
#: A page of its own, so that nothing has to be allowed to ours for its sake. `sandbox`: no script, no form, no origin.
_MAIL = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; form-action 'none'; base-uri 'none'; "
    "frame-ancestors 'self'; sandbox"
)
_FILE = "default-src 'none'; frame-ancestors 'none'; sandbox"
_ALWAYS = (
    "X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\nCross-Origin-Resource-Policy: same-origin\r\n"
    "X-DNS-Prefetch-Control: off\r\nCache-Control: no-store\r\n"
)
_IMAGE = re.compile(r"image/[a-z0-9.+-]+")
_CID = re.compile(r"""cid:([^"'\s<>()]+)""")
_MOST_INLINED = 32 * 1024 * 1024
_WHOLE_NUMBER = re.compile(r"[0-9]{1,9}")
_SEARCHED_FIELDS = ("from", "subject", "tag", "stream", "message_id")
_SEARCHED_LISTS = ("to", "cc", "bcc")


def is_inbox(method: str, path: str) -> bool:
    """Say whether a request, its path without a slash at the end, is for the inbox."""
    return method == "GET" and (path in {"", "/inbox"} or path.startswith("/inbox/"))


class Inbox:
    """Answers with pages made from the ledger and the content that is kept; changes nothing, counts as no request."""

    def __init__(self, state: State) -> None:
        self._state = state

    def answer(self, request: Request) -> Answer:
        """Give the page of a request."""
        path = request.path.lower().rstrip("/")
        if path in {"", "/inbox"}:
            return self._list(dict(parse_qsl(request.query)))
        if path == "/inbox/style.css":
            style = Path(__file__).with_name("inbox.css").read_bytes()
            return _answer(style, "text/css; charset=utf-8", policy=_FILE)
        match = _PATH.fullmatch(path)
        if match is None or not 1 <= int(match[1]) <= self._state.ledger.accepted:
            return _missing("There is no such mail.")
        return self._mail(int(match[1]), match[2] or "", int(match[3] or 0))

    def _mail(self, seq: int, part: str, number: int) -> Answer:
        record = self._state.ledger.record(seq)
        kept = self._state.contents.get(record["message_id"])
        if part == "json":
            document = orjson.dumps({"ledger": record, "message": kept}, option=orjson.OPT_INDENT_2)
            return _answer(document, "application/json", policy=_FILE)
        if part == "html":
            return _html(kept or {})
        if part:
            return _attachment((kept or {}).get("Attachments", []), number)
        return _page(inbox_pages.mail(record, kept, newest=self._state.ledger.accepted))

    def _list(self, query: Mapping[str, str]) -> Answer:
        ledger = self._state.ledger
        given = query.get("page", "1")
        page = max(int(given), 1) if _WHOLE_NUMBER.fullmatch(given) else 1
        wanted = query.get("q", "").strip()
        skipped = (page - 1) * PER_PAGE
        if wanted:
            found = search(ledger, wanted)
            records, total = found[skipped : skipped + PER_PAGE], len(found)
        else:
            records, total = newest(ledger, skip=skipped, count=PER_PAGE), ledger.accepted
        listing = Listing(
            records=records,
            total=total,
            page=page,
            pages=max(-(-total // PER_PAGE), 1),
            wanted=wanted,
            searched=min(ledger.accepted, SEARCHED),
            accepted=ledger.accepted,
        )
        return _page(inbox_pages.listing(listing))


def newest(ledger: Ledger, *, skip: int, count: int) -> list[dict[str, Any]]:
    """Give the `count` newest records after the `skip` newest, newest first."""
    last = ledger.accepted - skip
    if last <= 0:
        return []
    first = max(last - count, 0)
    blocks = ledger.blocks(after=first, limit=last - first)
    return [orjson.loads(line) for block in blocks for line in block.splitlines()][::-1]


def search(ledger: Ledger, wanted: str) -> list[dict[str, Any]]:
    """Give those of the newest `SEARCHED` records that contain every word, newest first."""
    words = wanted.casefold().split()
    found = []
    for record in newest(ledger, skip=0, count=SEARCHED):
        text = _searchable(record)
        if all(word in text for word in words):
            found.append(record)
    return found


def _searchable(record: Mapping[str, Any]) -> str:
    parts = [record[name] for name in _SEARCHED_FIELDS]
    parts += [address for name in _SEARCHED_LISTS for address in record[name]]
    parts += record["metadata"].values()
    return "\n".join(parts).casefold()


def _html(kept: Mapping[str, Any]) -> Answer:
    text = kept.get("HtmlBody")
    if not text:
        return _missing("This mail has no HTML, or it is no longer kept.")
    shown = _with_images(text, kept.get("Attachments", ()))
    return _answer(shown.encode(errors="replace"), "text/html; charset=utf-8", policy=_MAIL)


def _with_images(html: str, attachments: Sequence[Mapping[str, Any]]) -> str:
    """Put the images that the mail brings along where its HTML names them, until the page is `_MOST_INLINED` larger."""
    left = _MOST_INLINED
    images: dict[str, str] = {}
    for attachment in attachments:
        media = attachment.get("ContentType", "").lower()
        if attachment.get("ContentID") and _IMAGE.fullmatch(media):
            content = base64.b64encode(_decoded(attachment)).decode()
            images[attachment["ContentID"].removeprefix("cid:")] = f"data:{media};base64,{content}"

    def put(match: re.Match[str]) -> str:
        nonlocal left
        image = images.get(match[1])
        if image is None or len(image) > left:
            return match[0]
        left -= len(image)
        return image

    return _CID.sub(put, html) if images else html


def _attachment(attachments: Sequence[Mapping[str, Any]], number: int) -> Answer:
    if not 1 <= number <= len(attachments):
        return _missing("There is no such attachment, or it is no longer kept.")
    chosen = attachments[number - 1]
    name = quote(chosen["Name"], safe="", errors="replace")
    # Never as what it says it is: a browser would show it as a page of ours.
    return _answer(
        _decoded(chosen),
        "application/octet-stream",
        policy=_FILE,
        extra=f"Content-Disposition: attachment; filename=\"attachment\"; filename*=UTF-8''{name}\r\n",
    )


def _decoded(attachment: Mapping[str, Any]) -> bytes:
    return base64.b64decode(attachment.get("Content", ""))


def _missing(why: str) -> Answer:
    return _page(inbox_pages.missing(why), status=404)


def _page(text: str, *, status: int = 200) -> Answer:
    return _answer(text.encode(errors="replace"), "text/html; charset=utf-8", policy=_PAGE, status=status)


def _answer(body: bytes, content_type: str, *, policy: str, status: int = 200, extra: str = "") -> Answer:
    headers = f"Content-Security-Policy: {policy}\r\n{_ALWAYS}{extra}"
    return Answer(body=body, status=status, content_type=content_type, extra=headers)
