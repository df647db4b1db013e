"""A local deadline that a frozen process or a set clock cannot outlive."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_MAX_DRIFT_S: Final = 1.0


class DeadlineExceeded(Exception):
    """The local deadline has passed, or the clocks disagree so that nobody can tell."""


def boot_time() -> float:
    """Seconds since boot, counting the time a machine was suspended (CLOCK_BOOTTIME, clock_gettime(2))."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadline:
    """A total budget in seconds from one moment, measured by two clocks.

    CLOCK_BOOTTIME goes on while the process is stopped or the machine suspended, but a restored virtual machine may
    bring its own; the wall clock may be set. If either says that the time is over, or the two disagree by more
    than a second, the deadline has passed.
    """

    budget: float
    boot_started: float
    wall_started: float
    boot: Callable[[], float] = boot_time
    wall: Callable[[], float] = time.time

    @classmethod
    def start(
        cls, budget: float, *, boot: Callable[[], float] = boot_time, wall: Callable[[], float] = time.time
    ) -> Deadline:
        """Start now, with `budget` seconds."""
        return cls(budget=budget, boot_started=boot(), wall_started=wall(), boot=boot, wall=wall)

    def remaining(self) -> float:
        """Seconds left; 0 when the deadline has passed or the clocks diverge."""
        by_boot = self.boot() - self.boot_started
        by_wall = self.wall() - self.wall_started
        if abs(by_boot - by_wall) > _MAX_DRIFT_S:
            return 0.0
        return max(0.0, self.budget - max(by_boot, by_wall))

    def check(self) -> None:
        """Raise `DeadlineExceeded` when no time is left."""
        if self.remaining() <= 0:
            raise DeadlineExceeded(f"the local deadline of {self.budget} s has passed")
