"""What holds for a lane's window whatever happens to it."""

from __future__ import annotations

from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atum_schema import flow
from atum_schema.flow import Failed, Good, Halt, Policy, Report, Signal, Slow, Window
from atum_schema.flow_allowance import allowance, drain_estimate, issued, refilled

POLICY = Policy()
NOW = 1_800_000_000.0

Step: TypeAlias = tuple[str, float, Signal, float]

retry_after = st.none() | st.floats(0, 86_400)
reasons = st.sampled_from(["token_refused", "sender_not_found"])
signals: st.SearchStrategy[Signal] = st.one_of(
    st.builds(Good, mails=st.integers(0, 500), requests=st.integers(1, 100)),
    st.builds(Slow, reason=st.sampled_from(["rate_limited", "timeout"]), retry_after=retry_after),
    st.builds(Failed, retry_after=retry_after),
    st.builds(Halt, reason=reasons, sure=st.booleans()),
)
steps = st.tuples(
    st.sampled_from(["told", "told", "told", "issued", "paused", "resumed", "configured"]),
    st.floats(-1, 200),
    signals,
    st.floats(0, 100),
)
ceilings = st.integers(1, 100)


def middle(low: float, high: float) -> float:
    assert low <= high
    return (low + high) / 2


def step(window: Window, now: float, what: Step) -> Window:
    name, _, signal, size = what
    if name == "issued":
        return issued(window, mails=int(size), now=now, policy=POLICY, uniform=middle)
    if name == "paused":
        return flow.paused(window, reason="why", by="kim", now=now)
    if name == "resumed":
        return flow.resumed(window, now=now)
    if name == "configured":
        return flow.configured(
            window, ceiling=1 + int(size), rate=size if size >= 0.01 else None, burst=size + 1, now=now
        )
    return flow.after(window, Report(signal, size), now, POLICY, middle)


def sound(window: Window) -> None:
    assert 0 <= window.size <= window.ceiling
    assert 1 <= window.threshold <= window.ceiling
    assert (window.state == "open") == (window.size > 0) == (window.reason is None)
    assert (window.probe_at is not None) == (window.state != "open" and window.paused_by is None)
    assert window.paused_by is None or window.state == "paused"
    assert 0 <= window.good + window.bad <= POLICY.memory * 1.001
    assert 0 <= window.tokens <= max(window.burst, 0)
    assert window.outage_end is None or window.outage_at is not None
    assert window.credit >= 0 <= window.sent_rate


@given(ceilings, st.lists(steps, max_size=40))
def test_every_history_leaves_a_sound_window_that_can_be_asked(ceiling: int, history: list[Step]) -> None:
    now = NOW
    window = flow.new(ceiling=ceiling, rate=None, burst=0.0, now=now)
    for what in history:
        now += what[1]
        window = step(window, now, what)
        sound(window)
        allowed = allowance(window, in_flight=0, now=now, batch_mails=200)
        assert 0 <= allowed.batches <= max(1, window.size)
        assert allowed.mails <= allowed.batches * allowed.batch_mails
        assert (allowed.batches == 0) == (allowed.mails == 0)
        assert allowed.wait_s is None or (allowed.batches == 0 and allowed.wait_s > 0)
        assert (drain_estimate(window, 10, now=now, policy=POLICY) or 1) > 0


@given(ceilings, st.lists(steps, max_size=30))
def test_what_is_not_paused_by_a_person_gets_to_send_again(ceiling: int, history: list[Step]) -> None:
    now = NOW
    window = flow.new(ceiling=ceiling, rate=None, burst=0.0, now=now)
    for what in history:
        now += max(0.0, what[1])
        window = step(window, now, what)
    later = now + 3600 + 60 + 1
    allowed = allowance(window, in_flight=0, now=later, batch_mails=200)
    assert (allowed.batches > 0) == (window.paused_by is None)
    if window.paused_by is None:
        assert flow.after(window, Report(Good(1), 0.0), later, POLICY, middle).state == "open"


@given(
    st.lists(st.tuples(st.floats(0, 1000), st.floats(0, 1000), st.integers(2, 50)), max_size=200),
    st.booleans(),
)
def test_a_lane_with_twice_as_many_successes_before_each_failure_never_closes(
    rounds: list[tuple[float, float, int]], sender: bool
) -> None:
    now = NOW
    window = flow.new(ceiling=32, rate=None, burst=0.0, now=now)
    failure: Signal = Halt("sender_not_found", sure=False) if sender else Failed()
    for pause, further, good in rounds:
        now += pause
        for _ in range(good):
            window = flow.after(window, Report(Good(1), 0.0), now, POLICY, middle)
        now += further
        window = flow.after(window, Report(failure, 0.0), now, POLICY, middle)
        assert window.state == "open"


@given(st.integers(0, 300), st.integers(5, 300))
def test_a_lane_where_everything_fails_closes_within_a_hundred_answers(good: int, bad: int) -> None:
    window = flow.new(ceiling=32, rate=None, burst=0.0, now=NOW)
    window = flow.after(window, Report(Good(1, requests=max(1, good)), 0.0), NOW, POLICY, middle)
    for _ in range(bad + 95):
        window = flow.after(window, Report(Failed(), 0.0), NOW, POLICY, middle)
    assert window.state == "closed"


@given(st.floats(0.01, 10_000), st.lists(st.tuples(st.floats(0, 5), st.booleans()), max_size=60))
def test_a_rate_is_never_exceeded_over_any_time_from_the_start(
    rate: float, turns: list[tuple[float, bool]]
) -> None:
    burst = max(1.0, rate)
    window, now, sent = flow.new(ceiling=8, rate=rate, burst=burst, now=NOW), NOW, 0
    for pause, ask in turns:
        before = refilled(window, now)
        now += pause
        assert before <= refilled(window, now) <= burst
        if ask:
            mails = allowance(window, in_flight=0, now=now, batch_mails=500).mails
            window, sent = issued(window, mails=mails, now=now, policy=POLICY, uniform=middle), sent + mails
        assert sent <= (burst + (now - NOW) * rate) * (1 + 1e-6) + 1e-6


@given(st.floats(0.01, 10_000), st.floats(0, 1))
def test_waiting_as_long_as_told_is_enough(rate: float, left: float) -> None:
    burst = max(1.0, rate)
    window = flow.new(ceiling=8, rate=rate, burst=burst, now=NOW)._replace(tokens=left)
    wait_s = allowance(window, in_flight=0, now=NOW, batch_mails=500).wait_s
    if wait_s is not None:
        allowed = allowance(window, in_flight=0, now=NOW + wait_s + 0.001, batch_mails=500)
        assert allowed.mails >= 1


def test_a_turn_of_a_rate_is_a_part_of_a_batch_and_not_a_mail() -> None:
    window = flow.new(ceiling=8, rate=50.0, burst=50.0, now=NOW)._replace(tokens=0.0)
    assert allowance(window, in_flight=0, now=NOW + 0.09, batch_mails=200).mails == 0
    assert allowance(window, in_flight=0, now=NOW + 0.11, batch_mails=200)[:3] == (4, 5, 200)
    assert allowance(window, in_flight=0, now=NOW + 0.05, batch_mails=200).wait_s == pytest.approx(0.05)
