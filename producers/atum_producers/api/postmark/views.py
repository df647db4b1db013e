"""Mails of the log as Postmark shows messages, and the answer to `GET /server` (Postmark developer docs): pure."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from atum_producers.api.postmark.times import timestamp
from atum_schema.addresses import parse_addresses
from atum_schema.status import Cause, Status

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from atum_schema.addresses import Address
    from atum_schema.document import Content

#: Postmark's word for each status; total. What ended without being sent is "Failed", which Postmark has no word for.
STATUSES: Final[Mapping[Status, str]] = MappingProxyType(
    {
        Status.SCHEDULED: "Queued",
        Status.QUEUED: "Queued",
        Status.SENDING: "Queued",
        Status.RETRYING: "Queued",
        Status.UNKNOWN: "Queued",
        Status.HELD: "Queued",
        Status.SENT: "Sent",
        Status.DELIVERED: "Sent",
        Status.BOUNCED: "Sent",
        Status.COMPLAINED: "Sent",
        Status.DEAD: "Failed",
        Status.SUPPRESSED: "Failed",
        Status.CANCELED: "Failed",
        Status.EXPIRED: "Failed",
    }
)
#: What the recipient's server said, by cause; told for mails with one recipient only, for a cause names nobody.
OF_ONE: Final[Mapping[Cause, str]] = MappingProxyType(
    {Cause.DELIVERED: "Delivered", Cause.BOUNCED: "Bounced", Cause.COMPLAINED: "Bounced"}
)
#: Causes that end a mail for all of its recipients before it was sent: to Postmark's clients, it bounced.
OF_ALL: Final = frozenset(
    {
        Cause.PROVIDER_REJECTED,
        Cause.ATTEMPTS_EXHAUSTED,
        Cause.TRIES_EXHAUSTED,
        Cause.POISONED,
        Cause.EXPIRED,
        Cause.CANCELED,
        Cause.SUPPRESSED,
    }
)
_DETAIL: Final = {"Delivered": "DeliveryMessage", "Bounced": "Summary"}
_LINES: Final = {"To": "to_line", "Cc": "cc_line", "Bcc": "bcc_line"}


def message(mail: Mapping[str, Any]) -> dict[str, Any]:
    """Show a mail of the log. What the log does not keep (names of files, tracking) has its default."""
    lists = {name: _addresses(mail[line]) for name, line in _LINES.items()}
    return {
        "Tag": mail["tag"] or "",
        "MessageID": str(mail["id"]),
        "MessageStream": mail["stream"],
        **{
            name: [{"Email": one.email, "Name": one.name or None} for one in found]
            for name, found in lists.items()
        },
        "Recipients": [one.email for found in lists.values() for one in found],
        "ReceivedAt": timestamp(mail["accepted_at"]),
        "From": mail["sender"],
        "Subject": mail["subject"],
        "Attachments": [],
        "Status": STATUSES[Status(mail["status"])],
        "TrackOpens": False,
        "TrackLinks": "None",
        "Metadata": mail["metadata"] or {},
        "Sandboxed": False,
    }


def details(
    mail: Mapping[str, Any], events: Sequence[Mapping[str, Any]], content: Content | None
) -> dict[str, Any]:
    """Show a mail with its story, and with its content as long as there is one."""
    shown = message(mail)
    kept: Content = content or {}
    return {
        **shown,
        "Attachments": [one["name"] for one in kept.get("attachments", ())],
        "TrackOpens": kept.get("track_opens", False),
        "TrackLinks": kept.get("track_links", "None"),
        "TextBody": kept.get("text", ""),
        "HtmlBody": kept.get("html", ""),
        "Body": "",
        "MessageEvents": [told for event in events for told in _told(event, shown["Recipients"])],
    }


def server(client: str) -> dict[str, Any]:
    """Show what stands for a server here: the client of the API. Never a token."""
    return {
        "ID": 1,
        "Name": client,
        "ApiTokens": [],
        "Color": "Grey",
        "SmtpApiActivated": False,
        "RawEmailEnabled": False,
        "DeliveryType": "Live",
        "ServerLink": "",
        "InboundAddress": "",
        "InboundHookUrl": "",
        "BounceHookUrl": "",
        "OpenHookUrl": "",
        "DeliveryHookUrl": "",
        "ClickHookUrl": "",
        "PostFirstOpenOnly": False,
        "InboundDomain": "",
        "InboundHash": "",
        "InboundSpamThreshold": 0,
        "TrackOpens": False,
        "TrackLinks": "None",
        "IncludeBounceContentInHook": False,
        "EnableSmtpApiErrorHooks": False,
    }


def _addresses(line: str | None) -> tuple[Address, ...]:
    return parse_addresses(line) if line else ()


def _told(event: Mapping[str, Any], recipients: Sequence[str]) -> list[dict[str, Any]]:
    cause = Cause(event["cause"])
    kind = "Bounced" if cause in OF_ALL else OF_ONE.get(cause)
    if kind is None or (cause not in OF_ALL and len(recipients) != 1):
        return []
    # A fact that came late, and changed nothing, is no end of the mail.
    if event["from_status"] == event["to_status"]:
        return []
    summary = event["detail"] or f"{cause.value.replace('_', ' ')}."
    return [
        {
            "Recipient": email,
            "Type": kind,
            "ReceivedAt": timestamp(event["at"]),
            "Details": {_DETAIL[kind]: summary},
        }
        for email in recipients
    ]
