"""When an unknown mail is searched for, what a search is worth, and what is decided in the end."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atum_schema.status import Cause
from atum_workers.settling import (
    Again,
    End,
    Resend,
    Search,
    Settled,
    SettlePolicy,
    after_search,
    counts,
    verdict,
)

POLICY = SettlePolicy(
    schedule=(30.0, 120.0, 600.0), without_control=1800.0, retention=45 * 86_400.0, tries=100, crashes=3
)


def test_three_controlled_empty_searches_settle_at_the_times_of_the_schedule() -> None:
    age, searches = POLICY.schedule[0], 0
    times = [age]
    while isinstance(
        step := after_search(Search.CONTROLLED, searches=searches, failures=0, age=age, policy=POLICY), Again
    ):
        age, searches = age + step.seconds, step.searches
        times.append(age)
    assert times == list(POLICY.schedule)
    assert step == Settled(searches=3)


@pytest.mark.parametrize("searches", [0, 1, 2])
@pytest.mark.parametrize("age", [30.0, 1e9])
def test_a_failed_search_counts_for_nothing_however_late(searches: int, age: float) -> None:
    step = after_search(Search.FAILED, searches=searches, failures=0, age=age, policy=POLICY)
    assert isinstance(step, Again)
    assert step.searches == searches


def test_failed_searches_are_repeated_at_doubling_distances_up_to_the_largest_gap() -> None:
    waits = []
    for failures in (0, 1, 2, 3, 4, 5, 1000):
        step = after_search(Search.FAILED, searches=0, failures=failures, age=0.0, policy=POLICY)
        assert isinstance(step, Again)
        assert step.failures == failures + 1
        waits.append(step.seconds)
    assert waits == [30.0, 60.0, 120.0, 240.0, 480.0, 480.0, 480.0]


def test_without_a_control_an_empty_search_counts_only_once_time_decides() -> None:
    assert not counts(Search.UNCONTROLLED, age=1799.9, policy=POLICY)
    assert counts(Search.UNCONTROLLED, age=1800.0, policy=POLICY)
    assert counts(Search.CONTROLLED, age=0.0, policy=POLICY)
    assert not counts(Search.FAILED, age=1e9, policy=POLICY)


@given(
    rounds=st.lists(st.sampled_from(Search), max_size=60),
    schedule=st.lists(st.floats(0.5, 5000), min_size=1, max_size=6, unique=True).map(sorted),
)
def test_nothing_settles_before_the_schedule_is_over_and_enough_searches_counted(
    rounds: list[Search], schedule: list[float]
) -> None:
    policy = replace(POLICY, schedule=tuple(schedule), without_control=schedule[-1] + 1)
    age, searches, failures = schedule[0], 0, 0
    counted_at = []
    for search in rounds:
        step = after_search(search, searches=searches, failures=failures, age=age, policy=policy)
        if counts(search, age=age, policy=policy):
            counted_at.append(age)
        if isinstance(step, Settled):
            assert len(counted_at) == len(schedule)
            assert age >= schedule[-1] - 1e-6
            # However searches are delayed, those that count keep the distances of the schedule.
            gaps = [later - earlier for earlier, later in pairwise(schedule)]
            assert all(b - a >= gap - 1e-6 for (a, b), gap in zip(pairwise(counted_at), gaps, strict=True))
            return
        assert step.seconds > 0
        assert step.searches == len(counted_at)
        age, searches, failures = age + step.seconds, step.searches, step.failures


def decided(**facts: object) -> Resend | End:
    usual = {"resend": True, "expired": False, "tries": 1, "crashes": 0, "posted_ago": 700.0, "mails": 10}
    return verdict(policy=POLICY, **{**usual, **facts})  # type: ignore[arg-type]


@pytest.mark.parametrize(("mails", "at_most"), [(200, 100), (7, 4), (2, 1), (1, 1)])
def test_what_is_not_found_goes_out_again_in_halves_until_it_is_alone(mails: int, at_most: int) -> None:
    assert decided(mails=mails) == Resend(at_most=at_most)


@pytest.mark.parametrize(
    ("facts", "cause", "reason"),
    [
        ({"resend": False}, Cause.HELD, "not_found"),
        ({"expired": True}, Cause.EXPIRED, "expired"),
        ({"expired": True, "resend": False}, Cause.EXPIRED, "expired"),
        ({"posted_ago": POLICY.retention + 1}, Cause.HELD, "beyond_retention"),
        ({"crashes": 3, "mails": 1}, Cause.POISONED, "poison"),
        ({"tries": 100}, Cause.TRIES_EXHAUSTED, "tries_exhausted"),
    ],
)
def test_who_must_not_go_out_again_ends_with_the_reason(
    facts: dict[str, object], cause: Cause, reason: str
) -> None:
    assert decided(**facts) == End(cause=cause, reason=reason)


@given(
    resend=st.booleans(),
    expired=st.booleans(),
    tries=st.integers(0, 200),
    crashes=st.integers(0, 5),
    posted_ago=st.floats(0, 1e8),
    mails=st.integers(1, 500),
)
def test_nothing_goes_out_again_without_leave_or_beyond_a_cap(
    *, resend: bool, expired: bool, tries: int, crashes: int, posted_ago: float, mails: int
) -> None:
    result = verdict(
        resend=resend,
        expired=expired,
        tries=tries,
        crashes=crashes,
        posted_ago=posted_ago,
        mails=mails,
        policy=POLICY,
    )
    if isinstance(result, Resend):
        assert resend
        assert not expired
        assert tries < POLICY.tries
        assert crashes < POLICY.crashes
        assert posted_ago <= POLICY.retention
        assert 1 <= result.at_most < max(mails, 2)
