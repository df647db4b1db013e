"""Settling an unknown outcome by evidence: when to search, what a search is worth, what follows. Pure decisions.

::

    unknown at the anchor ──▶ search ──▶ found: sent
                                │  nothing found: counts with a control, or when time alone decides
                                │  failed: counts for nothing
                                └──▶ enough that count ──▶ resend in halves · hold · expired · dead

The anchor is the latest moment at which the provider could have accepted the mails. A control is another mail of the
same stream, accepted after the anchor and after the last search that counted, that the same round finds: it shows that
the provider's index has come so far.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from atum_schema.status import Cause
from atum_schema.sweeping import halved


class Search(Enum):
    """What a round of searches, over every unresolved batch of the mails, came to."""

    CONTROLLED = "nothing more found, and the control was"
    UNCONTROLLED = "nothing more found, and no control either"
    FAILED = "some search failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class SettlePolicy:
    """The settings of settling; all times are seconds."""

    #: Times of the searches after the anchor, rising.
    schedule: tuple[float, ...]
    #: From when after the anchor an empty search counts without a control.
    without_control: float
    #: How long after a POST the provider can be searched for it.
    retention: float
    #: POSTs of a mail, at most.
    tries: int
    #: How often a mail may be alone with a worker that dies.
    crashes: int

    def gap(self, done: int) -> float:
        """Seconds from the search that made `done` counted ones to the next."""
        place = min(done, len(self.schedule) - 1)
        return self.schedule[place] - (self.schedule[place - 1] if place else 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """Another search is needed, in `seconds`."""

    seconds: float
    searches: int
    failures: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """Nothing more will be searched: the policies of the mails decide."""

    searches: int


def counts(search: Search, *, age: float, policy: SettlePolicy) -> bool:
    """Whether a search `age` seconds after the anchor says anything about the mails that it did not find."""
    return search is Search.CONTROLLED or (search is Search.UNCONTROLLED and age >= policy.without_control)


def after_search(
    search: Search, *, searches: int, failures: int, age: float, policy: SettlePolicy
) -> Again | Settled:
    """Say what follows when `searches` counted before this one and `failures` failed in a row.

    Searches that count are spaced from each other by the gaps of the schedule, whenever they happen. A search that
    failed is repeated sooner, at doubling distances up to the largest gap.
    """
    if search is Search.FAILED:
        longest = max(policy.gap(place) for place in range(len(policy.schedule)))
        seconds = min(longest, policy.gap(0) * 2.0 ** min(failures, 32))
        return Again(seconds=seconds, searches=searches, failures=failures + 1)
    done = searches + counts(search, age=age, policy=policy)
    if done >= len(policy.schedule):
        return Settled(searches=done)
    return Again(seconds=policy.gap(max(done, 1)), searches=done, failures=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resend:
    """It goes out again, with at most `at_most` mails in its batch."""

    at_most: int
    cause: Cause = Cause.RESEND_ALLOWED


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """It is not sent again by itself."""

    cause: Cause
    reason: str


Verdict: TypeAlias = Resend | End


def verdict(
    *,
    resend: bool,
    expired: bool,
    tries: int,
    crashes: int,
    posted_ago: float,
    mails: int,
    policy: SettlePolicy,
) -> Verdict:
    """Decide about a mail that settling did not find.

    `resend` is its policy, `posted_ago` the seconds since the first of its POSTs that is unresolved, `mails` how many
    of its batch were not found.
    """
    if expired:
        return End(cause=Cause.EXPIRED, reason="expired")
    if posted_ago > policy.retention:
        # The provider would not remember it: nothing was found because nothing could be.
        return End(cause=Cause.HELD, reason="beyond_retention")
    if not resend:
        return End(cause=Cause.HELD, reason="not_found")
    if crashes >= policy.crashes:
        return End(cause=Cause.POISONED, reason="poison")
    if tries >= policy.tries:
        return End(cause=Cause.TRIES_EXHAUSTED, reason="tries_exhausted")
    return Resend(at_most=halved(mails))
