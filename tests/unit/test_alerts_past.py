"""Which snapshot is the one of a quarter of an hour before."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from atum_ops.alerts.past import Past
from atum_ops.alerts.wording import duration, rendered
from atum_ops.signals.snapshot import Snapshot


def befores(*times: float) -> list[float | None]:
    past = Past()
    found = [past.before(Snapshot(at=at)) for at in times]
    return [None if one is None else one.at for one in found]


def test_it_is_the_oldest_until_there_is_one_that_is_old_enough() -> None:
    assert befores(*range(0, 1000, 100)) == [None, *[0] * 9]
    assert befores(*range(0, 1300, 100))[-3:] == [100, 200, 300]


def test_what_was_before_a_long_pause_is_forgotten() -> None:
    assert befores(0, 1800) == [None, 0]
    assert befores(0, 1801, 1900) == [None, None, 1801]


def test_a_clock_that_is_put_back_begins_anew() -> None:
    assert befores(5000, 100, 200) == [None, None, 100]


@given(st.lists(st.floats(0.1, 1000), max_size=60))
def test_it_is_never_newer_than_now_nor_older_than_half_an_hour(steps: list[float]) -> None:
    past, at = Past(), 0.0
    for step in steps:
        at += step
        found = past.before(Snapshot(at=at))
        assert found is None or 0 < at - found.at <= 1800
        assert len(past._kept) <= 62


@given(st.text(alphabet='{}$ |value.labelsprintf%"0123', max_size=60), st.none() | st.floats())
def test_any_text_can_be_rendered(text: str, value: float | None) -> None:
    rendered(text, value)
    if value is not None:
        duration(value)
