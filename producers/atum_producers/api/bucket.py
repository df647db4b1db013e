"""A token bucket that may run into debt: what is asked for is known only after it was read."""

from __future__ import annotations


class Bucket:
    """Allows `rate` units per second, saved up for one second at most (and one unit at least)."""

    def __init__(self, rate: float, *, now: float) -> None:
        self.rate = rate
        self._most = max(rate, 1.0)
        self._tokens = self._most
        self._at = now

    def wait_s(self, *, now: float) -> float:
        """Seconds until something may be taken; 0 when it may be now."""
        self._tokens = min(self._most, self._tokens + (now - self._at) * self.rate)
        self._at = now
        # A unit is allowed as soon as all debt is paid, so that a large request is slow and not impossible.
        return 0.0 if self._tokens > 0 else (1e-9 - self._tokens) / self.rate

    def take(self, units: int) -> None:
        """Take units, into debt if need be."""
        self._tokens -= units
