"""What the provider tells of accepted mail: reading an event, whatever is missing in it. Pure.

The fields are those of Postmark's webhooks (developer docs, "Webhooks": Delivery, Bounce, Spam complaint, Open, Click,
Subscription change). Real events lack documented fields, so every one is optional here; what is not understood is kept
as it came and changes nothing. Events that catching up makes from the read APIs have the same shape.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import UUID

from atum_schema.addresses import folded

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MAIL_KEY: Final = "atum-mail"
"""Metadata key of the mail's id."""

BATCH_KEY: Final = "atum-batch"
"""Metadata key of the id of the batch that it was posted in."""


class Kind(StrEnum):
    """What an event says of one recipient, each with the sentence that defines it."""

    SUPPRESSED = "suppressed"
    """Left out by us, because it must not be mailed."""
    DELAYED = "delayed"
    """Its server did not take the mail yet; the provider goes on trying."""
    SOFT_BOUNCED = "soft_bounced"
    """Its server did not take this mail; the address stays active."""
    DELIVERED = "delivered"
    """Its server took the mail."""
    BOUNCED = "bounced"
    """Its server refused the mail for good, or the provider has deactivated the address."""
    COMPLAINED = "complained"
    """It called the mail spam."""
    OPENED = "opened"
    """It opened the mail."""
    CLICKED = "clicked"
    """It followed a link."""
    REPLIED = "replied"
    """A program answered for it: an absence, a challenge, a change of address."""
    UNSUBSCRIBED = "unsubscribed"
    """It is not to be mailed any more in this stream."""
    RESUBSCRIBED = "resubscribed"
    """It may be mailed again in this stream."""
    INFORMED = "informed"
    """Anything else that the provider knows of it."""


RANK: Final[Mapping[Kind, int]] = {
    Kind.SUPPRESSED: 1,
    Kind.DELAYED: 2,
    Kind.SOFT_BOUNCED: 3,
    Kind.DELIVERED: 4,
    Kind.BOUNCED: 5,
    Kind.COMPLAINED: 6,
}
"""A recipient's state is the highest of its facts, in whatever order they came; other kinds say nothing about it."""


def state(kinds: Iterable[Kind]) -> Kind | None:
    """Give a recipient's state, from the kinds of its facts; None: nothing is known of what became of its copy."""
    return max((kind for kind in kinds if kind in RANK), key=lambda kind: RANK[kind], default=None)


# Postmark developer docs, "Bounce API", bounce types. What is in none of these sets did not arrive.
_COMPLAINT: Final = frozenset({100001})
_PENDING: Final = frozenset({2})
_REPLIES: Final = frozenset({32, 64, 128, 1024, 16384})
_UNSUBSCRIBE: Final = frozenset({16})
_HARD: Final = frozenset({1, 100000, 100002})
_CODES: Final = {
    "HardBounce": 1,
    "Transient": 2,
    "Unsubscribe": 16,
    "Subscribe": 32,
    "AutoResponder": 64,
    "AddressChange": 128,
    "DnsError": 256,
    "SpamNotification": 512,
    "OpenRelayTest": 1024,
    "Unknown": 2048,
    "SoftBounce": 4096,
    "VirusNotification": 8192,
    "ChallengeVerification": 16384,
    "BadEmailAddress": 100000,
    "SpamComplaint": 100001,
    "ManuallyDeactivated": 100002,
    "Unconfirmed": 100003,
    "Blocked": 100006,
    "SMTPApiError": 100007,
    "InboundError": 100008,
    "DMARCPolicy": 100009,
    "TemplateRenderingFailed": 100010,
}
_TIMES: Final = ("DeliveredAt", "BouncedAt", "ChangedAt", "ReceivedAt")
_REASONS: Final = {"HardBounce": "hard_bounce", "SpamComplaint": "complaint", "ManualSuppression": "manual"}
_ORIGINS: Final = frozenset({"recipient", "customer", "admin"})
_DETAIL: Final = 1000


class Suppressing(NamedTuple):
    """What an event says about mailing an address in its stream."""

    suppressed: bool
    #: hard_bounce, complaint or manual.
    reason: str
    #: recipient, customer or admin.
    origin: str


class Told(NamedTuple):
    """An event as far as it can be read; None where it does not say."""

    record_type: str | None
    #: None: an event of a type that is not known.
    kind: Kind | None
    message_id: str | None
    #: Lower case.
    recipient: str | None
    #: By the provider's clock.
    at: datetime | None
    stream: str | None
    mail_id: UUID | None
    batch_id: UUID | None
    #: Whether its metadata is that of somebody else's mail.
    foreign: bool
    bounce_id: int | None
    #: The provider's number for the type of a bounce.
    code: int | None
    detail: str | None
    suppressing: Suppressing | None
    #: Tells facts of one kind apart.
    fact: str


def read(document: Mapping[str, Any]) -> Told:
    """Read an event. Never raises: what has a wrong type counts as missing."""
    record = _text(document, "RecordType")
    code = _code(document)
    kind = _kind(document, record, code)
    at = _at(document)
    metadata = document.get("Metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    bounce_id = _bounce_id(document, record)
    mail_id, batch_id = ids_of(metadata)
    return Told(
        record_type=record,
        kind=kind,
        message_id=_message_id(document),
        recipient=_recipient(document),
        at=at,
        stream=_text(document, "MessageStream"),
        mail_id=mail_id,
        batch_id=batch_id,
        foreign=bool(metadata) and mail_id is None,
        bounce_id=bounce_id,
        code=code,
        detail=_detail(document),
        suppressing=_suppressing(document, record, kind, code),
        fact=_fact(document, kind, bounce_id, at),
    )


def ids_of(metadata: Mapping[str, Any]) -> tuple[UUID | None, UUID | None]:
    """Give the ids of mail and batch that travel as metadata; None in somebody else's."""
    return _uuid(metadata.get(MAIL_KEY)), _uuid(metadata.get(BATCH_KEY))


def identity(document: Mapping[str, Any], *, trace: str | None = None) -> bytes:
    """Give 32 bytes that two copies of one event have in common: of its trace id, or else of what it is about.

    `trace` is the header `X-PM-Webhook-Trace-Id`, the same over all retries. It alone would not do: who answers for
    it is somebody else, and a bare MessageID would fold all recipients and kinds into one.
    """
    # Not by `read`: this is done before an event is acknowledged, and was half of what that cost.
    record = _text(document, "RecordType")
    about = (
        record,
        _text(document, "MessageID"),
        _recipient(document),
        str(_bounce_id(document, record) or ""),
        "" if trace else str(_at(document) or ""),
        "" if trace else _text(document, "OriginalLink"),
        str(document.get("SuppressSending", "")),
    )
    # Length in front: parts that move from one field to the next must not give the same digest.
    parts = [(part or "").encode() for part in (trace, *about)]
    return hashlib.sha256(b"".join(len(part).to_bytes(4, "big") + part for part in parts)).digest()


def record_and_time(document: Mapping[str, Any]) -> tuple[str | None, datetime | None]:
    """Read only what kind of event it is and when it happened, by the provider's clock; None where it does not say."""
    return _text(document, "RecordType"), _at(document)


_KINDS: Final = {
    "Delivery": Kind.DELIVERED,
    "SpamComplaint": Kind.COMPLAINED,
    "Open": Kind.OPENED,
    "Click": Kind.CLICKED,
}


def _kind(document: Mapping[str, Any], record: str | None, code: int | None) -> Kind | None:
    if record == "Bounce":
        return _bounce(document, code)
    if record == "SubscriptionChange":
        return _subscription(document)
    return _KINDS.get(record or "")


def _subscription(document: Mapping[str, Any]) -> Kind:
    suppresses = document.get("SuppressSending")
    if not isinstance(suppresses, bool):
        return Kind.INFORMED
    if suppresses and document.get("SuppressionReason") == "SpamComplaint":
        return Kind.COMPLAINED
    return Kind.UNSUBSCRIBED if suppresses else Kind.RESUBSCRIBED


def _bounce(document: Mapping[str, Any], code: int | None) -> Kind:
    if code in _COMPLAINT:
        return Kind.COMPLAINED
    if code in _UNSUBSCRIBE:
        return Kind.UNSUBSCRIBED
    if code in _REPLIES:
        return Kind.REPLIED
    # Soft bounces can deactivate an address too, so the flag goes before the type.
    if document.get("Inactive") is True or code in _HARD:
        return Kind.BOUNCED
    if code in _PENDING:
        return Kind.DELAYED
    return Kind.SOFT_BOUNCED


def _suppressing(
    document: Mapping[str, Any], record: str | None, kind: Kind | None, code: int | None
) -> Suppressing | None:
    if record == "SubscriptionChange":
        suppresses = document.get("SuppressSending")
        if not isinstance(suppresses, bool):
            return None
        return Suppressing(suppresses, *reason_and_origin(document))
    if kind is Kind.COMPLAINED:
        return Suppressing(suppressed=True, reason="complaint", origin="recipient")
    inactive = document.get("Inactive")
    if record == "Bounce" and (inactive is True or (inactive is None and code in _HARD)):
        return Suppressing(
            suppressed=True,
            reason="manual" if kind is Kind.UNSUBSCRIBED else "hard_bounce",
            origin="recipient",
        )
    return None


def reason_and_origin(document: Mapping[str, Any]) -> tuple[str, str]:
    """Give why an address is suppressed, and whose word that is, in our words; a webhook and a list say it alike."""
    origin = (_text(document, "Origin") or "").lower()
    return (
        _REASONS.get(_text(document, "SuppressionReason") or "", "manual"),
        origin if origin in _ORIGINS else "recipient",
    )


def _fact(document: Mapping[str, Any], kind: Kind | None, bounce_id: int | None, at: datetime | None) -> str:
    match kind:
        # Once is enough: who tells it again, at another time or through another API, tells the same.
        case Kind.DELIVERED | Kind.COMPLAINED | None:
            return ""
        case Kind.CLICKED:
            link = (_text(document, "OriginalLink") or "").encode()
            return f"{at or ''} {hashlib.sha256(link).hexdigest()[:16]}"
        case Kind.OPENED | Kind.UNSUBSCRIBED | Kind.RESUBSCRIBED:
            return str(at or "")
        case _:
            return str(bounce_id or at or "")


def _message_id(document: Mapping[str, Any]) -> str | None:
    """Read the MessageID. What is no UUID is none: taken for one, it would look like a second copy of a mail."""
    text = _text(document, "MessageID")
    return text if _uuid(text) is not None else None


def _detail(document: Mapping[str, Any]) -> str | None:
    parts = [_text(document, name) for name in ("Type", "Description", "Details", "OriginalLink")]
    text = ": ".join(part for part in parts if part)
    # A NUL cannot be stored in text.
    return text.replace("\x00", "")[:_DETAIL] or None


def _code(document: Mapping[str, Any]) -> int | None:
    code = _whole(document, "TypeCode")
    return code if code is not None and abs(code) < 1 << 31 else _CODES.get(_text(document, "Type") or "")


def _recipient(document: Mapping[str, Any]) -> str | None:
    address = _text(document, "Recipient") or _text(document, "Email")
    return folded(address) if address else None


def _bounce_id(document: Mapping[str, Any], record: str | None) -> int | None:
    return _whole(document, "ID") if record in {"Bounce", "SpamComplaint"} else None


def _at(document: Mapping[str, Any]) -> datetime | None:
    return next((time for name in _TIMES if (time := _time(document, name)) is not None), None)


def _text(document: Mapping[str, Any], name: str) -> str | None:
    value = document.get(name)
    return value.replace("\x00", "") or None if isinstance(value, str) else None


def _whole(document: Mapping[str, Any], name: str) -> int | None:
    value = document.get(name)
    return value if type(value) is int and abs(value) < 1 << 63 else None


def _uuid(value: Any) -> UUID | None:
    try:
        return UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _time(document: Mapping[str, Any], name: str) -> datetime | None:
    return read_time(_text(document, name))


def read_time(text: Any) -> datetime | None:
    """Read a time of Postmark's: up to seven digits of a second, with a zone or in UTC. None where it is none."""
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
        if moment is None:
            return None
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
