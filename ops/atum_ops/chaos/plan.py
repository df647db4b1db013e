"""Which disturbance comes when: a pure function of the seed and the duration."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

#: What runs: one of each name, under these names everywhere.
WORKERS: Final = ("worker-1", "worker-2", "worker-3")
RELAYS: Final = ("relay-1", "relay-2")
PRODUCERS: Final = ("producer-1", "producer-2")
POSTGRES: Final = "postgres"
RABBIT: Final = "rabbitmq"
PROVIDER: Final = "provider"
LINKS: Final = (POSTGRES, RABBIT, PROVIDER)

#: Seconds that a process is frozen or a link is dead, at least and at most: shorter than settling takes.
HELD_S: Final = (1.0, 4.0)
LEAST_KILLS: Final = 5
_KILLS_PER_MINUTE: Final = 9
_OTHERS_PER_MINUTE: Final = 7
# Before and after, the system runs undisturbed for a moment.
_MARGIN: Final = 0.05


class Kind(StrEnum):
    """The disturbances, each with the sentence that defines it."""

    KILL = "kill"
    """SIGKILL; a new one starts at once, with the data of the old one."""
    WIPE = "wipe"
    """SIGKILL of the broker; it starts with no data at all."""
    FREEZE = "freeze"
    """SIGSTOP, and SIGCONT some seconds later."""
    RESET = "reset"
    """Every connection of a link is reset (RST)."""
    BLACKHOLE = "blackhole"
    """A link carries nothing for some seconds; the kernel acknowledges what is sent, as with a frozen server."""
    UNPLUG = "unplug"
    """A link carries and acknowledges nothing for some seconds, as a cut cable."""


KILLS: Final = frozenset({Kind.KILL, Kind.WIPE})


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Disturbance:
    """One thing to do. `at` is in seconds after the start, `seconds` is how long it lasts (0: a moment)."""

    at: float
    kind: Kind
    target: str
    seconds: float = 0.0


def schedule(seed: int, duration: float) -> list[Disturbance]:
    """Give the disturbances of a run of `duration` seconds, in order.

    Always among them: a kill of PostgreSQL, of RabbitMQ, of a worker, of a relay and of a producer, and a wipe of the
    broker. Per minute there are 9 kills and 7 others, at random times to random targets.
    """
    rng = random.Random(seed)  # noqa: S311 - no secret
    needed = _needed(rng)
    draw = [*needed, *_drawn(rng, duration, needed=len(needed))]
    times = _times(rng, len(draw), duration)
    rng.shuffle(draw)
    return [
        Disturbance(at=at, kind=kind, target=target, seconds=_length(rng, kind))
        for at, (kind, target) in zip(times, draw, strict=True)
    ]


def _needed(rng: random.Random) -> list[tuple[Kind, str]]:
    return [
        (Kind.KILL, POSTGRES),
        (Kind.KILL, RABBIT),
        (Kind.WIPE, RABBIT),
        (Kind.KILL, rng.choice(WORKERS)),
        (Kind.KILL, rng.choice(RELAYS)),
        (Kind.KILL, rng.choice(PRODUCERS)),
    ]


def _drawn(rng: random.Random, duration: float, *, needed: int) -> list[tuple[Kind, str]]:
    minutes = duration / 60
    kills = max(0, round(_KILLS_PER_MINUTE * minutes) - needed)
    others = max(1, round(_OTHERS_PER_MINUTE * minutes))
    killed = [*WORKERS, *WORKERS, *RELAYS, *PRODUCERS, POSTGRES]
    drawn = [(Kind.KILL, rng.choice(killed)) for _ in range(kills)]
    for _ in range(others):
        kind = rng.choice((Kind.FREEZE, Kind.FREEZE, Kind.RESET, Kind.BLACKHOLE, Kind.UNPLUG))
        drawn.append((kind, rng.choice((*WORKERS, *RELAYS) if kind is Kind.FREEZE else LINKS)))
    return drawn


def _times(rng: random.Random, number: int, duration: float) -> list[float]:
    """Draw one time in each of as many equal slots: spread over the run, and still at random."""
    first, last = duration * _MARGIN, duration * (1 - _MARGIN)
    slot = (last - first) / number
    return [first + slot * (place + rng.random()) for place in range(number)]


def _length(rng: random.Random, kind: Kind) -> float:
    return round(rng.uniform(*HELD_S), 2) if kind in {Kind.FREEZE, Kind.BLACKHOLE, Kind.UNPLUG} else 0.0
