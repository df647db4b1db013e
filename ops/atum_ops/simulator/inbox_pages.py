"""The HTML of the inbox. Whatever comes from a mail goes through `_text`; pure functions."""

from __future__ import annotations

import time
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_TO_SHOWN = 2
_ICON = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Cpath d='M1 3h14v10H1z' fill='%230b57d0'/%3E%3Cpath d='M1 4l7 5 7-5' fill='none' stroke='white'/%3E%3C/svg%3E"
_NOTE = (
    "A test bed: none of these mails was delivered. Addresses and bodies are shown in clear to whoever reaches this "
    "port, so keep it on loopback."
)
_FRAME = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><link rel="icon" href="{icon}"><link rel="stylesheet" href="/inbox/style.css"></head>
<body><header><h1><a href="/">Inbox</a></h1><span class="count">{count}</span>
<form action="/" role="search"><input name="q" type="search" value="{wanted}" placeholder="address, subject, tag …" aria-label="Search"><button>Search</button></form>
</header><main>
{body}
</main></body></html>
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """One page of the list."""

    #: Ledger records, newest first.
    records: Sequence[Mapping[str, Any]]
    #: How many there are on all pages.
    total: int
    #: From 1 to `pages`; past the end the page is empty.
    page: int
    pages: int
    #: What is searched for, or "".
    wanted: str
    #: Among how many of the newest mails.
    searched: int
    #: How many mails the simulator has accepted.
    accepted: int


def listing(one: Listing) -> str:
    """Give the list of accepted mails."""
    if one.records:
        rows = "\n".join(map(_row, one.records))
        body = f'<ul class="card mails">\n{rows}\n</ul>\n{_pager(one)}'
    else:
        why = "No mail matches." if one.wanted else "No mail has been accepted yet."
        why = "There is nothing on this page." if one.total else why
        body = f'<div class="card empty">{why}</div>'
    count = f"{one.accepted:,} accepted"
    if one.wanted:
        count = f"{one.total:,} of the newest {one.searched:,} match"
    body = f'<p class="note">{_NOTE}</p>\n{body}'
    return _frame(title="Inbox", count=count, body=body, wanted=one.wanted)


def mail(record: Mapping[str, Any], kept: Mapping[str, Any] | None, *, newest: int) -> str:
    """Give the page of one mail; `kept` is None when its content is no longer kept."""
    seq = record["seq"]
    subject = record["subject"]
    heading = f"<h2>{_text(subject)}</h2>" if subject.strip() else '<h2 class="none">(no subject)</h2>'
    parts = [
        _neighbours(seq, newest),
        heading,
        f'<section class="card"><dl>{_fields(record, kept or {})}</dl></section>',
        *_content(seq, kept),
        f'<p class="pages"><a href="/inbox/{seq}/json">Raw JSON</a></p>',
    ]
    return _frame(title=subject or "(no subject)", count=f"mail {seq:,} of {newest:,}", body="\n".join(parts))


def missing(why: str) -> str:
    """Give the page of what is not there."""
    return _frame(title="Not found", count="", body=f'<div class="card empty">{_text(why)}</div>')


def _frame(*, title: str, count: str, body: str, wanted: str = "") -> str:
    return _FRAME.format(title=_text(title), icon=_ICON, count=_text(count), wanted=_text(wanted), body=body)


def _row(record: Mapping[str, Any]) -> str:
    everyone = [*record["to"], *record["cc"], *record["bcc"]]
    to = ", ".join(everyone[:_TO_SHOWN])
    if len(everyone) > _TO_SHOWN:
        to += f" +{len(everyone) - _TO_SHOWN}"
    return (
        f'<li><a href="/inbox/{record["seq"]}"><span class="to">{_text(to)}</span>'
        f'<span class="subject">{_text(record["subject"].strip() or "(no subject)")}</span>'
        f'{_time(record["accepted_at"])}<span class="marks">{"".join(_marks(record))}</span></a></li>'
    )


def _marks(record: Mapping[str, Any]) -> Iterable[str]:
    if record["stream"] != "outbound":
        yield _chip(record["stream"])
    if record["tag"]:
        yield _chip(f"# {record['tag']}")
    if files := record.get("attachments"):
        yield _chip(f"{len(files)} file{'s' if len(files) > 1 else ''}")
    if skipped := record.get("skipped"):
        yield _chip(f"{len(skipped)} inactive left out", kind="bad")
    if record.get("status", "Sent") != "Sent":
        yield _chip(record["status"].lower())


def _pager(one: Listing) -> str:
    def link(page: int, text: str) -> str:
        query = urlencode({"q": one.wanted, "page": page} if one.wanted else {"page": page})
        return f'<a href="/?{_text(query)}">{text}</a>' if 1 <= page <= one.pages else "<span></span>"

    middle = f'<span class="quiet">page {one.page:,} of {one.pages:,}</span>' if one.pages > 1 else ""
    return f'<nav class="pages">{link(one.page - 1, "← Newer")}{middle}{link(one.page + 1, "Older →")}</nav>'


def _neighbours(seq: int, newest: int) -> str:
    newer = f'<a href="/inbox/{seq + 1}">← Newer</a>' if seq < newest else "<span></span>"
    older = f'<a href="/inbox/{seq - 1}">Older →</a>' if seq > 1 else "<span></span>"
    return f'<nav class="pages">{newer}<a href="/">All mails</a>{older}</nav>'


def _fields(record: Mapping[str, Any], kept: Mapping[str, Any]) -> str:
    names = {"To": "to", "Cc": "cc", "Bcc": "bcc"}
    shown = [("From", _text(record["from"]))]
    shown += [
        (name, _text(kept.get(name) or ", ".join(record[key]))) for name, key in names.items() if record[key]
    ]
    shown.append(("Reply-To", _text(kept.get("ReplyTo") or "")))
    shown.append(("Left out", _text(", ".join(record.get("skipped", ())))))
    shown.append(("Accepted", f"{_time(record['accepted_at'], whole=True)}"))
    shown.append(("Stream", _text(record["stream"])))
    shown.append(("Tag", _text(record["tag"])))
    shown.append(
        ("Metadata", " ".join(_chip(f"{key}: {value}") for key, value in record["metadata"].items()))
    )
    tracking = ["opens"] if record.get("track_opens") else []
    tracking += [f"links ({record['track_links']})"] if record.get("track_links", "None") != "None" else []
    shown.append(("Tracking", _text(", ".join(tracking))))
    shown.append(("MessageID", _text(record["message_id"])))
    shown += [(_text(one["Name"]), _text(one.get("Value", ""))) for one in kept.get("Headers", ())]
    return "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in shown if value)


def _content(seq: int, kept: Mapping[str, Any] | None) -> Iterable[str]:
    if kept is None:
        yield '<div class="card empty">The content of this mail is no longer kept.</div>'
        return
    if kept.get("HtmlBody"):
        yield (
            '<section class="card"><h3>HTML</h3>'
            f'<iframe sandbox src="/inbox/{seq}/html" title="The mail\'s HTML"></iframe></section>'
        )
    if kept.get("TextBody"):
        yield f'<section class="card"><h3>Text</h3><pre>{_text(kept["TextBody"])}</pre></section>'
    if files := kept.get("Attachments"):
        rows = "".join(_file(seq, number, one) for number, one in enumerate(files, 1))
        yield f'<section class="card"><h3>Attachments</h3><ul class="files">{rows}</ul></section>'


def _file(seq: int, number: int, one: Mapping[str, Any]) -> str:
    content = "".join(one.get("Content", "").split())
    size = len(content) * 3 // 4 - content.count("=")
    said = f"{one.get('ContentType', 'no type')}, {size:,} bytes"
    if one.get("ContentID"):
        said += f", {one['ContentID']}"
    return f'<li><a href="/inbox/{seq}/attachments/{number}">{_text(one["Name"])}</a> <span class="quiet">{_text(said)}</span></li>'


def _chip(text: str, *, kind: str = "") -> str:
    return f'<span class="chip {kind}">{_text(text)}</span>'


def _time(at: float, *, whole: bool = False) -> str:
    moment = time.gmtime(at)
    shown = time.strftime("%Y-%m-%d %H:%M:%S UTC" if whole else "%d %b %H:%M:%S", moment)
    return f'<time datetime="{time.strftime("%Y-%m-%dT%H:%M:%SZ", moment)}">{shown}</time>'


def _text(given: str) -> str:
    return escape(given, quote=True)
