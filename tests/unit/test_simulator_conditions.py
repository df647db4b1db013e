from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atum_ops.simulator.conditions import Conditions
from atum_ops.simulator.config import SimulatorConfig
from atum_ops.simulator.ratelimit import Bucket
from atum_schema.errors import SettingsError


class Forbidden(random.Random):
    """A source of chance that must not be asked."""

    def random(self) -> float:
        raise AssertionError("nothing is to be drawn")


def test_without_a_tail_the_latency_is_base_and_messages_and_nothing_is_drawn() -> None:
    conditions = Conditions(latency_ms=100, latency_per_item_ms=2)
    assert conditions.latency_s(50, Forbidden()) == pytest.approx(0.2)
    assert Conditions(latency_tail=2).latency_s(50, Forbidden()) == 0


def test_a_tail_makes_some_answers_very_late_but_none_early() -> None:
    conditions = Conditions(latency_ms=100, latency_tail=2)
    draw = random.Random(7)  # noqa: S311 - reproducible
    found = sorted(conditions.latency_s(1, draw) for _ in range(20_000))
    assert found[0] >= 0.1
    assert found[10_000] == pytest.approx(0.1414, rel=0.05)
    assert found[19_800] == pytest.approx(1.0, rel=0.2)
    assert found[-1] <= 10.0


def test_the_same_seed_draws_the_same_latencies() -> None:
    conditions = Conditions(latency_ms=100, latency_tail=1.5)
    first, second = random.Random(1), random.Random(1)  # noqa: S311 - reproducible
    assert [conditions.latency_s(1, first) for _ in range(9)] == [
        conditions.latency_s(1, second) for _ in range(9)
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        {"latency_ms": -1},
        {"latency_ms": "1"},
        {"latency_ms": True},
        {"index_lag_s": float("nan")},
        {"index_lag_s": float("inf")},
        {"latency_tail": 0.001},
        {"rate_retry_after": 1},
        {"port": 1},
    ],
)
def test_a_condition_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        Conditions().but(wrong)


def test_a_configuration_starts_with_its_conditions() -> None:
    config = SimulatorConfig(latency_ms=5, rate_per_s=2)
    assert config.conditions() == Conditions(latency_ms=5, rate_per_s=2)


@given(
    st.floats(0.5, 50),
    st.integers(1, 100),
    st.lists(st.tuples(st.floats(0, 5), st.integers(1, 500)), max_size=60),
)
def test_a_bucket_never_lets_more_through_than_rate_burst_and_one_request(
    per_s: float, burst: int, requests: list[tuple[float, int]]
) -> None:
    bucket = Bucket(per_s=per_s, burst=burst, now=0.0)
    now, passed = 0.0, 0
    for pause, messages in requests:
        now += pause
        if bucket.wait_s(messages, now) == 0:
            passed += messages
        assert passed <= burst + per_s * now + max(size for _, size in requests)


@given(st.floats(0.5, 50), st.integers(0, 100), st.integers(1, 500))
def test_who_waits_as_told_is_let_through(per_s: float, burst: int, messages: int) -> None:
    bucket = Bucket(per_s=per_s, burst=burst, now=0.0)
    while (wait_s := bucket.wait_s(messages, 0.0)) == 0:
        pass
    assert bucket.wait_s(messages, wait_s + 1e-6) == 0
