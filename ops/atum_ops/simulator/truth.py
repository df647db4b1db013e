"""What is true of every recipient of every accepted message, whatever was told of it; and how the provider's API says it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import orjson

from atum_ops.simulator import fates, texts
from atum_ops.simulator.bounces import TYPES, bounce_id
from atum_ops.simulator.fates import What
from atum_ops.simulator.ledger import MAIL_KEY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from atum_ops.simulator.fates import Step
    from atum_ops.simulator.ledger import Ledger
    from atum_ops.simulator.lives import Lives
    from atum_ops.simulator.suppressions import Suppressions

_SERVER: Final = {"DestinationServer": "mx.simulator.invalid (127.0.0.1)", "DestinationIP": "127.0.0.1"}
ACCEPTED: Final = "smtp;250 2.0.0 Ok: queued"
LINK: Final = "https://www.example.com/"


def truth(lives: Lives, ledger: Ledger, suppressions: Suppressions) -> Iterator[bytes]:
    """Give one JSON line for each recipient of each message that has a life, in blocks."""
    for block in ledger.blocks():
        yield b"".join(
            orjson.dumps(line) + b"\n"
            for record in map(orjson.loads, block.splitlines())
            for line in _lines(lives, record, suppressions)
        )


def _lines(lives: Lives, record: Mapping[str, Any], suppressions: Suppressions) -> Iterator[dict[str, Any]]:
    now = time.time()
    for recipient, steps in lives.courses(record):
        yield {
            "seq": record["seq"],
            "mail_id": record["metadata"].get(MAIL_KEY),
            "message_id": record["message_id"],
            "stream": record["stream"],
            "recipient": recipient,
            "state": fates.state([step for _, step in steps]),
            "events": [step.what for _, step in steps],
            "suppressed": suppressions.at_last(record["stream"], recipient) is not None,
            "settled": steps[-1][0] <= now,
        }


def message_events(lives: Lives, record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Give the `MessageEvents` of a message's details (Postmark developer docs, "Messages API"), as of now."""
    now = time.time()
    happened = sorted(
        (at, recipient, step) for recipient, steps in lives.courses(record) for at, step in steps if at <= now
    )
    return [
        {"Recipient": recipient, "Type": kind, "ReceivedAt": texts.timestamp(at), "Details": details}
        for at, recipient, step in happened
        for kind, details in _kinds(record, recipient, step)
    ]


def _kinds(record: Mapping[str, Any], recipient: str, step: Step) -> Iterator[tuple[str, dict[str, str]]]:
    match step.what:
        case What.DELIVERED:
            yield "Delivered", {"DeliveryMessage": ACCEPTED, **_SERVER}
        case What.DELAYED:
            yield "Transient", {"DeliveryMessage": TYPES[step.bounce].details, **_SERVER}
        case What.OPENED:
            yield "Opened", {"Summary": "Email opened with Mail"}
        case What.CLICKED:
            yield "LinkClicked", {"Summary": "Clicked", "Link": LINK, "ClickLocation": "HTML"}
        case What.RESUBSCRIBED:
            yield "SubscriptionChanged", {"Origin": "Recipient", "SuppressSending": "False"}
        case What.UNSUBSCRIBED:
            pass
        case _:
            known = TYPES[step.bounce]
            number = bounce_id(record["message_id"], recipient, step.bounce)
            yield "Bounced", {"Summary": f"{known.name}: {known.details}", "BounceID": str(number)}
    if step.reason:
        yield "SubscriptionChanged", {"Origin": "Recipient", "SuppressSending": "True"}
