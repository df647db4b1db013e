"""When a mail is tried again, and when it is given up."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atum_schema.status import Cause, Status
from atum_workers.outcome import Accepted, Deferred, Rejected, Unclear
from atum_workers.retry import GiveUp, RetryIn, RetryPolicy, Sent, Unresolved, Verdict, decide

if TYPE_CHECKING:
    from collections.abc import Callable

DEFAULT = RetryPolicy(attempts=14, tries=100, base=30.0, maximum=3600.0)


@st.composite
def policies(draw: st.DrawFn) -> RetryPolicy:
    """Every policy that the settings allow."""
    base = draw(st.floats(0.01, 3600))
    return RetryPolicy(
        attempts=draw(st.integers(1, 100)),
        tries=draw(st.integers(1, 10_000)),
        base=base,
        maximum=draw(st.floats(base, 86_400)),
    )


FAILURES = st.integers(1, 10**12)
RETRY_AFTER = st.none() | st.floats(0, 86_400)


def at(fraction: float) -> Callable[[float, float], float]:
    """A draw that always lands at this part of its range."""
    return lambda low, high: low + fraction * (high - low)


def lowest(low: float, high: float) -> float:
    assert low <= high
    return low


def highest(low: float, high: float) -> float:
    assert low <= high
    return high


def not_now(*, charged: bool = True, retry_after: float | None = None, split: bool = False) -> Deferred:
    return Deferred(
        reason="rate_limited", detail="slow down", charged=charged, retry_after=retry_after, split=split
    )


def told(outcome: Deferred, *, attempts: int, tries: int, policy: RetryPolicy = DEFAULT) -> Verdict:
    return decide(outcome, attempts=attempts, tries=tries, policy=policy, uniform=highest)


@given(policy=policies(), n=st.integers(1, 1100))
def test_the_bound_doubles_from_the_base_to_the_maximum(policy: RetryPolicy, n: int) -> None:
    exact = min(Fraction(policy.maximum), Fraction(policy.base) * 2 ** (n - 1))
    assert policy.delay(n, retry_after=None, uniform=highest) == pytest.approx(float(exact), rel=1e-12)


@given(policy=policies(), n=FAILURES)
def test_the_jitter_is_full(policy: RetryPolicy, n: int) -> None:
    assert policy.delay(n, retry_after=None, uniform=lowest) == 0.0


@given(policy=policies(), n=FAILURES, fraction=st.floats(0, 1))
def test_a_delay_never_leaves_its_bounds_nor_overflows(policy: RetryPolicy, n: int, fraction: float) -> None:
    delay = policy.delay(n, retry_after=None, uniform=at(fraction))
    assert 0 <= delay <= policy.maximum


@given(policy=policies(), n=FAILURES)
def test_the_bound_never_shrinks(policy: RetryPolicy, n: int) -> None:
    first, second = (policy.delay(turn, retry_after=None, uniform=highest) for turn in (n, n + 1))
    assert first <= second


@given(policy=policies(), n=FAILURES, retry_after=st.floats(0, 86_400), fraction=st.floats(0, 1))
def test_retry_after_is_a_floor_and_those_who_were_told_the_same_do_not_come_back_together(
    policy: RetryPolicy, n: int, retry_after: float, fraction: float
) -> None:
    drawn = policy.delay(n, retry_after=retry_after, uniform=at(fraction))
    assert retry_after <= drawn <= retry_after + policy.base
    assert policy.delay(n, retry_after=retry_after, uniform=highest) > retry_after


@given(
    attempts=st.integers(1, 8),
    tries=st.integers(1, 12),
    retry_after=RETRY_AFTER,
    charges=st.lists(st.booleans(), min_size=12, max_size=12),
)
def test_a_mail_is_given_up_exactly_when_its_attempts_or_its_tries_are_used_up(
    attempts: int, tries: int, retry_after: float | None, charges: list[bool]
) -> None:
    policy = RetryPolicy(attempts=attempts, tries=tries, base=30.0, maximum=3600.0)
    verdicts: list[Verdict] = []
    for made, charged in enumerate(charges):
        outcome = not_now(charged=charged, retry_after=retry_after)
        verdicts.append(told(outcome, attempts=sum(charges[:made]), tries=made, policy=policy))
        if isinstance(verdicts[-1], GiveUp):
            break
    posts = len(verdicts)
    assert verdicts[-1] == GiveUp(
        cause=Cause.ATTEMPTS_EXHAUSTED if sum(charges[:posts]) == attempts else Cause.TRIES_EXHAUSTED,
        charged=charges[posts - 1],
    )
    assert sum(charges[:posts]) == attempts or posts == tries
    assert sum(charges[: posts - 1]) < attempts
    assert [isinstance(verdict, RetryIn) and verdict.charged for verdict in verdicts[:-1]] == charges[
        : posts - 1
    ]


@given(policy=policies())
def test_an_outage_uses_up_no_attempts_only_tries(policy: RetryPolicy) -> None:
    for attempts in (0, policy.attempts - 1):
        last = told(not_now(charged=False), attempts=attempts, tries=policy.tries - 1, policy=policy)
        assert last == GiveUp(cause=Cause.TRIES_EXHAUSTED, charged=False)
        if policy.tries > 1:
            earlier = told(not_now(charged=False), attempts=attempts, tries=policy.tries - 2, policy=policy)
            assert isinstance(earlier, RetryIn)


@given(policy=policies(), attempts=st.integers(0, 1000))
def test_an_outage_kills_no_mail_when_the_limit_of_attempts_was_lowered_meanwhile(
    policy: RetryPolicy, attempts: int
) -> None:
    verdict = told(not_now(charged=False), attempts=attempts, tries=0, policy=policy)
    assert isinstance(verdict, RetryIn) or verdict.cause is Cause.TRIES_EXHAUSTED


def test_charged_failures_back_off_by_attempts_and_outages_by_tries() -> None:
    charged = told(not_now(), attempts=0, tries=5)
    uncharged = told(not_now(charged=False), attempts=0, tries=5)
    assert isinstance(charged, RetryIn)
    assert charged.seconds == 30
    assert isinstance(uncharged, RetryIn)
    assert uncharged.seconds == 30 * 2**5


def test_by_default_a_mail_is_tried_for_three_and_a_half_hours_on_average() -> None:
    bounds = [DEFAULT.delay(n, retry_after=None, uniform=highest) for n in range(1, DEFAULT.attempts)]
    assert sum(bounds) / 2 / 3600 == pytest.approx(3.53, abs=0.01)


def test_acceptance_sends_the_mail() -> None:
    verdict = decide(Accepted(message_id="m"), attempts=99, tries=999, policy=DEFAULT, uniform=highest)
    assert verdict == Sent()
    assert verdict.status is Status.SENT


def test_a_refusal_for_good_is_charged_and_final_at_the_first_attempt() -> None:
    refused = Rejected(reason="invalid_mail", detail="no")
    verdict = decide(refused, attempts=0, tries=0, policy=DEFAULT, uniform=highest)
    assert verdict == GiveUp(cause=Cause.PROVIDER_REJECTED, charged=True)
    assert verdict.status is Status.DEAD


def test_what_is_unclear_is_never_tried_again_nor_given_up_whatever_the_counts() -> None:
    unclear = Unclear(reason="no_answer", detail="reset")
    for attempts, tries in ((0, 0), (13, 99), (500, 500)):
        verdict = decide(unclear, attempts=attempts, tries=tries, policy=DEFAULT, uniform=highest)
        assert verdict == Unresolved()
        assert verdict.status is Status.UNKNOWN


@pytest.mark.parametrize(("mails", "at_most"), [(2, 1), (3, 2), (200, 100), (500, 250)])
def test_a_batch_with_a_suspect_in_it_is_halved_at_once(mails: int, at_most: int) -> None:
    suspected = not_now(charged=False, split=True)
    verdict = decide(suspected, attempts=0, tries=0, policy=DEFAULT, uniform=highest, mails=mails)
    assert verdict == RetryIn(seconds=0.0, charged=False, at_most=at_most)
