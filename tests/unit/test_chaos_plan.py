"""The plan of an experiment is a function of its seed, and always has what must be in it."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atum_ops.chaos import plan, weather
from atum_ops.chaos.plan import KILLS, LINKS, POSTGRES, RABBIT, Kind, schedule
from atum_ops.simulator.faults import FaultKind

seeds = st.integers(min_value=0, max_value=1_000_000)
durations = st.floats(min_value=5, max_value=300)


@given(seed=seeds, duration=durations)
def test_the_same_seed_gives_the_same_plan(seed: int, duration: float) -> None:
    assert schedule(seed, duration) == schedule(seed, duration)


def test_another_seed_gives_another_plan() -> None:
    assert schedule(1, 60) != schedule(2, 60)


@given(seed=seeds, duration=durations)
def test_a_plan_kills_both_servers_and_one_process_of_each_sort_and_wipes_the_broker(
    seed: int, duration: float
) -> None:
    done = {(one.kind, one.target) for one in schedule(seed, duration)}
    assert {(Kind.KILL, POSTGRES), (Kind.KILL, RABBIT), (Kind.WIPE, RABBIT)} <= done
    for names in (plan.WORKERS, plan.RELAYS, plan.PRODUCERS):
        assert any((Kind.KILL, name) in done for name in names)


@given(seed=seeds, duration=durations)
def test_a_plan_has_five_kills_per_minute_and_five_at_least(seed: int, duration: float) -> None:
    kills = sum(one.kind in KILLS for one in schedule(seed, duration))
    assert kills >= max(plan.LEAST_KILLS, 5 * duration / 60)


@given(seed=seeds, duration=durations)
def test_everything_comes_in_order_and_within_the_run(seed: int, duration: float) -> None:
    times = [one.at for one in schedule(seed, duration)]
    assert times == sorted(times)
    assert times[0] > 0
    assert times[-1] < duration


@given(seed=seeds, duration=durations)
def test_only_the_broker_is_wiped_only_links_are_cut_and_only_our_processes_are_frozen(
    seed: int, duration: float
) -> None:
    allowed = {
        Kind.WIPE: {RABBIT},
        Kind.FREEZE: {*plan.WORKERS, *plan.RELAYS},
        Kind.KILL: {POSTGRES, RABBIT, *plan.WORKERS, *plan.RELAYS, *plan.PRODUCERS},
    }
    assert all(one.target in allowed.get(one.kind, set(LINKS)) for one in schedule(seed, duration))


@given(seed=seeds, duration=durations)
def test_nothing_is_held_for_as_long_as_settling_takes(seed: int, duration: float) -> None:
    settling = float(weather.SETTINGS["ATUM_SETTLE_S"].rpartition(",")[2])
    assert all(one.seconds < settling for one in schedule(seed, duration))


def test_over_many_seeds_every_process_and_every_link_has_its_turn() -> None:
    seen = Counter(one.target for seed in range(40) for one in schedule(seed, 60))
    assert seen.keys() == {*plan.WORKERS, *plan.RELAYS, *plan.PRODUCERS, *LINKS}


@pytest.mark.parametrize("seed", range(5))
def test_the_index_lags_by_less_than_settling_waits(seed: int) -> None:
    assert 0 < weather.provider(seed).index_lag_s <= weather.INDEX_LAG_S


def test_every_fault_of_sending_can_happen_and_no_search_lies() -> None:
    rules = weather.provider(3).plan().rules
    kinds = {rule.kind for rule in rules}
    assert set(FaultKind) - kinds == {FaultKind.SEARCH_EMPTY}
    assert sum(rule.probability for rule in rules if rule.target == "send") < 0.25
