"""How often a request may fail: per source and in all. What succeeds is never counted, however much it is. Pure."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from atum_producers.api.bucket import Bucket

#: Failures per second of one source, and of all together.
SOURCE_RATE: Final = 5.0
TOTAL_RATE: Final = 100.0
#: Sources that are remembered; beyond, who has not failed for the longest time is forgotten.
SOURCES: Final = 10_000


class Failures:
    """Counts the failures of one process."""

    def __init__(self, *, now: float) -> None:
        self._total = Bucket(TOTAL_RATE, now=now)
        self._sources: OrderedDict[str, Bucket] = OrderedDict()

    def wait_s(self, source: str, *, now: float) -> float:
        """Count a failure; give the seconds that its source has to wait. 0: it is told what is wrong."""
        bucket = self._sources.pop(source, None) or Bucket(SOURCE_RATE, now=now)
        self._sources[source] = bucket
        if len(self._sources) > SOURCES:
            self._sources.popitem(last=False)
        waits = bucket.wait_s(now=now), self._total.wait_s(now=now)
        if not any(waits):
            bucket.take(1)
            self._total.take(1)
        return max(waits)
