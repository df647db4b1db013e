"""How much of what finishes fails, and whether that is more than the day before. Pure.

*Finished* is a mail that comes to an end, after a replay once more; *failed* is one that moves into dead, expired or
bounced. The rate is failed ÷ finished, in a window of time, and 1 at most: a mail that was sent before the window may
bounce in it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

LEAST: Final = 20
"""Finished mails from which on a rate means something."""

_STEADY: Final = 0.25
_FEW: Final = 0.005


class Counts(NamedTuple):
    """What came to an end in a window of time."""

    finished: int = 0
    dead: int = 0
    expired: int = 0
    bounced: int = 0

    @property
    def failed(self) -> int:
        """All that failed."""
        return self.dead + self.expired + self.bounced


class Direction(StrEnum):
    """How a rate compares to the one before, each with the sentence that defines it."""

    RISING = "rising"
    """More than a quarter higher, and by more than half a percent of the mails."""
    FALLING = "falling"
    """The reverse of rising."""
    STEADY = "steady"
    """Neither."""
    UNCLEAR = "unclear"
    """One of the two windows has too few mails to say."""


class Trend(NamedTuple):
    """The failure rate of a window, and of the one before it."""

    now: Counts
    before: Counts
    #: None: too few mails finished to say.
    rate: float | None
    rate_before: float | None
    direction: Direction


def rate(counts: Counts, *, least: int = LEAST) -> float | None:
    """Give the share of failures among what finished; None when fewer than `least` mails did either."""
    base = max(counts.finished, counts.failed)
    if base < max(1, least):
        return None
    return counts.failed / base


def trend(now: Counts, before: Counts, *, least: int = LEAST) -> Trend:
    """Compare a window with the one before."""
    rate_now, rate_before = rate(now, least=least), rate(before, least=least)
    return Trend(now, before, rate_now, rate_before, _direction(rate_now, rate_before))


def _direction(now: float | None, before: float | None) -> Direction:
    if now is None or before is None:
        return Direction.UNCLEAR
    if now - before > max(_FEW, _STEADY * before):
        return Direction.RISING
    if before - now > max(_FEW, _STEADY * now):
        return Direction.FALLING
    return Direction.STEADY


_WIDTH: Final = 16


def bars(values: Sequence[float]) -> list[str]:
    """Draw a bar for each value, the highest in full width; what is not 0 is never drawn as nothing."""
    top = max(values, default=0.0)
    return ["█" * round(_WIDTH * value / top) or "▏" if value > 0 else "" for value in values]


def document(found: Trend) -> dict[str, Any]:
    """Give a trend for JSON."""
    return {
        "finished": found.now.finished,
        "failed": found.now.failed,
        "dead": found.now.dead,
        "expired": found.now.expired,
        "bounced": found.now.bounced,
        "rate": found.rate,
        "rate_before": found.rate_before,
        "trend": found.direction.value,
    }


def words(found: Trend) -> str:
    """Say a trend in one line."""
    if found.rate is None:
        return f"{found.now.failed:,} of {found.now.finished:,} (too few for a rate)"
    text = f"{found.rate:.2%} ({found.now.failed:,} of {found.now.finished:,})"
    if found.rate_before is None:
        return f"{text}; too few mails the day before to compare"
    return f"{text}; {found.direction.value}, {found.rate_before:.2%} the day before"
