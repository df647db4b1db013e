"""When to try again, and when to stop: pure decisions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from atum_schema.status import Cause, Status
from atum_schema.sweeping import halved
from atum_workers.outcome import Accepted, Deferred, Outcome, Rejected

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Exponential back-off with full jitter."""

    #: Charged attempts before the mail is dead.
    attempts: int
    #: POSTs, charged or not, before the mail is dead.
    tries: int
    #: Seconds: bound of the first delay, and the largest bound.
    base: float
    maximum: float

    def delay(self, n: int, *, retry_after: float | None, uniform: Callable[[float, float], float]) -> float:
        """Seconds until the try after failure `n` (1, 2, …).

        Uniform between 0 and min(maximum, base·2^(n−1)), and never before the provider's Retry-After, to which
        the jitter is then added so that those who were told the same do not come back together.
        """
        # Beyond 2^62 the bound is the maximum whatever the base; floats would overflow near 2^1024.
        bound = min(self.maximum, self.base * 2.0 ** min(n - 1, 62))
        jitter = uniform(0.0, bound)
        return jitter if retry_after is None else retry_after + min(jitter, self.base)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """Accepted, for good."""

    cause: Cause = Cause.PROVIDER_ACCEPTED
    status: Status = Status.SENT


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryIn:
    """Another try in `seconds`."""

    seconds: float
    charged: bool
    #: The most mails that its next batch may hold; None when nobody suspects it.
    at_most: int | None = None
    cause: Cause = Cause.RETRY_SCHEDULED
    status: Status = Status.RETRYING


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveUp:
    """Dead, and why."""

    cause: Cause
    charged: bool
    status: Status = Status.DEAD


@dataclass(frozen=True, slots=True, kw_only=True)
class Unresolved:
    """Unknown until evidence settles it."""

    cause: Cause = Cause.OUTCOME_UNKNOWN
    status: Status = Status.UNKNOWN


_SENT: Final = Sent()

Verdict: TypeAlias = Sent | RetryIn | GiveUp | Unresolved


def decide(
    outcome: Outcome,
    *,
    attempts: int,
    tries: int,
    policy: RetryPolicy,
    uniform: Callable[[float, float], float],
    mails: int = 1,
) -> Verdict:
    """Say what follows from an outcome, for a mail with `attempts` charged and `tries` made before this one.

    `mails` is the size of the batch that it travelled in.
    """
    if isinstance(outcome, Accepted):
        return _SENT
    if isinstance(outcome, Rejected):
        return GiveUp(cause=Cause.PROVIDER_REJECTED, charged=True)
    if isinstance(outcome, Deferred):
        return _after_deferral(outcome, attempts + outcome.charged, tries + 1, policy, uniform, mails)
    return Unresolved()


def _after_deferral(
    outcome: Deferred,
    attempts: int,
    tries: int,
    policy: RetryPolicy,
    uniform: Callable[[float, float], float],
    mails: int,
) -> Verdict:
    if outcome.charged and attempts >= policy.attempts:
        return GiveUp(cause=Cause.ATTEMPTS_EXHAUSTED, charged=outcome.charged)
    if tries >= policy.tries:
        return GiveUp(cause=Cause.TRIES_EXHAUSTED, charged=outcome.charged)
    if outcome.split:
        # Looking for the one at fault is no waiting for better times.
        return RetryIn(seconds=0.0, charged=outcome.charged, at_most=halved(mails))
    n = attempts if outcome.charged else tries
    seconds = policy.delay(n, retry_after=outcome.retry_after, uniform=uniform)
    return RetryIn(seconds=seconds, charged=outcome.charged)
