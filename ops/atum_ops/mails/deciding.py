"""Orders on one mail: what each of them does to a mail as it is, or why it cannot be done. Pure decisions.

::

    cancel   queued · scheduled · retrying · held ──▶ canceled
    hold     queued · scheduled · retrying        ──▶ held
    release  held                                 ──▶ queued, due at its own time if that is still to come
    retry    retrying                             ──▶ due now

What is being posted, or may be at the provider already, is never touched: it is settled first.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from atum_schema.moves import Move
from atum_schema.status import PROVEN, Cause, Status

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

REPLAY: Final = "atum-mailer dead replay"
"""The command that sends dead mails again."""


class Order(Enum):
    """What a person wants of a mail; the value is the past of it, as the audit log has it."""

    CANCEL = "canceled"
    HOLD = "held"
    RELEASE = "released"
    RETRY = "hurried"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A mail whose row, batch and place in `ready` are locked."""

    id: UUID
    #: As it is stored.
    status: str
    #: Whether a worker is posting it, or was when it was last seen.
    posting: bool
    #: Whether a batch holds it on its way to a POST.
    travelling: bool = False
    #: Seconds until its own time; 0 when it has none, or it has come.
    waits_s: float
    #: POSTs of it whose outcome nobody knows.
    unresolved: int
    #: Times in a row that a worker died with this mail alone.
    crashes: int
    #: Whether its content can still be sent.
    has_content: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The order can be carried out: this is the move."""

    move: Move
    #: Whether the mail is to be due at once.
    hurry: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Nothing:
    """The mail is already as it is wanted."""

    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The order cannot be carried out, and why, in words."""

    words: str
    #: A stable word for the same.
    reason: str


_POSTING: Final = Refused(
    words="it is being posted right now; look again in a moment with: atum-mailer mail why {id}",
    reason="posting",
)
_UNKNOWN: Final = Refused(
    words="it was posted and nobody knows yet whether the provider took it; it is settled by evidence first,"
    " see: atum-mailer mail why {id}",
    reason="unknown",
)
_AS_IT_IS: Final[Mapping[str, str]] = {
    "sent": "the provider has accepted it already",
    "delivered": "it was delivered already",
    "bounced": "it went out already, and bounced",
    "complained": "it went out already, and the recipient called it spam",
    "dead": f"it is dead; to send it again: {REPLAY} {{id}}",
    "suppressed": "it was not sent: its recipients are suppressed",
    "canceled": "it was canceled",
    "expired": "its time ran out before it was sent",
    "held": "it is held; to let it go: atum-mailer mail release {id}",
    "queued": "it waits for its turn, and nothing holds it up but the lane; see: atum-mailer mail why {id}",
    "scheduled": "it waits for the time that the application set",
    "retrying": "it is tried again by itself, or at once with: atum-mailer mail retry {id}",
}
_OF: Final[Mapping[Order, Cause]] = {
    Order.CANCEL: Cause.CANCELED,
    Order.HOLD: Cause.HELD_BACK,
    Order.RELEASE: Cause.RELEASED,
    Order.RETRY: Cause.HURRIED,
}
_FROM: Final[Mapping[Order, frozenset[str]]] = {
    Order.CANCEL: frozenset({"queued", "scheduled", "retrying", "held"}),
    Order.HOLD: frozenset({"queued", "scheduled", "retrying"}),
    Order.RELEASE: frozenset({"held"}),
    Order.RETRY: frozenset({"retrying"}),
}
_ALREADY: Final[Mapping[Order, str]] = {
    Order.CANCEL: "canceled",
    Order.HOLD: "held",
    Order.RELEASE: "queued",
}


def decide(order: Order, target: Target, *, by: str, sure: bool = False) -> Done | Nothing | Refused:
    """Say what becomes of the order. `sure` says that a second copy is taken into account."""
    status = target.status
    if (no := _untouchable(target)) is not None:
        return no
    if status == _ALREADY.get(order) or (order is Order.RETRY and target.travelling):
        return Nothing(words="it is on its way already" if target.travelling else f"it is {status} already")
    if status not in _FROM[order]:
        return _named(Refused(words=_AS_IT_IS[status], reason=status), target)
    if order is Order.RELEASE and (no := _unsafe(target, sure=sure)) is not None:
        return no
    return Done(move=_move(order, target, by), hurry=order is Order.RETRY)


def _untouchable(target: Target) -> Refused | None:
    """Refuse what may be at the provider, or is on its way there this moment."""
    if target.posting and target.status not in PROVEN:
        return _named(_POSTING, target)
    return _named(_UNKNOWN, target) if target.status == Status.UNKNOWN else None


def _unsafe(target: Target, *, sure: bool) -> Refused | None:
    if not target.has_content:
        return Refused(words="its content is gone, so nothing can be sent", reason="no_content")
    if target.unresolved and not sure:
        times = "once" if target.unresolved == 1 else f"{target.unresolved} times"
        return Refused(
            words=f"it was posted {times} without a clear answer, so the provider may have it: a second copy is"
            " possible; repeat with --yes to release it all the same",
            reason="second_copy",
        )
    return None


def _move(order: Order, target: Target, by: str) -> Move:
    detail = f"by operator {by}"
    if order is Order.CANCEL:
        return Move(target.id, target.status, Cause.CANCELED, reason="canceled", detail=detail)
    if order is Order.HOLD:
        return Move(target.id, target.status, Cause.HELD_BACK, reason="held_back", detail=detail)
    if order is Order.RELEASE:
        # Who has killed a worker stays alone.
        alone = 1 if target.crashes else None
        return Move(
            target.id, target.status, Cause.RELEASED, detail=detail, due_s=target.waits_s, at_most=alone
        )
    return Move(target.id, target.status, _OF[order], detail=detail)


def _named(refused: Refused, target: Target) -> Refused:
    return Refused(words=refused.words.format(id=target.id), reason=refused.reason)
