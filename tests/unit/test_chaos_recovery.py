"""Recovery is the time to the next accepted mail."""

from __future__ import annotations

from atum_ops.chaos.recovery import recoveries
from atum_ops.percentiles import percentile


def test_recovery_is_the_time_to_the_next_accepted_mail() -> None:
    assert recoveries([1.0, 4.5], [0.5, 3.0, 9.0, 5.0]) == [2.0, 0.5]


def test_a_disturbance_after_the_last_mail_has_no_recovery() -> None:
    assert recoveries([7.0], [1.0, 7.0]) == []


def test_a_percentile_is_one_of_the_values() -> None:
    values = [5.0, 1.0, 3.0, 2.0, 4.0]
    assert [percentile(values, share) for share in (0.0, 0.5, 0.99)] == [1.0, 3.0, 5.0]
    assert percentile([], 0.5) is None
