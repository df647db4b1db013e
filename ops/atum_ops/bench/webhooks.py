"""How fast the webhook endpoint stores events: durable, the endpoint on one core, everything else on the others."""

from __future__ import annotations

import secrets
from base64 import b64encode
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import orjson
import psycopg

from atum_ops.bench import http, serving
from atum_ops.percentiles import percentile
from atum_ops.stack.local import LocalStack
from atum_ops.stack.ports import free_port
from atum_schema import webhook
from atum_schema.encryption import new_key
from atum_schema.errors import StackError
from atum_schema.ids import new_mail_id
from atum_schema.migrate import migrate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Events that an endpoint process has to store per second.
BAR: Final = 3000.0
_CONNECTIONS: Final = 64
_PATH: Final = "/webhooks/postmark"


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One measurement: every event answered with 200 as a new one, and found in the inbox."""

    events_per_second: float
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Stand:
    """The endpoint that is measured."""

    port: int
    database_url: str
    credentials: str


@contextmanager
def stand(directory: Path) -> Iterator[Stand]:
    """Run a private PostgreSQL and one endpoint process, which has one core of its own if there are several."""
    with ExitStack() as stack:
        postgres = stack.enter_context(LocalStack(directory, broker=False))
        migrate(postgres.database_url)
        port = free_port()
        credentials = f"postmark:{secrets.token_urlsafe(24)}"
        environment = {
            "ATUM_DATABASE_URL": postgres.database_url,
            "ATUM_CONTENT_KEYS": new_key("bench"),
            "ATUM_WEBHOOK_PORT": str(port),
            "ATUM_WEBHOOK_PATH": _PATH,
            "ATUM_WEBHOOK_BASIC": credentials,
        }
        stack.enter_context(serving.pinned(["api", "--only", "webhooks"], environment, says="serving"))
        yield Stand(port=port, database_url=postgres.database_url, credentials=credentials)


def measure(at: Stand, number: int) -> Round:
    """Tell so many events, one a request, on connections that are kept."""
    basic = b64encode(at.credentials.encode()).decode()
    told = [_event(place) for place in range(number)]
    requests = [
        http.request(
            _PATH,
            orjson.dumps(document),
            {"Authorization": f"Basic {basic}", "User-Agent": "Postmark", "X-PM-Webhook-Trace-Id": trace},
        )
        for trace, document in told
    ]
    identities = [webhook.identity(document, trace=trace) for trace, document in told]
    measured = serving.run(lambda: http.load(at.port, iter(requests), connections=_CONNECTIONS))
    if measured.statuses != {200: number}:
        raise StackError(f"not every event was taken; answers by status: {measured.statuses}")
    stored = _stored(at, identities)
    if stored != number:
        raise StackError(f"{number} events were answered with 200, and {stored} of them are in the inbox")
    return Round(
        events_per_second=number / measured.seconds,
        p50_ms=(percentile(measured.waits, 0.50) or 0.0) * 1000,
        p99_ms=(percentile(measured.waits, 0.99) or 0.0) * 1000,
    )


_SERVER: Final = (
    "Action: failed\r\nFinal-Recipient: rfc822;customer-{number}@example.org\r\nDiagnostic-Code: smtp;550 5.1.1 The email "
    "account that you tried to reach does not exist. Please try double-checking the recipient's email address for typos "
    "or unnecessary spaces.\r\nRemote-MTA: dns;mx{number}.example.org\r\nX-PowerMTA-BounceCategory: bad-mailbox\r\n"
)
_AGENT: Final = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari"


def _event(number: int) -> tuple[str, dict[str, Any]]:
    """Make an event as Postmark tells it, 1 to 2 KB, with its trace id."""
    trace = str(UUID(bytes=secrets.token_bytes(16)))
    document = {
        "MessageID": str(UUID(bytes=secrets.token_bytes(16))),
        "Recipient": f"customer-{number}@example.org",
        "MessageStream": "outbound",
        "ServerID": 1234567,
        "Tag": "order",
        "Metadata": {
            webhook.MAIL_KEY: str(new_mail_id()),
            webhook.BATCH_KEY: str(new_mail_id()),
            "order": str(number),
        },
    }
    kinds = (_delivery, _delivery, _open, _bounce)
    return trace, document | kinds[number % len(kinds)](number)


def _delivery(number: int) -> dict[str, Any]:
    return {
        "RecordType": "Delivery",
        "DeliveredAt": "2026-11-14T09:31:24.4386571Z",
        "Details": f"smtp;250 2.0.0 OK {_SERVER.format(number=number)}",
    }


def _open(number: int) -> dict[str, Any]:
    del number
    return {
        "RecordType": "Open",
        "ReceivedAt": "2026-11-14T09:40:02.1234567Z",
        "FirstOpen": True,
        "UserAgent": _AGENT,
        "ReadSeconds": 12,
        "Platform": "Desktop",
        "Client": {"Name": "Apple Mail", "Company": "Apple Inc.", "Family": "Apple Mail"},
        "OS": {"Name": "macOS 15", "Company": "Apple Inc.", "Family": "macOS"},
        "Geo": {
            "CountryISOCode": "AT",
            "Country": "Austria",
            "RegionISOCode": "AT-4",
            "Region": "Upper Austria",
            "City": "Linz",
            "Zip": "4020",
            "Coords": "48.3064,14.2861",
            "IP": "203.0.113.7",
        },
    }


def _bounce(number: int) -> dict[str, Any]:
    return {
        "RecordType": "Bounce",
        "ID": 4323372036854775 + number,
        "Type": "HardBounce",
        "TypeCode": 1,
        "Name": "Hard bounce",
        "Description": "The server was unable to deliver your message (ex: unknown user, mailbox not found).",
        "Details": _SERVER.format(number=number),
        "Email": f"customer-{number}@example.org",
        "From": "shop@example.com",
        "BouncedAt": "2026-11-14T09:31:30.7654321Z",
        "DumpAvailable": True,
        "Inactive": True,
        "CanActivate": True,
        "Subject": f"Order {number}",
    }


def _stored(at: Stand, identities: list[bytes]) -> int:
    with psycopg.connect(at.database_url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM atum.webhook_inbox WHERE dedupe = ANY(%s)", [identities]
        ).fetchone()
    return 0 if row is None else int(row[0])
