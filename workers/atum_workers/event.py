"""One event on its way through applying: what it says, whose mail it is about, and what is written for it. Pure."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple

from atum_schema.addresses import parse_addresses
from atum_schema.suppression import Word
from atum_workers import telling
from atum_workers.inbox_store import Fact, Settled, Taken
from atum_workers.proof import Proof
from atum_workers.telling import Place

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from atum_schema.webhook import Told
    from atum_workers.inbox_store import About

_DEFAULT_STREAM: Final = "outbound"


class Whose(Enum):
    """Answers of the provider that name no mail of ours."""

    FOREIGN = "it is somebody else's"
    UNHEARD_OF = "it does not know the message, or not yet"


class Event(NamedTuple):
    """An event on its way."""

    taken: Taken
    #: None: it could not be read, for this reason.
    told: Told | None
    reason: str | None
    place: Place | None


def settled(event: Event, known: Mapping[UUID, About], *, park_s: float) -> Settled:
    """Say what becomes of an event that was applied as far as it could be."""
    taken, told, place = event.taken, event.told, event.place
    if told is None:
        if event.reason == "content_unreadable":
            return parked(taken, event.reason, park_s=park_s)
        return Settled(taken.id, "unreadable", reason=event.reason)
    if told.kind is None:
        return Settled(taken.id, "ignored", told.record_type, "unknown_type")
    if place is not None and place.mail_id in known:
        return Settled(taken.id, "applied", told.kind.value, mail_id=place.mail_id)
    return _without_mail(event, told, park_s)


def _without_mail(event: Event, told: Told, park_s: float) -> Settled:
    kind = None if told.kind is None else told.kind.value
    if told.foreign:
        return Settled(event.taken.id, "ignored", kind, "foreign_mail")
    if event.place is None and told.message_id is None:
        # Nobody's mail in particular, as when a person reactivates an address.
        state = "applied" if told.suppressing is not None else "ignored"
        return Settled(event.taken.id, state, kind, "no_mail_named")
    return parked(event.taken, "no_such_mail", kind, park_s=park_s)


def parked(taken: Taken, reason: str, kind: str | None = None, *, park_s: float) -> Settled:
    """Let an event wait, until it is older than `park_s` seconds."""
    if taken.age > park_s:
        return Settled(taken.id, "unmatched", kind, reason)
    return Settled(taken.id, "parked", kind, reason, due_s=telling.wait_s(taken.tries))


def answered(event: Event, answer: Place | Whose | None) -> Event:
    if isinstance(answer, Place):
        return event._replace(place=answer)
    if answer is Whose.FOREIGN and event.told is not None:
        return event._replace(told=event.told._replace(foreign=True))
    return event


def proof_of(event: Event) -> Proof | None:
    """Give the proof of acceptance that an event is: of any kind that is known, with or without a MessageID."""
    told, place = event.told, event.place
    if told is None or told.kind is None or place is None or place.batch_id is None:
        return None
    return Proof(place.mail_id, place.batch_id, told.message_id, f"told by a {event.taken.source}")


def recipient_of(event: Event, known: Mapping[UUID, About]) -> str:
    """Say whom an event is about; empty where neither it nor its mail tells."""
    if event.told is not None and event.told.recipient is not None:
        return event.told.recipient
    about = None if event.place is None else known.get(event.place.mail_id)
    if about is None:
        return ""
    addresses = {address.email.lower() for address in parse_addresses(about.recipients, field="to")}
    return addresses.pop() if len(addresses) == 1 else ""


def fact_of(event: Event, known: Mapping[UUID, About]) -> Fact | None:
    told, place = event.told, event.place
    if told is None or told.kind is None or place is None:
        return None
    return Fact(
        place.mail_id,
        recipient_of(event, known),
        told.kind.value,
        told.fact,
        told.at,
        event.taken.source,
        told.message_id,
        told.code,
        told.detail,
    )


def word_of(event: Event, known: Mapping[UUID, About]) -> Word | None:
    told = event.told
    if told is None or told.suppressing is None:
        return None
    address = recipient_of(event, known)
    if not address:
        return None
    about = None if event.place is None else known.get(event.place.mail_id)
    return Word(
        stream=told.stream or (about.stream if about is not None else _DEFAULT_STREAM),
        address=address,
        suppressed=told.suppressing.suppressed,
        reason=told.suppressing.reason,
        origin=told.suppressing.origin,
        source=event.taken.source,
        changed_at=told.at or event.taken.received_at,
    )
