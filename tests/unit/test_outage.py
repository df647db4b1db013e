"""The drill says which bars do not hold."""

from __future__ import annotations

from dataclasses import replace

import pytest

from atum_ops.outage import Result

GOOD = Result(
    mails=100,
    outage_s=20.0,
    posts_during_outage=9,
    first_out_s=8.0,
    probe_interval_s=8.0,
    posts_after=100,
    rate_limited=3,
    ramp=[(0.0, 0), (8.0, 1), (9.0, 8)],
    sent=100,
)


def test_a_drill_in_which_all_bars_hold_has_no_failures() -> None:
    assert GOOD.failures() == []
    assert GOOD.document()["ok"] is True


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"charged": 1}, "1 attempts were charged"),
        ({"first_out_s": 10.0}, "later than the probe interval"),
        ({"rate_limited": 11}, "11 of 100 requests were answered 429"),
        ({"ramp": [(0.0, 0), (8.0, 32)]}, "did not ramp up"),
        ({"ramp": [(0.0, 0), (8.0, 8), (9.0, 32)]}, "did not ramp up"),
        ({"sent": 99}, "99 of 100 mails were sent"),
        ({"lost": 1}, "lost 1"),
        ({"duplicates": 1}, "duplicates 1"),
        ({"unexplained": 1}, "unexplained 1"),
    ],
)
def test_each_bar_that_is_missed_is_named(change: dict[str, object], words: str) -> None:
    missed = replace(GOOD, **change)  # type: ignore[arg-type]
    (failure,) = missed.failures()
    assert words in failure
    assert missed.document()["ok"] is False
