"""What a test may let become of its mails, and how that comes about: by the causes of the real machine."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from atum_schema import moves
from atum_schema.mail import Mail
from atum_schema.moves import Move
from atum_schema.status import PROVEN, WAITING, Cause, Status, after

if TYPE_CHECKING:
    from uuid import UUID

    from atum_schema.script import Script

Outcome: TypeAlias = Literal[
    "sent",
    "delivered",
    "bounced",
    "complained",
    "dead",
    "retrying",
    "unknown",
    "held",
    "suppressed",
    "expired",
]
Outcomes: TypeAlias = Outcome | Callable[[Mail], Outcome]
"""One outcome for all, or how to decide about each."""

RETRY_S: Final = 60.0
"""Seconds until a mail with the outcome `retrying` is due again."""

#: Each outcome's causes in order, each with the reason that the mail's state then gives.
CAUSES: Final[Mapping[str, tuple[tuple[Cause, str | None], ...]]] = MappingProxyType(
    {
        "sent": ((Cause.PROVIDER_ACCEPTED, None),),
        "delivered": ((Cause.PROVIDER_ACCEPTED, None), (Cause.DELIVERED, None)),
        "bounced": ((Cause.PROVIDER_ACCEPTED, None), (Cause.BOUNCED, "bounced")),
        "complained": ((Cause.PROVIDER_ACCEPTED, None), (Cause.COMPLAINED, "complained")),
        "dead": ((Cause.PROVIDER_REJECTED, "invalid"),),
        "retrying": ((Cause.RETRY_SCHEDULED, "rate_limited"),),
        "unknown": ((Cause.OUTCOME_UNKNOWN, "read_timeout"),),
        "held": ((Cause.OUTCOME_UNKNOWN, "read_timeout"), (Cause.HELD, "not_found")),
        "suppressed": ((Cause.SUPPRESSED, "suppressed"),),
        "expired": ((Cause.EXPIRED, "expired"),),
    }
)


def delivering(mail_id: UUID, outcome: str) -> Script[Status | None]:
    """Play one delivery; give the status that it ended in, None if the mail no longer waits.

    Raises `ValueError` for a word that is no outcome.
    """
    if outcome not in CAUSES:
        raise ValueError(f"{outcome!r} is no outcome; it must be one of {', '.join(CAUSES)}")
    (mail,) = yield from moves.locking([mail_id])
    status = Status(mail.status)
    if status not in WAITING:
        return None
    for cause, reason in CAUSES[outcome]:
        proven = after(status, cause) in PROVEN
        move = Move(
            mail_id,
            status.value,
            cause,
            reason=reason,
            due_s=RETRY_S if cause is Cause.RETRY_SCHEDULED else None,
            message_id=str(uuid.uuid4()) if proven else None,
        )
        yield from moves.applying([move])
        status = Status(move.status)
    return status
