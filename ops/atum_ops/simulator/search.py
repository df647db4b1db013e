"""`GET /messages/outbound` and `/messages/outbound/{id}/details` (Postmark developer docs, "Messages API")."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

from atum_ops.simulator import texts
from atum_ops.simulator.texts import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from atum_ops.simulator.index import Page, Term
    from atum_ops.simulator.wire import Answer

MOST_PER_PAGE = 500
MOST_REACHABLE = 10_000
_EASTERN = ZoneInfo("America/New_York")
_DATE_ONLY = len("2026-01-01")
_DIGITS = re.compile(r"[0-9]{1,9}")
_BAD_QUERY = 700


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A search: exact terms, a time range (unix seconds, `to` not included), and the page."""

    terms: tuple[Term, ...]
    since: float | None
    before: float | None
    count: int
    offset: int


def parse_query(text: str) -> Query | Refusal:
    """Read a query string; keys are case-insensitive, unknown ones are ignored. Refused with ErrorCode 700."""
    given = {key.lower(): value for key, value in parse_qsl(text)}
    count, offset = _number(given.get("count", "")), _number(given.get("offset", "0"))
    if not 1 <= count <= MOST_PER_PAGE or offset < 0 or count + offset > MOST_REACHABLE:
        return Refusal(_BAD_QUERY, texts.BAD_PAGING)
    since = _moment(given.get("fromdate", ""))
    before = _moment(given.get("todate", ""), end_of_day=True)
    for name, moment in (("fromdate", since), ("todate", before)):
        if moment is None and given.get(name):
            return Refusal(_BAD_QUERY, texts.BAD_DATE.format(name=name, value=given[name]))
    return Query(terms=tuple(_terms(given)), since=since, before=before, count=count, offset=offset)


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


def details(record: Mapping[str, Any], *, text: str, html: str) -> dict[str, Any]:
    """Give a ledger record as the provider's message details. Nothing is delivered, so there are no events."""
    return {**message(record), "TextBody": text, "HtmlBody": html, "Body": "", "MessageEvents": []}


def _terms(given: Mapping[str, str]) -> list[Term]:
    terms: list[Term] = [("stream", given.get("messagestream") or "outbound")]
    if given.get("recipient"):
        terms.append(("recipient", given["recipient"].lower()))
    if given.get("tag"):
        terms.append(("tag", given["tag"].lower()))
    if given.get("status"):
        wanted = given["status"].capitalize()
        terms.append(("status", "Sent" if wanted == "Processed" else wanted))
    terms.extend((key, value) for key, value in given.items() if key.startswith("metadata_"))
    return terms


def _number(text: str) -> int:
    return int(text) if _DIGITS.fullmatch(text) else -1


def _moment(text: str, *, end_of_day: bool = False) -> float | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if len(text) == _DATE_ONLY and end_of_day:
        moment += timedelta(days=1)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=_EASTERN)
    return moment.timestamp()
