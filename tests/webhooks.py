"""The webhook endpoint as a process of its own, for tests, and events to tell it."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, ClassVar

import httpx
import orjson
import psycopg

from atum_schema.encryption import Keyring
from tests.api import CONTENT_KEYS, Api
from tests.no_tls import NO_TLS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PATH = "/webhooks/postmark"
USER = "postmark"
PASSWORD = "correct:horse battery<%41>"
SECRET = "a secret that a header carries"
KEY = "a key of our own relay that signs what it passes on"
BASIC = {"ATUM_WEBHOOK_BASIC": f"{USER}:{PASSWORD}"}


class WebhookEndpoint(Api):
    """Context manager: `atum-mailer api --only webhooks` on a free port; Basic credentials unless `settings` say more."""

    arguments: ClassVar[Sequence[str]] = ("api", "--only", "webhooks")
    says: ClassVar[str] = '"serving"'
    port_variable: ClassVar[str] = "ATUM_WEBHOOK_PORT"

    def __init__(self, database_url: str, *, settings: Mapping[str, str] | None = None) -> None:
        super().__init__(database_url, settings=BASIC if settings is None else settings)

    def tell(
        self,
        document: Any,
        *,
        basic: tuple[str, str] | None = (USER, PASSWORD),
        trace: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Tell one event, or any bytes, on a connection of its own."""
        body = document if isinstance(document, bytes) else orjson.dumps(document)
        sent = {"Content-Type": "application/json", **(headers or {})}
        if trace is not None:
            sent["X-PM-Webhook-Trace-Id"] = trace
        auth = None if basic is None else httpx.BasicAuth(basic[0].encode(), basic[1].encode())
        return httpx.post(self.url + PATH, content=body, headers=sent, auth=auth, timeout=60, verify=NO_TLS)


def delivery(**fields: Any) -> dict[str, Any]:
    """Make the document of a Delivery event of a message of its own."""
    return {
        "RecordType": "Delivery",
        "MessageID": str(uuid.uuid4()),
        "Recipient": "jane@example.net",
        "DeliveredAt": "2026-11-14T09:31:24.4386571Z",
        "MessageStream": "outbound",
        "Details": "smtp;250 2.0.0 OK",
    } | fields


def stored(database_url: str) -> list[bytes]:
    """Give the bodies in the inbox, decrypted, in the order in which they came."""
    keyring = Keyring(CONTENT_KEYS)
    with psycopg.connect(database_url) as connection:
        rows = connection.execute("SELECT key_id, id, body FROM atum.webhook_inbox ORDER BY id").fetchall()
    return [keyring.decrypt(event_id, key_id, body) for key_id, event_id, body in rows]


def counted(database_url: str) -> dict[str, int]:
    """Give what was counted of webhooks, as `name` or `name: reason`."""
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "SELECT name, reason, number FROM atum.tally WHERE name LIKE 'webhook%%' ORDER BY name, reason"
        ).fetchall()
    return {f"{name}: {reason}" if reason else name: number for name, reason, number in rows}
