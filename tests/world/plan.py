"""What a seed draws: how large its world is, what its mails are like, and what may go wrong in it.

Each seed has only some of the faults, so that those it has meet often.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from tests.world.behaviour import BEHAVIOURS, GOOD, NATURES, OUTAGES, REGULAR
from tests.world.rows import NEVER
from tests.world.times import FREEZE, STALL

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")

TRANSACTIONAL: Final = "transactional"
BROADCAST: Final = "broadcast"
FAULTS: Final = (
    "kill",
    "kill",
    "freeze",
    "freeze",
    "freeze",
    "delay",
    "acknowledgement lost",
    "acknowledgement lost",
    "database crash",
    "broker restart",
    "broker wiped",
    "clock",
    "suspended",
    "suspended",
)


class Letter(NamedTuple):
    """A mail that an application sends, and what it does with it later."""

    id: int
    lane: str
    nature: str = GOOD
    at: float = 0.0
    delay_s: float = 0.0
    expires_at: float = NEVER
    on_unknown: str | None = None
    #: Seconds after the enqueue; None: it is not canceled.
    canceled_after: float | None = None
    #: Seconds after the enqueue at which a person holds it back, and for how long.
    held: tuple[float, float] | None = None
    #: Seconds after all that at which a person replays it, if it is dead.
    replayed_after: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The world of a seed."""

    letters: tuple[Letter, ...] = ()
    lanes: tuple[str, ...] = (TRANSACTIONAL,)
    relays: int = 1
    workers: int = 2
    reconcilers: int = 1
    #: Kinds of faults, the share of steps that meet one, and how many there are at most.
    faults: tuple[str, ...] = ()
    misfortune: float = 0.0
    misfortunes: int = 0
    troubles: tuple[str, ...] = ()
    trouble: float = 0.0
    outage: tuple[float, float, str] = (0.0, 0.0, REGULAR)
    stall: tuple[float, float] = (0.0, 0.0)
    search_fails: float = 0.0
    refusing: float = 0.0
    slow: float = 0.0
    lossy: float = 0.0
    repeating: float = 0.0
    silent: float = 0.0
    #: When a person pauses the first lane, and for how long.
    pause: tuple[float, float] | None = None
    #: Longest freeze between the final check and the last write.
    freeze_last: float = FREEZE
    #: Whether a request may be completed after its client has closed the connection, at any time.
    late_network: bool = False
    #: From when on nothing goes wrong any more.
    calm_at: float = 0.0

    @property
    def stalls(self) -> bool:
        """Whether the index stalls."""
        return self.stall[1] > self.stall[0]


def some(rng: Random, things: Sequence[T]) -> tuple[T, ...]:
    """Draw a few different places of a sequence."""
    return tuple(rng.sample(things, rng.randint(1, min(3, len(things)))))


def draw(rng: Random) -> Plan:
    """Draw the world of a seed."""
    calm_at = rng.uniform(30.0, 600.0)
    lanes = (TRANSACTIONAL, BROADCAST) if rng.random() < 0.2 else (TRANSACTIONAL,)
    begins = rng.uniform(0.0, calm_at / 2)
    plan = Plan(
        letters=tuple(_letter(rng, number, lanes) for number in range(1, rng.choice((1, 2, 3, 4, 5)) + 1)),
        lanes=lanes,
        relays=rng.choice((1, 1, 2)),
        reconcilers=rng.choice((1, 1, 2)),
        faults=some(rng, FAULTS),
        misfortune=rng.choice((0.0, 0.02, 0.1)),
        misfortunes=rng.randint(1, 5),
        troubles=some(rng, tuple(BEHAVIOURS)),
        trouble=rng.choice((0.0, 0.3, 0.7)),
        outage=(begins, begins + rng.uniform(10.0, 120.0), rng.choice(OUTAGES))
        if rng.random() < 0.15
        else (0.0, 0.0, REGULAR),
        search_fails=rng.choice((0.0, 0.0, 0.3)),
        refusing=rng.choice((0.0, 0.0, 0.2)),
        slow=rng.choice((0.0, 0.0, 0.3)),
        lossy=rng.choice((0.0, 0.0, 0.3)),
        repeating=rng.choice((0.0, 0.0, 0.3)),
        silent=rng.choice((0.0, 0.0, 0.3)),
        pause=(rng.uniform(0.0, 30.0), rng.uniform(1.0, 100.0)) if rng.random() < 0.05 else None,
        calm_at=calm_at,
    )
    if rng.random() < 0.15:
        begins = rng.uniform(0.0, 30.0)
        # An index that stalls is one thing, a freeze at the last write another: together they are case (b).
        plan = replace(plan, stall=(begins, begins + rng.uniform(100.0, STALL)), freeze_last=0.0, slow=0.0)
    plan = _beyond(rng, plan) if rng.random() < 0.05 else plan
    # Drawn apart, so that what persons do changes nothing else in the world of a seed.
    people = Random(str(rng.getstate()))  # noqa: S311
    return replace(plan, letters=tuple(_handled(people, letter) for letter in plan.letters))


def _handled(people: Random, letter: Letter) -> Letter:
    """Let a person hold a mail back, or replay it."""
    return letter._replace(
        held=(people.choice((30.0, 3000.0)) * people.random(), people.uniform(0.0, 300.0))
        if people.random() < 0.1
        else None,
        replayed_after=people.uniform(0.0, 900.0) if people.random() < 0.2 else None,
    )


def _beyond(rng: Random, plan: Plan) -> Plan:
    """Let the outside break what is taken for granted of it."""
    what = rng.choice(("freeze", "network", "index"))
    if what == "freeze":
        return replace(plan, freeze_last=2000.0, faults=("freeze",), misfortune=0.7, misfortunes=5)
    if what == "network":
        return replace(plan, late_network=True, slow=0.5, troubles=("hangs before",), trouble=0.3)
    return replace(plan, stall=(0.0, 3000.0), troubles=("hangs after",), trouble=0.5)


def _letter(rng: Random, number: int, lanes: tuple[str, ...]) -> Letter:
    at = rng.choice((0.0, 0.0, rng.uniform(0.0, 60.0)))
    return Letter(
        id=number,
        lane=rng.choice(lanes),
        nature=rng.choice(NATURES) if rng.random() < 0.1 else GOOD,
        at=at,
        delay_s=rng.uniform(1.0, 60.0) if rng.random() < 0.1 else 0.0,
        expires_at=at + rng.uniform(1.0, 600.0) if rng.random() < 0.1 else NEVER,
        on_unknown=rng.choice(("hold", "resend")) if rng.random() < 0.1 else None,
        canceled_after=rng.choice((0.0, rng.uniform(0.0, 1.0), rng.uniform(0.0, 600.0)))
        if rng.random() < 0.1
        else None,
    )
