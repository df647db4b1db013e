"""What follows from what the provider tells: pure decisions of applying events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from atum_schema.status import ENDED, Cause, Status, after
from atum_schema.webhook import RANK, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from atum_schema.webhook import Told

CAUSES: Final = {
    Kind.DELIVERED: Cause.DELIVERED,
    Kind.BOUNCED: Cause.BOUNCED,
    Kind.COMPLAINED: Cause.COMPLAINED,
}
"""The kinds that move a mail. All others are facts about a recipient, and change nothing."""

_FIRST_WAIT_S: Final = 5.0
_LONGEST_WAIT_S: Final = 3600.0


class Place(NamedTuple):
    """The mail that an event is about, and the POST; its batch is not always known."""

    mail_id: UUID
    batch_id: UUID | None


def place(told: Told) -> Place | None:
    """Find the mail by our ids in the event itself."""
    return None if told.mail_id is None else Place(told.mail_id, told.batch_id)


def needs_asking(told: Told) -> bool:
    """Say whether only the provider can tell whose mail an event is about.

    Our ids travel with every mail, and come back with every event. Where an event lacks its metadata, the provider has
    it under the MessageID. Metadata of somebody else is an answer too.
    """
    return told.kind is not None and told.mail_id is None and told.message_id is not None and not told.foreign


class Step(NamedTuple):
    """A mail moves."""

    was: str
    cause: Cause
    status: str


def steps(status: str, kinds: Iterable[Kind]) -> list[Step]:
    """Give the moves of a mail that follow from new facts, the gravest last: the order in which facts came is lost."""
    made = []
    for kind in sorted((kind for kind in kinds if kind in CAUSES), key=lambda kind: RANK[kind]):
        step = Step(status, CAUSES[kind], after(Status(status), CAUSES[kind]).value)
        made.append(step)
        status = step.status
    return made


def has_ended(status: str) -> bool:
    """Say whether nothing more is sent of a mail."""
    return Status(status) in ENDED


def wait_s(tries: int) -> float:
    """Seconds until an event without a mail is looked at again, after so many tries."""
    return min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2.0 ** min(tries, 20))
