"""What becomes of a batch whose lease has run out: pure decisions of the sweeper.

::

    claimed ──▶ nothing was posted ──▶ back to `ready`, in halves; alone and killing again: dead
    posting ──▶ nobody knows ────────▶ unknown, until settled by evidence
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias


def halved(mails: int) -> int:
    """Say how many mails of a batch of `mails` may travel together next: half, rounded up, at least one."""
    return max(1, (mails + 1) // 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scatter:
    """The mails wait for new batches at once, with at most `at_most` mails in each."""

    at_most: int


@dataclass(frozen=True, slots=True)
class Bury:
    """The mail is dead: it was alone with its worker each time that the worker died."""


@dataclass(frozen=True, slots=True)
class GiveUp:
    """A POST may have been made: the batch is unknown."""


Verdict: TypeAlias = Scatter | Bury | GiveUp
BURY: Final = Bury()
GIVE_UP: Final = GiveUp()


def expired(state: str, *, mails: int, crashes: int, poison_crashes: int) -> Verdict:
    """Decide about a batch of `mails` mails whose lease in this state, claimed or posting, has run out.

    `crashes` are the times before this one that a worker died with the batch's only mail in its hands; with
    `poison_crashes` of them the mail is taken for the cause.
    """
    if state == "posting":
        return GIVE_UP
    if mails == 1 and crashes + 1 >= poison_crashes:
        return BURY
    return Scatter(at_most=halved(mails))
