"""Events as the provider tells them, stored and applied by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from atum_schema import inbox
from atum_schema.encryption import Keyring
from atum_schema.script import run
from atum_workers.apply_events import Applying
from atum_workers.event import Whose

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from atum_workers.telling import Place as Told
    from tests.command_line import Place

AT = "2026-11-05T16:33:54.9070259Z"
LATER = "2026-11-05T17:33:54.9070259Z"
MESSAGE = "0a129aee-e1cd-480d-b08d-4f48548ff48d"


def event(record: str, mail_id: UUID, batch: UUID, **fields: Any) -> dict[str, Any]:
    """Make an event about a mail's recipient `r0@example.net`; a field that is `...` is left out."""
    whole = {
        "RecordType": record,
        "MessageStream": "outbound",
        "MessageID": MESSAGE,
        "Metadata": {"atum-mail": str(mail_id), "atum-batch": str(batch)},
        ("Email" if record in {"Bounce", "SpamComplaint"} else "Recipient"): "r0@example.net",
        **_OF.get(record, {}),
        **fields,
    }
    return {name: value for name, value in whole.items() if value is not ...}


_OF: dict[str, dict[str, Any]] = {
    "Delivery": {"DeliveredAt": AT, "Details": "250 OK"},
    "Bounce": {"ID": 17, "Type": "HardBounce", "TypeCode": 1, "Inactive": True, "BouncedAt": AT},
    "SpamComplaint": {"ID": 18, "Type": "SpamComplaint", "TypeCode": 100001, "BouncedAt": AT},
    "Open": {"ReceivedAt": AT, "FirstOpen": True},
    "Click": {"ReceivedAt": AT, "OriginalLink": "https://example.com/"},
    "SubscriptionChange": {
        "ChangedAt": AT,
        "SuppressSending": True,
        "SuppressionReason": "ManualSuppression",
    },
}


def tell(place: Place, *documents: Any, source: str = "webhook") -> int:
    """Store events; give how many were new."""
    keyring = Keyring(place.environment["ATUM_CONTENT_KEYS"])
    arrivals = [
        inbox.arrival(
            document if isinstance(document, bytes) else orjson.dumps(document),
            document if isinstance(document, dict) else {"raw": repr(document)},
            keyring=keyring,
            trace=None if isinstance(document, dict) else repr(document),
        )
        for document in documents
    ]
    return len(run(place.connection, inbox.storing(arrivals, source=source, key_id=keyring.active)))


def nobody(message_id: str) -> Told | Whose:
    """A provider that knows no message."""
    del message_id
    return Whose.UNHEARD_OF


def applying(
    place: Place, *, locate: Callable[[str], Told | Whose] = nobody, park_s: float = 3600
) -> Applying:
    """Make what applies events."""
    keyring = Keyring(place.environment["ATUM_CONTENT_KEYS"])
    return Applying(keyring=keyring, locate=locate, drop_content=True, park_s=park_s)


def apply_all(place: Place, **settings: Any) -> None:
    """Apply all events that are due, or wait for their mail."""
    place.sql("UPDATE atum.webhook_inbox SET due_at = now() WHERE state IN ('new', 'parked')")
    one = applying(place, **settings)
    for _ in range(100):
        if not one.round(place.connection):
            return
    raise AssertionError("there is no end to it")


def facts(place: Place, mail_id: UUID) -> list[tuple[str, str]]:
    """Give (recipient, kind) of all facts about a mail, in order."""
    rows = place.sql("SELECT recipient, kind FROM atum.recipient_event WHERE mail_id = %(id)s", id=mail_id)
    return sorted((recipient, kind) for recipient, kind in rows)


def inbox_states(place: Place) -> list[tuple[str, str | None]]:
    """Give state and reason of all events, in order of their coming."""
    return [(s, r) for s, r in place.sql("SELECT state, reason FROM atum.webhook_inbox ORDER BY id")]
