"""Which messages Postmark takes, checked in the provider's order: stream, From, recipients, content, suppressions.

Sources: Postmark developer docs, "Send a single email", "Send batch emails", "Error codes"; the order is inferred.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from atum_ops.simulator import recipients, texts
from atum_ops.simulator.content_rules import check_content
from atum_ops.simulator.ledger import Envelope
from atum_ops.simulator.suppressions import Suppressions
from atum_ops.simulator.texts import Refusal, invalid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from atum_ops.simulator.recipients import Recipient

BATCH_ITEMS = 500
BATCH_BYTES = 50 * 1024 * 1024
MESSAGE_BYTES = 10 * 1024 * 1024
RECIPIENTS = 50
FROM_LENGTH = 255
_REMEMBERED_SENDERS = 1000


@dataclass(slots=True, kw_only=True)
class Account:
    """What a Postmark server knows that decides about a message.

    `streams` maps ids to types. `signatures` holds confirmed addresses and domains, lower-case; empty means all are.
    `suppressions` says who gets nothing. `confirmed` remembers From values found to be right.
    """

    streams: Mapping[str, str]
    signatures: frozenset[str] = frozenset()
    suppressions: Suppressions = field(default_factory=Suppressions)
    confirmed: set[str] = field(default_factory=set)

    def stream_named(self, given: str) -> str | None:
        """Give the id of the stream that a path names, whatever its case, or None."""
        return next((name for name in self.streams if name.lower() == given.lower()), None)


def check(item: Mapping[str, Any], account: Account, *, in_batch: bool) -> Envelope | Refusal:
    """Decide about one message whose field types are right: its envelope, or why it is refused."""
    get = item.get
    stream = get("MessageStream") or "outbound"
    sender = get("From") or ""
    refusal = _check_stream(stream, account)
    if refusal is None and sender not in account.confirmed:
        refusal = _check_sender(sender, account)
    if refusal is not None:
        return refusal
    groups = _recipients(item)
    if isinstance(groups, Refusal):
        return groups
    refusal = check_content(item)
    if refusal is not None:
        return refusal
    to, cc, bcc = groups
    envelope = Envelope(
        stream,
        sender,
        [one.email for one in to],
        [one.email for one in cc],
        [one.email for one in bcc],
        get("Subject") or "",
        get("Tag") or "",
        get("Metadata") or {},
        _extra(item, groups),
    )
    return _suppress(envelope, account.suppressions, in_batch=in_batch) if account.suppressions else envelope


def skip(envelope: Envelope, skipped: list[str]) -> Envelope:
    """Give the envelope without the inactive addresses `skipped` (lower-case), which its `extra` then names."""
    to, cc, bcc = (
        [email for email in group if email.lower() not in skipped]
        for group in (envelope.to, envelope.cc, envelope.bcc)
    )
    return envelope._replace(to=to, cc=cc, bcc=bcc, extra={**envelope.extra, "skipped": skipped})


def _check_stream(stream: str, account: Account) -> Refusal | None:
    kind = account.streams.get(stream)
    if kind is None:
        return Refusal(1235, texts.NO_STREAM.format(stream=stream))
    if kind == "Inbound":
        return Refusal(1236, texts.NOT_SENDING.format(stream=stream))
    return None


def _check_sender(sender: str, account: Account) -> Refusal | None:
    if len(sender) > FROM_LENGTH:
        return invalid(f"Invalid 'From' value: longer than {FROM_LENGTH} characters.")
    found = recipients.parse("From", sender)
    if isinstance(found, Refusal):
        return found
    if not found:
        return invalid("Invalid 'From' address: ''.")
    address = found[0].email
    if account.signatures and not _is_signed(address.lower(), account.signatures):
        return Refusal(400, texts.UNKNOWN_SENDER.format(address=address))
    if len(account.confirmed) < _REMEMBERED_SENDERS:
        account.confirmed.add(sender)
    return None


def _is_signed(address: str, signatures: frozenset[str]) -> bool:
    return address in signatures or address.rpartition("@")[2] in signatures


def _recipients(
    item: Mapping[str, Any],
) -> tuple[list[Recipient], list[Recipient], list[Recipient]] | Refusal:
    groups: list[list[Recipient]] = []
    for name in ("To", "Cc", "Bcc", "ReplyTo"):
        value = item.get(name)
        found = recipients.parse(name, value) if value else []
        if isinstance(found, Refusal):
            return found
        groups.append(found)
    to, cc, bcc, _ = groups
    count = len(to) + len(cc) + len(bcc)
    if not count:
        return invalid(texts.NO_RECIPIENTS)
    if count > RECIPIENTS:
        return invalid(f"Too many recipients specified: {count}. The limit is {RECIPIENTS}.")
    return to, cc, bcc


def _extra(
    item: Mapping[str, Any], groups: tuple[list[Recipient], list[Recipient], list[Recipient]]
) -> dict[str, Any]:
    extra: dict[str, Any] = {}
    for group in groups:
        for email, name in group:
            if name:
                extra.setdefault("names", {})[email] = name
    if attachments := item.get("Attachments"):
        extra["attachments"] = [attachment["Name"] for attachment in attachments]
    if item.get("TrackOpens"):
        extra["track_opens"] = True
    if track_links := item.get("TrackLinks"):
        extra["track_links"] = track_links
    return extra


def _suppress(envelope: Envelope, suppressions: Suppressions, *, in_batch: bool) -> Envelope | Refusal:
    everyone = [*envelope.to, *envelope.cc, *envelope.bcc]
    skipped = [email.lower() for email in everyone if suppressions.holds(envelope.stream, email)]
    if not skipped:
        return envelope
    if len(skipped) == len(everyone):
        return Refusal(406, texts.inactive(skipped, in_batch=in_batch))
    return skip(envelope, skipped)
