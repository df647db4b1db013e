"""How soon mail flows again after a disturbance. Pure."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def recoveries(since: Iterable[float], accepted: Iterable[float]) -> list[float]:
    """Give, for each moment, the seconds until the provider next accepted a mail; moments after the last one give none."""
    times = sorted(accepted)
    found = []
    for moment in since:
        place = bisect_right(times, moment)
        if place < len(times):
            found.append(times[place] - moment)
    return found
