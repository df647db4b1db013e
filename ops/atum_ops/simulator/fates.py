"""What becomes of an accepted message, recipient by recipient: a fate, and the steps of its course. Pure.

A fate hangs on nothing but the seed, the mail (its `atum-mail` id, or its place in the ledger) and the recipient, so
both copies of a mail that was accepted twice fare alike, and every run with the same seed ends in the same truth.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from atum_schema.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_WHOLE: Final = 1 << 64
_SUM: Final = 1.0 + 1e-9


class Fate(StrEnum):
    """What can become of a recipient's copy. An address whose local part is a fate's name, alone or before a `+`, has it."""

    DELIVERED = "delivered"
    OPEN = "open"
    CLICK = "click"
    DELAY = "delay"
    STUCK = "stuck"
    BOUNCE_SOFT = "bounce-soft"
    BOUNCE_HARD = "bounce-hard"
    BOUNCE_INACTIVE = "bounce-inactive"
    BOUNCE_LATE = "bounce-late"
    COMPLAINT = "complaint"
    AUTOREPLY = "autoreply"
    UNSUBSCRIBE = "unsubscribe"
    RESUBSCRIBE = "resubscribe"


class What(StrEnum):
    """One thing that happens to a recipient's copy."""

    DELAYED = "delayed"
    SOFT_BOUNCED = "soft_bounced"
    DELIVERED = "delivered"
    BOUNCED = "bounced"
    COMPLAINED = "complained"
    REPLIED = "replied"
    OPENED = "opened"
    CLICKED = "clicked"
    UNSUBSCRIBED = "unsubscribed"
    RESUBSCRIBED = "resubscribed"


#: A recipient's state is the last of these that has happened to it; the others say nothing about it.
STATES: Final = (What.DELAYED, What.SOFT_BOUNCED, What.DELIVERED, What.BOUNCED, What.COMPLAINED)


class Step(NamedTuple):
    """One step of a course, `after_s` seconds after the acceptance."""

    what: What
    after_s: float
    #: The provider's type of the bounce, or "".
    bounce: str = ""
    #: Why the address is suppressed from here on, or "".
    reason: str = ""


class _Leg(NamedTuple):
    what: What
    #: Seconds since the step before, at least and at most.
    least_s: float
    most_s: float
    bounce: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Course:
    """One line of the table of fates: what happens, in words, and leg by leg."""

    says: str
    legs: tuple[_Leg, ...]


_DELIVERY: Final = _Leg(What.DELIVERED, 0.2, 2.0)
_OPENING: Final = _Leg(What.OPENED, 5.0, 60.0)

COURSES: Final[Mapping[Fate, Course]] = {
    Fate.DELIVERED: Course("delivered", (_DELIVERY,)),
    Fate.OPEN: Course("delivered, then opened", (_DELIVERY, _OPENING)),
    Fate.CLICK: Course(
        "delivered, opened, then a link is followed", (_DELIVERY, _OPENING, _Leg(What.CLICKED, 2.0, 20.0))
    ),
    Fate.DELAY: Course(
        "delayed, then delivered",
        (_Leg(What.DELAYED, 0.2, 2.0, "Transient"), _Leg(What.DELIVERED, 30.0, 90.0)),
    ),
    Fate.STUCK: Course("delayed, and nothing more is heard", (_Leg(What.DELAYED, 0.2, 2.0, "Transient"),)),
    Fate.BOUNCE_SOFT: Course(
        "a soft bounce; the address stays active", (_Leg(What.SOFT_BOUNCED, 0.2, 5.0, "SoftBounce"),)
    ),
    Fate.BOUNCE_HARD: Course(
        "a hard bounce; the address is suppressed",
        (_Leg(What.BOUNCED, 0.2, 5.0, "HardBounce", "HardBounce"),),
    ),
    Fate.BOUNCE_INACTIVE: Course(
        "a soft bounce that deactivates: the address is suppressed",
        (_Leg(What.BOUNCED, 0.2, 5.0, "SoftBounce", "HardBounce"),),
    ),
    Fate.BOUNCE_LATE: Course(
        "delivered, then a hard bounce after all; the address is suppressed",
        (_DELIVERY, _Leg(What.BOUNCED, 60.0, 120.0, "HardBounce", "HardBounce")),
    ),
    Fate.COMPLAINT: Course(
        "delivered, then called spam; the address is suppressed for good",
        (_DELIVERY, _Leg(What.COMPLAINED, 30.0, 120.0, "SpamComplaint", "SpamComplaint")),
    ),
    Fate.AUTOREPLY: Course(
        "delivered, and a program answers", (_DELIVERY, _Leg(What.REPLIED, 1.0, 5.0, "AutoResponder"))
    ),
    Fate.UNSUBSCRIBE: Course(
        "delivered, then unsubscribed; the address is suppressed",
        (_DELIVERY, _Leg(What.UNSUBSCRIBED, 20.0, 60.0, "", "ManualSuppression")),
    ),
    Fate.RESUBSCRIBE: Course(
        "delivered, unsubscribed, then subscribed again",
        (
            _DELIVERY,
            _Leg(What.UNSUBSCRIBED, 20.0, 60.0, "", "ManualSuppression"),
            _Leg(What.RESUBSCRIBED, 20.0, 60.0),
        ),
    ),
}

_NAMES: Final = {str(fate): fate for fate in Fate}


def forced(recipient: str) -> Fate | None:
    """Give the fate that an address asks for by its local part, or None."""
    return _NAMES.get(recipient.partition("@")[0].partition("+")[0].lower())


def fractions(*parts: object, count: int = 4) -> list[float]:
    """Give `count` numbers (at most 8) from 0 to 1 that hang on nothing but the parts."""
    # A separator that no address, id or word has: ("a", "bc") must not be ("ab", "c").
    digest = blake2b("\0".join(map(str, parts)).encode(), digest_size=8 * count).digest()
    return [int.from_bytes(digest[at : at + 8], "big") / _WHOLE for at in range(0, 8 * count, 8)]


@dataclass(frozen=True, slots=True, kw_only=True)
class FatePlan:
    """How often each fate is met, and how fast time goes.

    `shares` gives fates their probability; what is left to 1 is `delivered`. One second of a course takes `time_scale`
    seconds. Raises SettingsError for values that make no sense.
    """

    seed: int = 0
    shares: Mapping[Fate, float] = field(default_factory=dict)
    time_scale: float = 1.0

    def __post_init__(self) -> None:
        try:
            shares = {Fate(name): share for name, share in self.shares.items()}
        except ValueError as error:
            raise SettingsError(f"{error}; there are {', '.join(Fate)}") from error
        object.__setattr__(self, "shares", shares)
        for name, share in shares.items():
            if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
                raise SettingsError(f"the share of {name} is {share!r}, it must be from 0 to 1")
        if sum(shares.values()) > _SUM:
            raise SettingsError(f"the shares of the fates add up to {sum(shares.values()):g}, more than 1")
        if not 0 <= self.time_scale < float("inf"):
            raise SettingsError(f"time_scale is {self.time_scale}, it must not be negative")

    def fate(self, mail: str, recipient: str) -> Fate:
        """Give the fate of a recipient's copy of a mail."""
        return forced(recipient) or self._drawn(fractions(self.seed, mail, recipient)[0])

    def course(self, mail: str, recipient: str) -> tuple[Step, ...]:
        """Give what happens to a recipient's copy, in order."""
        first, *paces = fractions(self.seed, mail, recipient)
        legs = COURSES[forced(recipient) or self._drawn(first)].legs
        steps, after_s = [], 0.0
        for leg, pace in zip(legs, paces, strict=False):
            after_s += (leg.least_s + (leg.most_s - leg.least_s) * pace) * self.time_scale
            steps.append(Step(leg.what, after_s, leg.bounce, leg.reason))
        return tuple(steps)

    def to_document(self) -> dict[str, Any]:
        """Give the plan as a JSON-ready dict."""
        return {
            "seed": self.seed,
            "time_scale": self.time_scale,
            "shares": {str(fate): share for fate, share in self.shares.items()},
        }

    def _drawn(self, draw: float) -> Fate:
        reached = 0.0
        for fate, share in self.shares.items():
            reached += share
            if draw < reached:
                return fate
        return Fate.DELIVERED


def state(steps: Sequence[Step]) -> What | None:
    """Give the state that these steps leave a recipient in; None: nothing is known of its copy."""
    happened = {step.what for step in steps}
    return next((what for what in reversed(STATES) if what in happened), None)
