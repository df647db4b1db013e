"""A histogram that takes many values at once: a batch has hundreds of mails, and one lock and one search each are too many.

Otherwise it is as the client library's own.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from typing import TYPE_CHECKING

from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


class Buckets:
    """One series of buckets. Thread-safe."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._lock = threading.Lock()
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, amount: float) -> None:
        """Note a value."""
        place = bisect_left(self._bounds, amount)
        with self._lock:
            self._counts[place] += 1
            self._sum += amount

    def observe_many(self, values: Mapping[float, int]) -> None:
        """Note values, each so many times."""
        places = [(bisect_left(self._bounds, value), number) for value, number in values.items()]
        total = sum(value * number for value, number in values.items())
        with self._lock:
            for place, number in places:
                self._counts[place] += number
            self._sum += total

    def read(self) -> tuple[list[int], float]:
        """Give how many values are in each bucket alone, the last one without a bound, and their sum."""
        with self._lock:
            return list(self._counts), self._sum


class Histogram(Collector):
    """All series of a family."""

    def __init__(self, name: str, text: str, *, labels: Sequence[str], bounds: Sequence[float]) -> None:
        self._name = name
        self._text = text
        self._labels = labels
        self._bounds = tuple(bounds)
        self._words = [_word(bound) for bound in (*bounds, float("inf"))]
        self._children: dict[tuple[str, ...], Buckets] = {}

    def labels(self, *values: str) -> Buckets:
        """Give the series with these values of the labels."""
        return self._children.setdefault(values, Buckets(self._bounds))

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """Give the family as it is now."""
        family = HistogramMetricFamily(self._name, self._text, labels=self._labels)
        for values, child in list(self._children.items()):
            counts, total = child.read()
            so_far = 0
            buckets = []
            for word, number in zip(self._words, counts, strict=True):
                so_far += number
                buckets.append((word, float(so_far)))
            family.add_metric(values, buckets=buckets, sum_value=total)
        yield family


def _word(bound: float) -> str:
    word: str = floatToGoString(bound)  # type: ignore[no-untyped-call]
    return word
