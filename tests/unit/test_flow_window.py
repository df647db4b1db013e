"""What each answer does to a lane's window."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from atum_schema import flow
from atum_schema.flow import Failed, Good, Halt, Policy, Report, Slow, Window
from atum_schema.flow_allowance import allowance, drain_estimate, issued

if TYPE_CHECKING:
    from collections.abc import Iterable

    from atum_schema.flow import Signal

POLICY = Policy()
NOW = 1_000_000.0


def longest(low: float, high: float) -> float:
    assert low <= high
    return high


def lane(*, ceiling: int = 32, rate: float | None = None, burst: float = 0.0) -> Window:
    return flow.new(ceiling=ceiling, rate=rate, burst=burst, now=NOW)


def told(window: Window, signals: Iterable[Signal], *, now: float = NOW, lasted_s: float = 0.0) -> Window:
    for signal in signals:
        window = flow.after(window, Report(signal, lasted_s), now, POLICY, longest)
    return window


def grown() -> Window:
    return told(lane(), [Good(1)] * 100)


def closed(window: Window | None = None) -> Window:
    """Let requests fail until the window closes."""
    window = window or lane()
    while window.state == "open":
        window = told(window, [Failed()])
    return window


def may_issue(window: Window, *, now: float, in_flight: int = 0) -> tuple[int, int]:
    allowed = allowance(window, in_flight=in_flight, now=now, batch_mails=200)
    return allowed.batches, allowed.mails


def test_a_cold_window_is_small_and_each_good_request_widens_it_up_to_the_ceiling() -> None:
    assert [told(lane(), [Good(1)] * n).size for n in (0, 1, 2, 27, 28, 29, 500)] == [4, 5, 6, 31, 32, 32, 32]
    assert lane(ceiling=2).size == 2


def test_above_the_threshold_a_whole_round_of_good_requests_widens_it_by_one() -> None:
    window = told(grown(), [Slow("rate_limited")])
    assert (window.size, window.threshold) == (16, 16)
    assert [told(window, [Good(1)] * n).size for n in (15, 16, 32, 33)] == [16, 17, 17, 18]
    assert told(window, [Good(33, requests=33)])[:4] == told(window, [Good(1)] * 33)[:4]


def test_slowness_halves_once_per_round_however_many_requests_were_under_way() -> None:
    window = grown()
    window = told(window, [Slow("rate_limited")] * 32, now=NOW + 5, lasted_s=0.3)
    assert window.size == 16
    assert told(window, [Slow("rate_limited")], now=NOW + 6, lasted_s=0.9).size == 8
    assert told(window, [Slow("rate_limited")], now=NOW + 6, lasted_s=1.1).size == 16


def test_slowness_that_is_mixed_with_success_never_closes_a_window() -> None:
    window = lane()
    for turn in range(50):
        window = told(window, [Slow("timeout"), Good(1), Good(1)], now=NOW + turn)
        assert window.size >= 1


@pytest.mark.parametrize(("word", "reason"), [("rate_limited", "rate_limited"), ("timeout", "outage")])
def test_a_window_of_one_that_hears_nothing_but_slow_down_closes(word: str, reason: str) -> None:
    window = lane()
    sizes = []
    for turn in range(6):
        window = told(window, [Slow(word)], now=NOW + turn)
        sizes.append(window.size)
    assert sizes[:4] == [2, 1, 1, 1]
    assert (window.state, window.reason) == ("closed", reason)
    assert (window.outage_at is not None) == (reason == "outage")


def test_retry_after_silences_the_lane_until_then_but_never_for_longer_than_an_hour() -> None:
    window = told(lane(), [Slow("rate_limited", retry_after=20.0)])
    assert may_issue(window, now=NOW + 19.9) == (0, 0)
    assert allowance(window, in_flight=0, now=NOW + 15, batch_mails=1).wait_s == pytest.approx(5)
    assert may_issue(window, now=NOW + 20) == (2, 400)
    assert told(window, [Slow("rate_limited", retry_after=5.0)]).not_before == NOW + 20
    assert told(lane(), [Failed(retry_after=86_400.0)]).not_before == NOW + 3600


def test_few_failures_close_nothing_and_halve_nothing() -> None:
    assert told(lane(), [Failed()] * 4)[:2] == (4, 32)
    assert told(grown(), [Failed()] * 20).size == 32


def test_many_failures_among_what_was_answered_lately_close_the_window() -> None:
    window = closed(grown())
    assert (window.state, window.reason, window.size) == ("closed", "outage", 0)
    assert (window.outage_at, window.outage_end) == (NOW, None)
    assert window.threshold == 16
    assert window.probe_at == NOW + 1


def test_a_closed_window_lets_one_mail_at_a_time_try() -> None:
    window = closed()
    assert may_issue(window, now=NOW + 0.9) == (0, 0)
    assert may_issue(window, now=NOW + 1, in_flight=1) == (0, 0)
    assert may_issue(window, now=NOW + 1) == (1, 1)
    window = issued(window, mails=1, now=NOW + 1, policy=POLICY, uniform=longest)
    assert may_issue(window, now=NOW + 1.5) == (0, 0)


def test_failed_probes_double_the_distance_up_to_a_minute() -> None:
    window, now, distances = closed(), NOW, []
    for _ in range(8):
        now += 100
        window = told(window, [Failed()], now=now)
        assert window.probe_at is not None
        distances.append(window.probe_at - now)
    assert distances == [2, 4, 8, 16, 32, 60, 60, 60]
    drawn = flow.after(closed(), Report(Failed(), 0), NOW + 9, POLICY, lambda low, _: low)
    assert drawn.probe_at == NOW + 9 + 1


def test_a_good_probe_opens_with_one_batch_and_slow_start_to_half_of_what_was() -> None:
    window = told(closed(grown()), [Good(1)], now=NOW + 5)
    assert (window.state, window.size, window.threshold, window.reason) == ("open", 1, 16, None)
    assert (window.outage_at, window.outage_end) == (NOW, NOW + 5)
    assert told(window, [Good(1)] * 15, now=NOW + 5).size == 16
    assert told(window, [Good(1)] * 30, now=NOW + 5).size == 16
    assert told(window, [Failed()] * 4, now=NOW + 5).state == "open"


def test_failures_that_were_under_way_when_it_closed_are_no_failed_probes() -> None:
    window = told(closed(), [Failed(), Slow("timeout"), Halt("token_refused")], now=NOW + 2, lasted_s=3)
    assert (window.state, window.probes, window.probe_at) == ("closed", 0, NOW + 1)


def test_a_success_that_was_under_way_when_it_closed_brings_the_probe_forward_and_opens_nothing() -> None:
    window = told(told(closed(), [Failed()] * 6, now=NOW + 50), [Good(9)], now=NOW + 51, lasted_s=60)
    assert (window.state, window.probe_at) == ("closed", NOW + 51)


def test_a_refusal_of_the_whole_account_pauses_at_once_with_the_reason() -> None:
    window = told(grown(), [Halt("token_refused")])
    assert (window.state, window.reason, window.size, window.paused_by) == (
        "paused",
        "token_refused",
        0,
        None,
    )
    assert may_issue(window, now=NOW + 29) == (0, 0)
    assert may_issue(window, now=NOW + 30) == (1, 1)
    again = told(window, [Halt("forbidden")], now=NOW + 30)
    assert (again.state, again.reason, again.probe_at) == ("paused", "forbidden", NOW + 60)
    assert told(again, [Failed()], now=NOW + 60).state == "paused"
    assert told(again, [Good(1)], now=NOW + 60, lasted_s=100).state == "paused"
    assert told(again, [Good(1)], now=NOW + 60)[:5] == (1, 32, 16, 0.0, "open")


def test_a_refusal_of_senders_pauses_only_where_it_is_the_rule() -> None:
    wrong = Halt("sender_not_confirmed", sure=False)
    assert told(lane(), [wrong]).state == "open"
    assert told(grown(), [wrong, Good(1), Good(1)] * 100).state == "open"
    window = told(lane(), [wrong] * 5)
    assert (window.state, window.reason) == ("paused", "sender_not_confirmed")


def test_a_closed_window_whose_probe_is_refused_pauses_and_its_outage_is_over() -> None:
    window = told(closed(), [Halt("token_refused")], now=NOW + 7)
    assert (window.state, window.outage_end) == ("paused", NOW + 7)


def test_what_a_person_paused_only_a_person_resumes() -> None:
    window = flow.paused(grown(), reason="newsletter is wrong", by="kim", now=NOW)
    assert may_issue(window, now=NOW + 1e6) == (0, 0)
    assert allowance(window, in_flight=0, now=NOW, batch_mails=1).wait_s is None
    after = told(window, [Good(1), Failed(), Slow("timeout"), Halt("token_refused")], now=NOW + 9)
    assert (after.state, after.reason, after.paused_by) == ("paused", "newsletter is wrong", "kim")
    resumed = flow.resumed(after, now=NOW + 10)
    assert (resumed.state, resumed.size, resumed.threshold, resumed.paused_by) == ("open", 1, 16, None)


def test_resuming_what_paused_or_closed_by_itself_lets_it_probe_at_once() -> None:
    for window in (closed(), told(lane(), [Halt("token_refused")])):
        silent = window._replace(not_before=NOW + 500)
        resumed = flow.resumed(silent, now=NOW + 0.1)
        assert resumed.state == window.state
        assert may_issue(resumed, now=NOW + 0.1) == (1, 1)


def test_resuming_an_open_window_only_ends_the_silence() -> None:
    window = told(grown(), [Slow("rate_limited", retry_after=900)])
    assert flow.resumed(window, now=NOW + 1) == window._replace(not_before=None)


def test_settings_change_the_limits_and_leave_what_was_learnt() -> None:
    learnt = told(told(lane(), [Good(1)] * 20), [Slow("rate_limited")])
    assert flow.configured(learnt, ceiling=32, rate=None, burst=0, now=NOW + 9) == learnt
    lower = flow.configured(learnt, ceiling=3, rate=None, burst=0, now=NOW)
    assert (lower.size, lower.ceiling, lower.threshold) == (3, 3, 3)
    higher = flow.configured(grown(), ceiling=64, rate=7.0, burst=7.0, now=NOW + 9)
    assert (higher.size, higher.ceiling, higher.threshold) == (32, 64, 64)
    assert (higher.rate, higher.tokens, higher.tokens_at) == (7.0, 7.0, NOW + 9)


def test_the_estimate_is_what_waits_by_the_pace_of_late() -> None:
    window = lane()
    for second in range(60):
        window = told(window, [Good(50)], now=NOW + second)
    estimate = drain_estimate(window, 5000, now=NOW + 60, policy=POLICY)
    assert estimate == pytest.approx(100, rel=0.1)
    assert drain_estimate(window, 0, now=NOW + 60, policy=POLICY) == 0
    assert drain_estimate(window, 5, now=NOW + 600, policy=POLICY) is None
    assert drain_estimate(flow.paused(window, reason="r", by="b", now=NOW), 5, now=NOW, policy=POLICY) is None
