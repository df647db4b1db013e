"""Postmark's read and management APIs, as far as the way back needs them.

Requests share transport, deadline and header with sending. Answers are bounded in size and time, and are never logged:
some hold live tokens.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote

import httpx
import orjson

from atum_schema.addresses import folded
from atum_schema.suppression import Entry
from atum_schema.webhook import ids_of, read_time, reason_and_origin
from atum_workers import transport
from atum_workers.classify import retry_after_s
from atum_workers.postmark import SERVER_HEADER, headers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from atum_workers.deadline import Deadline

#: Addresses in one request that suppresses (Postmark developer docs, "Suppressions API").
ADDRESSES_AT_ONCE: Final = 50
#: Bounces on a page, and how far paging reaches (Postmark developer docs, "Bounce API").
PAGE: Final = 500
REACH: Final = 10_000
_LARGEST: Final = 50_000_000
# The provider's clock in summer; in winter a time that is written so lies an hour later, which misses nothing either.
_NEW_YORK: Final = timezone(timedelta(hours=-4))
_NO_SUCH_MESSAGE: Final = 701
_REASONS: Final = {"HardBounce": "hard_bounce", "SpamComplaint": "complaint", "ManualSuppression": "manual"}
_ORIGINS: Final = {"Recipient": "recipient", "Customer": "customer", "Admin": "admin"}


class ProviderFailed(Exception):
    """The provider gave no answer that can be used; the text names no address and no token."""

    def __init__(
        self,
        text: str,
        *,
        status: int | None = None,
        code: int | None = None,
        retry_after_s: float | None = None,
        said: str | None = None,
    ) -> None:
        super().__init__(text)
        #: HTTP status; None: there was no answer.
        self.status = status
        #: Postmark's ErrorCode.
        self.code = code
        self.retry_after_s = retry_after_s
        #: Postmark's own words, which may have addresses in them: for who asked, never for a log.
        self.said = said

    @property
    def unauthorized(self) -> bool:
        """Whether the token is refused: nothing else will do either."""
        return self.status == httpx.codes.UNAUTHORIZED

    @property
    def is_of_all(self) -> bool:
        """Whether any other request would fail just so: the token is refused, or it asks too fast."""
        return self.unauthorized or self.status == httpx.codes.TOO_MANY_REQUESTS


class MessageEvent(NamedTuple):
    """One line of a message's story at the provider."""

    recipient: str
    #: Delivered, Transient, Opened, Bounced, LinkClicked or SubscriptionChanged.
    type: str
    #: As the provider writes it.
    received_at: str | None
    details: Mapping[str, Any]


class Details(NamedTuple):
    """What the provider knows of one message."""

    message_id: str
    stream: str | None
    #: Our ids; None in a message of somebody else.
    mail_id: UUID | None
    batch_id: UUID | None
    metadata: Mapping[str, Any]
    recipients: tuple[str, ...]
    events: tuple[MessageEvent, ...]


class BouncePage(NamedTuple):
    """Some of the bounces of a stream, the newest first, as the provider writes them."""

    total: int
    bounces: list[dict[str, Any]]


class Answer(NamedTuple):
    """What became of one address in a request that suppresses, or lifts."""

    address: str
    #: Suppressed, Deleted or Failed.
    status: str
    message: str | None


class PostmarkApi:
    """One server of Postmark, or the account. Thread-safe. Every method may raise `ProviderFailed`."""

    def __init__(self, *, base_url: str, token: str, header: str = SERVER_HEADER) -> None:
        self._clock = transport.Clock()
        self._client = transport.client(base_url, headers(token, header), self._clock)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def details(self, message_id: str, deadline: Deadline) -> Details | None:
        """Give what is known of a message; None where the provider does not know it."""
        try:
            found = self.ask("GET", f"/messages/outbound/{_in_path(message_id)}/details", deadline)
        except ProviderFailed as error:
            if error.code == _NO_SUCH_MESSAGE:
                return None
            raise
        return _details(message_id, _object(found))

    def bounces(
        self, stream: str, *, since: datetime, until: datetime | None = None, offset: int, deadline: Deadline
    ) -> BouncePage:
        """Give a page of a stream's bounces, complaints among them: from the day of `since` on, and up to `until`."""
        query: dict[str, str | int] = {
            "count": PAGE,
            "offset": offset,
            "messagestream": stream,
            # By the provider's calendar, which is not UTC: a day earlier misses nothing.
            "fromdate": (since - timedelta(days=1)).strftime("%Y-%m-%d"),
        }
        if until is not None:
            at_least = (until + timedelta(seconds=1)).astimezone(_NEW_YORK)
            query["todate"] = at_least.strftime("%Y-%m-%dT%H:%M:%S")
        found = _object(self.ask("GET", "/bounces", deadline, query=query))
        total, bounces = found.get("TotalCount"), found.get("Bounces")
        if type(total) is not int or not isinstance(bounces, list):
            raise ProviderFailed("the answer is no list of bounces")
        return BouncePage(total, [each for each in bounces if isinstance(each, dict)])

    def suppressions(self, stream: str, deadline: Deadline) -> list[Entry]:
        """Give whom a stream does not mail."""
        path = f"/message-streams/{_in_path(stream)}/suppressions/dump"
        entries = _object(self.ask("GET", path, deadline)).get("Suppressions")
        if not isinstance(entries, list):
            raise ProviderFailed("the answer is no list of suppressions")
        return [_entry(each) for each in entries]

    def suppress(self, stream: str, addresses: Sequence[str], deadline: Deadline) -> list[Answer]:
        """Ask that a stream does not mail these addresses (at most 50); give what became of each."""
        return self._tell(f"/message-streams/{_in_path(stream)}/suppressions", addresses, deadline)

    def unsuppress(self, stream: str, addresses: Sequence[str], deadline: Deadline) -> list[Answer]:
        """Ask that a stream mails these addresses again (at most 50); give what became of each."""
        return self._tell(f"/message-streams/{_in_path(stream)}/suppressions/delete", addresses, deadline)

    def streams(self, deadline: Deadline) -> list[str]:
        """Give the streams that send."""
        streams = _object(self.ask("GET", "/message-streams", deadline)).get("MessageStreams")
        if not isinstance(streams, list):
            raise ProviderFailed("the answer is no list of streams")
        return [
            each["ID"]
            for each in streams
            if isinstance(each, dict)
            and isinstance(each.get("ID"), str)
            and each.get("MessageStreamType") in {"Transactional", "Broadcasts"}
            and each.get("ArchivedAt") is None
        ]

    def ask(
        self,
        method: str,
        path: str,
        deadline: Deadline,
        *,
        query: Mapping[str, str | int] | None = None,
        body: Any = None,
    ) -> Any:
        """Make one request and give its JSON."""
        return self.ask_dated(method, path, deadline, query=query, body=body)[0]

    def ask_dated(
        self,
        method: str,
        path: str,
        deadline: Deadline,
        *,
        query: Mapping[str, str | int] | None = None,
        body: Any = None,
    ) -> tuple[Any, str | None]:
        """Make one request and give its JSON, and what the provider's clock said (the header Date)."""
        content = None if body is None else orjson.dumps(body)
        try:
            with (
                self._clock.bound(deadline),
                self._client.stream(method, path, params=query, content=content) as response,
            ):
                raw = _bounded(response)
        except httpx.HTTPError as error:
            raise ProviderFailed(type(error).__name__) from error
        return _read(response, raw), response.headers.get("date")

    def _tell(self, path: str, addresses: Sequence[str], deadline: Deadline) -> list[Answer]:
        body = {"Suppressions": [{"EmailAddress": address} for address in addresses]}
        answers = _object(self.ask("POST", path, deadline, body=body)).get("Suppressions")
        if not isinstance(answers, list):
            raise ProviderFailed("the answer is no list of suppressions")
        return [
            Answer(folded(str(each.get("EmailAddress", ""))), str(each.get("Status")), each.get("Message"))
            for each in answers
            if isinstance(each, dict)
        ]


def _bounded(response: httpx.Response) -> bytes:
    chunks, size = [], 0
    for chunk in response.iter_bytes():
        size += len(chunk)
        if size > _LARGEST:
            raise ProviderFailed(f"the answer has more than {_LARGEST:,} bytes", status=response.status_code)
        chunks.append(chunk)
    return b"".join(chunks)


def _read(response: httpx.Response, raw: bytes) -> Any:
    try:
        document = orjson.loads(raw)
    except orjson.JSONDecodeError:
        document = None
    if response.is_success and document is not None:
        return document
    code = document.get("ErrorCode") if isinstance(document, dict) else None
    code = code if type(code) is int else None
    text = f"HTTP {response.status_code}" + (f", ErrorCode {code}" if code is not None else "")
    said = document.get("Message") if isinstance(document, dict) else None
    raise ProviderFailed(
        text if not response.is_success else f"{text}: the answer is not JSON",
        status=response.status_code,
        code=code,
        retry_after_s=retry_after_s(response.headers, datetime.now(UTC)),
        said=said if isinstance(said, str) else None,
    )


def _object(document: Any) -> dict[str, Any]:
    if not isinstance(document, dict):
        raise ProviderFailed("the answer is no object")
    return document


def _in_path(text: str) -> str:
    return quote(text, safe="")


def _details(message_id: str, found: Mapping[str, Any]) -> Details:
    metadata = found.get("Metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    recipients, events = found.get("Recipients"), found.get("MessageEvents")
    stream = found.get("MessageStream")
    return Details(
        message_id,
        stream if isinstance(stream, str) else None,
        *ids_of(metadata),
        metadata,
        tuple(folded(each) for each in recipients or () if isinstance(each, str)),
        tuple(_event(each) for each in events or () if isinstance(each, dict)),
    )


def _event(document: Mapping[str, Any]) -> MessageEvent:
    details, at = document.get("Details"), document.get("ReceivedAt")
    return MessageEvent(
        folded(str(document.get("Recipient") or "")),
        str(document.get("Type") or ""),
        at if isinstance(at, str) else None,
        details if isinstance(details, dict) else {},
    )


def _entry(document: Any) -> Entry:
    if not isinstance(document, dict) or not isinstance(document.get("EmailAddress"), str):
        raise ProviderFailed("the answer is no list of suppressions")
    reason, origin = reason_and_origin(document)
    return Entry(
        address=document["EmailAddress"],
        reason=reason,
        origin=origin,
        created_at=read_time(document.get("CreatedAt")),
    )
