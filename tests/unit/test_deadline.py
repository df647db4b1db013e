"""A deadline that neither a frozen process nor a set clock outlives."""

from __future__ import annotations

import time
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atum_workers.deadline import Deadline, DeadlineExceeded, boot_time


@dataclass(slots=True, kw_only=True)
class Clocks:
    boot: float = 1_000.0
    wall: float = 1_800_000_000.0

    def pass_by(self, *, boot: float, wall: float) -> None:
        self.boot += boot
        self.wall += wall

    def deadline(self, budget: float) -> Deadline:
        return Deadline.start(budget, boot=lambda: self.boot, wall=lambda: self.wall)


def test_a_fresh_deadline_has_its_whole_budget() -> None:
    assert Clocks().deadline(60).remaining() == 60


def test_time_that_passes_is_taken_off() -> None:
    clocks = Clocks()
    deadline = clocks.deadline(60)
    clocks.pass_by(boot=45, wall=45)
    assert deadline.remaining() == pytest.approx(15)
    deadline.check()


def test_a_process_that_was_frozen_finds_its_deadline_passed() -> None:
    clocks = Clocks()
    deadline = clocks.deadline(60)
    clocks.pass_by(boot=3600, wall=3600)
    assert deadline.remaining() == 0
    with pytest.raises(DeadlineExceeded):
        deadline.check()


@pytest.mark.parametrize(("boot", "wall"), [(1, 3601), (1, -3599), (3601, 1), (0, 1.5), (1.5, 0)])
def test_clocks_that_disagree_leave_no_time(boot: float, wall: float) -> None:
    clocks = Clocks()
    deadline = clocks.deadline(86_400)
    clocks.pass_by(boot=boot, wall=wall)
    assert deadline.remaining() == 0


@pytest.mark.parametrize(("boot", "wall"), [(10, 10.5), (10.5, 10)])
def test_a_slewed_clock_is_no_reason_to_give_up_and_the_faster_one_counts(boot: float, wall: float) -> None:
    clocks = Clocks()
    deadline = clocks.deadline(60)
    clocks.pass_by(boot=boot, wall=wall)
    assert deadline.remaining() == pytest.approx(49.5)


def test_the_end_of_the_budget_is_not_part_of_it() -> None:
    clocks = Clocks()
    deadline = clocks.deadline(5)
    clocks.pass_by(boot=5, wall=5)
    with pytest.raises(DeadlineExceeded):
        deadline.check()


@given(
    budget=st.floats(0.001, 600),
    boot=st.floats(0, 1e6, allow_nan=False),
    wall=st.floats(-1e6, 1e6, allow_nan=False),
)
def test_what_remains_is_never_negative_and_never_more_than_either_clock_allows(
    budget: float, boot: float, wall: float
) -> None:
    clocks = Clocks()
    deadline = clocks.deadline(budget)
    clocks.pass_by(boot=boot, wall=wall)
    remaining = deadline.remaining()
    assert 0 <= remaining <= max(0.0, budget - boot) + 1e-6
    assert remaining <= max(0.0, budget - wall) + 1e-6


def test_time_runs_by_the_clock_that_counts_a_suspended_machine() -> None:
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    now = boot_time()
    assert before <= now <= time.clock_gettime(time.CLOCK_BOOTTIME)


def test_a_real_deadline_passes() -> None:
    deadline = Deadline.start(0.01)
    time.sleep(0.02)
    assert deadline.remaining() == 0
