"""What the provider's read APIs say, written as the events that a webhook would have brought. Pure."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from atum_schema.errors import SettingsError
from atum_schema.webhook import read_time

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from atum_workers.postmark_api import BouncePage, Details, MessageEvent

OVERLAP: Final = timedelta(hours=1)
"""How far each look at the bounces goes back behind the last one: the provider's lists are late at times."""

_MOST_AGES: Final = 5
_OLDEST_S: Final = 44 * 86_400.0


def ages(text: str) -> tuple[float, ...]:
    """Read the ages at which mails are asked about, in seconds. Raises `SettingsError`."""
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise SettingsError(
            f"ATUM_CATCH_UP_AGES_S: must be seconds separated by commas, not {text!r}"
        ) from None
    rising = all(earlier < later for earlier, later in pairwise(found))
    if not 0 < len(found) <= _MOST_AGES or not rising or not all(0 <= age <= _OLDEST_S for age in found):
        raise SettingsError(
            f"ATUM_CATCH_UP_AGES_S: must be 1 to {_MOST_AGES} rising times up to {_OLDEST_S:.0f}, not {text!r}"
        )
    return found


def events_of(details: Details) -> list[dict[str, Any]]:
    """Give the events of a message's story. Bounces are left out: their list says more about them."""
    return [made for event in details.events if (made := _event(details, event)) is not None]


_RECORDS: Final = {
    "Delivered": ("Delivery", "DeliveredAt"),
    "Transient": ("Bounce", "BouncedAt"),
    "Opened": ("Open", "ReceivedAt"),
    "LinkClicked": ("Click", "ReceivedAt"),
}


def _event(details: Details, event: MessageEvent) -> dict[str, Any] | None:
    record, time = _RECORDS.get(event.type, (None, ""))
    if record is None:
        return None
    made: dict[str, Any] = {
        "RecordType": record,
        "MessageID": details.message_id,
        "MessageStream": details.stream,
        "Metadata": dict(details.metadata),
        "Recipient": event.recipient,
        time: event.received_at,
        "Details": event.details.get("DeliveryMessage") or event.details.get("Summary"),
    }
    if event.type == "Transient":
        made |= {"Type": "Transient", "TypeCode": 2, "Inactive": False}
    if event.type == "LinkClicked":
        made["OriginalLink"] = event.details.get("Link")
    return made


def events_of_bounces(bounces: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Give the events of a list of bounces. They have no metadata there."""
    return [
        {"RecordType": "SpamComplaint" if bounce.get("Type") == "SpamComplaint" else "Bounce", **bounce}
        for bounce in bounces
    ]


def with_ids(event: dict[str, Any], details: Details | None) -> dict[str, Any]:
    """Give an event with the metadata of its message. Without, applying looks for its mail, again and again."""
    return event if details is None else {"Metadata": dict(details.metadata), **event}


def oldest(page: BouncePage, before: datetime) -> datetime:
    """Give the oldest time on a page, or `before`, whichever comes first."""
    times = [time for bounce in page.bounces if (time := read_time(bounce.get("BouncedAt"))) is not None]
    return min([before, *times])


def recent(page: BouncePage, since: datetime) -> list[dict[str, Any]]:
    """Give the bounces of a page from `since` on, and those that do not say when they were."""
    return [
        bounce
        for bounce in page.bounces
        if (time := read_time(bounce.get("BouncedAt"))) is None or time >= since
    ]
