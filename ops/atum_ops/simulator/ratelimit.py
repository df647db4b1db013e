"""A token bucket, counted in messages."""

from __future__ import annotations


class Bucket:
    """Holds at most `burst` messages and gains `per_s` each second; starts full. Times are monotonic seconds.

    A request is let through when the bucket holds as much as it wants, or is full; the rest is owed, so that a batch
    larger than the burst can be sent at all and the rate holds in the long run.
    """

    def __init__(self, *, per_s: float, burst: float, now: float) -> None:
        self._per_s = per_s
        self._burst = burst or per_s
        self._level = self._burst
        self._at = now

    def wait_s(self, messages: int, now: float) -> float:
        """Take `messages` and give 0; or take nothing and give the seconds until they could be had."""
        self._level = min(self._burst, self._level + (now - self._at) * self._per_s)
        self._at = now
        wanted = min(messages, self._burst)
        if self._level < wanted:
            return (wanted - self._level) / self._per_s
        self._level -= messages
        return 0.0
