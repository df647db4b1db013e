"""`GET /messages/outbound` and `/messages/outbound/{id}/details` (Postmark developer docs, "Messages API")."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

from atum_ops.simulator import texts
from atum_ops.simulator.texts import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from atum_ops.simulator.exchange import Answer
    from atum_ops.simulator.index import Page, Term

MOST_PER_PAGE = 500
MOST_REACHABLE = 10_000
_EASTERN = ZoneInfo("America/New_York")
_DATE_ONLY = len("2026-01-01")
_DIGITS = re.compile(r"[0-9]{1,9}")
_BAD_QUERY = 700
_METADATA = "metadata_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A search: exact terms, a time range (unix seconds, `before` not included), and the page.

    `sender` and `subject` must be equal, whatever their case; "" is any. `any_stream` says that the search named no
    stream, so that the default was taken.
    """

    terms: tuple[Term, ...]
    any_stream: bool
    sender: str
    subject: str
    since: float | None
    before: float | None
    count: int
    offset: int

    @property
    def only(self) -> Callable[[Mapping[str, Any]], bool] | None:
        """What a record must meet besides the terms, or None."""
        return self._meets if self.sender or self.subject else None

    def _meets(self, record: Mapping[str, Any]) -> bool:
        sender = record["from"].rpartition("<")[2].rstrip("> ").strip().lower()
        return self.sender in {"", sender} and self.subject in {"", record["subject"].lower()}


def parse_query(text: str) -> Query | Refusal:
    """Read a query string; keys are case-insensitive, unknown ones are ignored. Refused with ErrorCode 700."""
    given = {key.lower(): value for key, value in parse_qsl(text, keep_blank_values=True)}
    page = paging(given)
    if page is None:
        return Refusal(_BAD_QUERY, texts.BAD_PAGING)
    count, offset = page
    if sum(key.startswith(_METADATA) for key in given) > 1:
        return Refusal(_BAD_QUERY, texts.ONE_METADATA)
    since = moment(given.get("fromdate", ""))
    before = moment(given.get("todate", ""), end_of_day=True)
    for name, when in (("fromdate", since), ("todate", before)):
        if when is None and given.get(name):
            return Refusal(_BAD_QUERY, texts.BAD_DATE.format(name=name, value=given[name]))
    return Query(
        terms=tuple(_terms(given)),
        any_stream=not given.get("messagestream"),
        sender=given.get("fromemail", "").lower(),
        subject=given.get("subject", "").lower(),
        since=since,
        before=before,
        count=count,
        offset=offset,
    )


def paging(given: Mapping[str, str]) -> tuple[int, int] | None:
    """Read `count` and `offset` of a query; None when they are wrong, or reach too far."""
    count, offset = _number(given.get("count", "")), _number(given.get("offset", "0"))
    if not 1 <= count <= MOST_PER_PAGE or offset < 0 or count + offset > MOST_REACHABLE:
        return None
    return count, offset


def unfiltered(query: Query) -> Query:
    """Give a search as the fault `search_unfiltered` reads it: without a stream, metadata does not count."""
    if not query.any_stream:
        return query
    return replace(query, terms=tuple(term for term in query.terms if not term[0].startswith(_METADATA)))


def page_answer(page: Page) -> Answer:
    """Give one page in the provider's shape."""
    return texts.json_answer(
        {"TotalCount": page.total, "Messages": [message(record) for record in page.records]}
    )


def message(record: Mapping[str, Any]) -> dict[str, Any]:
    """Give a ledger record as the Message object of the provider."""
    names = record.get("names", {})

    def full(name: str) -> list[dict[str, Any]]:
        return [{"Email": email, "Name": names.get(email)} for email in record[name]]

    return {
        "Tag": record["tag"],
        "MessageID": record["message_id"],
        "MessageStream": record["stream"],
        "To": full("to"),
        "Cc": full("cc"),
        "Bcc": full("bcc"),
        "Recipients": [email for name in ("to", "cc", "bcc") for email in record[name]],
        "ReceivedAt": texts.timestamp(record["accepted_at"]),
        "From": record["from"],
        "Subject": record["subject"],
        "Attachments": record.get("attachments", []),
        "Status": record.get("status", "Sent"),
        "TrackOpens": record.get("track_opens", False),
        "TrackLinks": record.get("track_links", "None"),
        "Metadata": record["metadata"],
        "Sandboxed": False,
    }


def details(
    record: Mapping[str, Any], *, text: str, html: str, events: list[dict[str, Any]]
) -> dict[str, Any]:
    """Give a ledger record as the provider's message details."""
    return {**message(record), "TextBody": text, "HtmlBody": html, "Body": "", "MessageEvents": events}


def _terms(given: Mapping[str, str]) -> list[Term]:
    terms: list[Term] = [("stream", given.get("messagestream") or "outbound")]
    if given.get("recipient"):
        terms.append(("recipient", given["recipient"].lower()))
    if given.get("tag"):
        terms.append(("tag", given["tag"].lower()))
    if given.get("status"):
        wanted = given["status"].capitalize()
        terms.append(("status", "Sent" if wanted == "Processed" else wanted))
    terms.extend((key, value) for key, value in given.items() if key.startswith(_METADATA))
    return terms


def _number(text: str) -> int:
    return int(text) if _DIGITS.fullmatch(text) else -1


def moment(text: str, *, end_of_day: bool = False) -> float | None:
    """Read a date of a query as unix seconds, Eastern time unless it says otherwise; None when it is none."""
    if not text:
        return None
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return None
    if len(text) == _DATE_ONLY and end_of_day:
        when += timedelta(days=1)
    if when.tzinfo is None:
        when = when.replace(tzinfo=_EASTERN)
    return when.timestamp()
