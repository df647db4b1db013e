"""Not asking faster than a provider is to be asked."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Pace:
    """Lets a number of requests per second through, evenly; which number may change meanwhile."""

    def __init__(
        self,
        rate: float | Callable[[], float],
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rate = rate
        self._clock, self._sleep = clock, sleep
        self._next = clock()

    def wait(self) -> None:
        """Wait for the next turn."""
        now = self._clock()
        if self._next > now:
            self._sleep(self._next - now)
        rate = self._rate() if callable(self._rate) else self._rate
        self._next = max(self._next, now) + 1.0 / rate

    def rest(self, seconds: float) -> None:
        """Wait that long."""
        self._sleep(seconds)
