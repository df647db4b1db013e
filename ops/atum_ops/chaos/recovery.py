"""How soon mail flows again after a disturbance. Pure."""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def recoveries(since: Iterable[float], accepted: Iterable[float]) -> list[float]:
    """Give, for each moment, the seconds until the provider next accepted a mail; moments after the last one give none."""
    times = sorted(accepted)
    found = []
    for moment in since:
        place = bisect_right(times, moment)
        if place < len(times):
            found.append(times[place] - moment)
    return found


def percentile(values: Sequence[float], share: float) -> float | None:
    """Give the smallest value that at least `share` of all do not exceed; None of none."""
    if not values:
        return None
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]
