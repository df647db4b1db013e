"""What webhooks say, field by field (Postmark developer docs, "Webhooks")."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from atum_ops.simulator import texts
from atum_ops.simulator.bounces import COMPLAINT, Bounce
from atum_ops.simulator.fates import What
from atum_ops.simulator.truth import ACCEPTED, LINK

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from atum_ops.simulator.lives import Happened

Event = dict[str, Any]

TRIGGERS: Final = ("Open", "Click", "Delivery", "Bounce", "SpamComplaint", "SubscriptionChange")
_READER: Final[Mapping[str, Any]] = {
    "Platform": "Desktop",
    "UserAgent": "Mozilla/5.0 (X11; Linux x86_64)",
    "Client": {"Name": "Mail", "Company": "Example", "Family": "Mail"},
    "OS": {"Name": "Linux", "Company": "", "Family": "Linux"},
    "Geo": {
        "CountryISOCode": "DE",
        "Country": "Germany",
        "RegionISOCode": "BE",
        "Region": "Land Berlin",
        "City": "Berlin",
        "Zip": "10115",
        "Coords": "52.5323,13.3846",
        "IP": "192.0.2.1",
    },
}


def events(happened: Happened) -> Iterator[Event]:
    """Give the events that a step makes: one, and one more when it changes a suppression."""
    about = (happened.record, happened.recipient, happened.at)
    match happened.step.what:
        case What.DELIVERED:
            yield delivery(*about)
        case What.OPENED:
            yield {**_engagement("Open", *about), "FirstOpen": True, "ReadSeconds": 5}
        case What.CLICKED:
            yield {**_engagement("Click", *about), "ClickLocation": "HTML", "OriginalLink": LINK}
        case What.UNSUBSCRIBED | What.RESUBSCRIBED:
            pass
        case _ if happened.bounce is not None:
            yield {**happened.bounce.to_document(), "Metadata": happened.record["metadata"]}
        case _:
            pass
    own_wish = happened.step.what in {What.UNSUBSCRIBED, What.RESUBSCRIBED}
    if own_wish or happened.changed:
        yield subscription(
            happened.record["stream"],
            happened.recipient,
            happened.at,
            reason=happened.step.reason or None,
            origin="Recipient",
            record=happened.record,
        )


def delivery(record: Mapping[str, Any], recipient: str, at: float) -> Event:
    """Say that a recipient's server took the mail."""
    return {
        "RecordType": "Delivery",
        "MessageStream": record["stream"],
        "ServerID": texts.SERVER_ID,
        "MessageID": record["message_id"],
        "Recipient": recipient,
        "Tag": record["tag"],
        "DeliveredAt": texts.timestamp(at),
        "Details": ACCEPTED,
        "Metadata": record["metadata"],
    }


def subscription(
    stream: str,
    recipient: str,
    at: float,
    *,
    reason: str | None,
    origin: str,
    record: Mapping[str, Any] | None = None,
) -> Event:
    """Say that an address is suppressed, for a reason, or (None) mailed again; `record` is the mail it came from."""
    return {
        "RecordType": "SubscriptionChange",
        "MessageID": None if record is None else record["message_id"],
        "ServerID": texts.SERVER_ID,
        "MessageStream": stream,
        "ChangedAt": texts.timestamp(at),
        "Recipient": recipient,
        "Origin": origin,
        "SuppressSending": reason is not None,
        "SuppressionReason": reason,
        "Tag": None if record is None else record["tag"],
        "Metadata": {} if record is None else record["metadata"],
    }


def _engagement(record_type: str, record: Mapping[str, Any], recipient: str, at: float) -> Event:
    return {
        "RecordType": record_type,
        "MessageStream": record["stream"],
        "MessageID": record["message_id"],
        "Metadata": record["metadata"],
        "Recipient": recipient,
        "Tag": record["tag"],
        "ReceivedAt": texts.timestamp(at),
        **_READER,
    }


def probe(trigger: str, stream: str, at: float) -> Event:
    """Give a sample event of a type, about no message that there is, for a verification."""
    record: dict[str, Any] = {
        "stream": stream,
        "message_id": "00000000-0000-0000-0000-000000000000",
        "tag": "Test",
        "metadata": {},
    }
    address = "john@example.com"
    match trigger:
        case "Delivery":
            return delivery(record, address, at)
        case "SubscriptionChange":
            return subscription(stream, address, at, reason="HardBounce", origin="Recipient", record=record)
        case "Open" | "Click":
            return _engagement(trigger, record, address, at)
        case _:
            return _sample_bounce(trigger, record, address, at)


def _sample_bounce(trigger: str, record: Mapping[str, Any], address: str, at: float) -> Event:
    bounce = Bounce(
        id=42,
        type=COMPLAINT if trigger == COMPLAINT else "HardBounce",
        record={**record, "from": "sender@example.com", "subject": "Test"},
        address=address,
        at=at,
        inactive=True,
    )
    return {**bounce.to_document(), "Metadata": {}}
