"""The failure rate and its trend are pure, and say nothing about too few mails."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atum_ops import failing
from atum_ops.failing import Counts, Direction

numbers = st.integers(0, 10_000)
counts = st.builds(Counts, numbers, numbers, numbers, numbers)


@given(counts, st.integers(0, 100))
def test_a_rate_is_between_0_and_1_and_says_nothing_about_too_few_mails(found: Counts, least: int) -> None:
    rate = failing.rate(found, least=least)
    if rate is None:
        assert max(found.finished, found.failed) < max(1, least)
    else:
        assert 0 <= rate <= 1


@given(counts, counts)
def test_a_trend_turns_around_with_its_days(now: Counts, before: Counts) -> None:
    turned = {Direction.RISING: Direction.FALLING, Direction.FALLING: Direction.RISING}
    there, back = failing.trend(now, before), failing.trend(before, now)
    assert back.direction == turned.get(there.direction, there.direction)
    assert (there.direction is Direction.UNCLEAR) == (there.rate is None or there.rate_before is None)


@pytest.mark.parametrize(
    ("failed", "failed_before", "direction"),
    [(10, 10, "steady"), (20, 10, "rising"), (10, 20, "falling"), (1, 0, "steady"), (0, 0, "steady")],
)
def test_a_rate_rises_or_falls_by_a_quarter_at_least(failed: int, failed_before: int, direction: str) -> None:
    found = failing.trend(Counts(1000, dead=failed), Counts(1000, bounced=failed_before))
    assert found.direction == direction


def test_one_failure_of_one_mail_is_no_rate_of_1() -> None:
    found = failing.trend(Counts(1, dead=1), Counts(5000, dead=5))
    assert (found.rate, found.direction) == (None, Direction.UNCLEAR)
    assert failing.words(found) == "1 of 1 (too few for a rate)"


def test_words_say_the_rate_and_what_it_was() -> None:
    found = failing.trend(Counts(1000, dead=50), Counts(1000, dead=10))
    assert failing.words(found) == "5.00% (50 of 1,000); rising, 1.00% the day before"


def test_bars_are_as_many_as_values_and_the_highest_is_full() -> None:
    assert failing.bars([0.0, 1.0, 8.0, 4.0]) == ["", "█" * 2, "█" * 16, "█" * 8]
    assert failing.bars([0.0, 1.0, 1000.0])[:2] == ["", "▏"]
    assert failing.bars([0.0, 0.0]) == ["", ""]
    assert failing.bars([]) == []
