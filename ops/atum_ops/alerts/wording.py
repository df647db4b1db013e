"""The few forms of Prometheus' template language that descriptions of alerts use, filled in by us. Pure and total."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_HOLE: Final = re.compile(
    r"""\{\{ \s* \$ (?: value | labels\.(?P<label>\w+) ) \s*
        (?: \| \s* (?: printf \s+ "%\.(?P<places>\d)f" | (?P<duration>humanizeDuration) ) \s* )? \}\}""",
    re.VERBOSE,
)
_NOTHING: Final = "?"
_PREFIXES: Final = ((1e3, "m"), (1e6, "u"), (1e9, "n"))


def rendered(text: str, value: float | None, labels: Mapping[str, str] | None = None) -> str:
    """Fill in a value and labels; what is not known, and what has another form, is a question mark."""

    def fill(hole: re.Match[str]) -> str:
        if hole["label"] is not None:
            return (labels or {}).get(hole["label"], _NOTHING)
        if value is None:
            return _NOTHING
        if hole["places"] is not None:
            return f"{value:.{hole['places']}f}"
        return duration(value) if hole["duration"] is not None else f"{value:g}"

    return re.sub(r"\{\{.*?\}\}", _NOTHING, _HOLE.sub(fill, text))


def duration(seconds: float) -> str:
    """Say a duration as Prometheus' `humanizeDuration` does: `1d 2h 3m 4s`, `12m 30s`, `1.5s`, `20ms`."""
    if not math.isfinite(seconds):
        return f"{seconds:g}"
    sign, size = ("-" if seconds < 0 else ""), abs(seconds)
    if size == 0:
        return "0s"
    if size < 1:
        return _small(sign, size)
    minutes, rest = divmod(int(size), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{sign}{days}d {hours}h {minutes}m {rest}s"
    if hours:
        return f"{sign}{hours}h {minutes}m {rest}s"
    return f"{sign}{minutes}m {rest}s" if minutes else f"{sign}{size:.4g}s"


def _small(sign: str, size: float) -> str:
    power, prefix = next(((power, prefix) for power, prefix in _PREFIXES if size * power >= 1), _PREFIXES[-1])
    return f"{sign}{size * power:.4g}{prefix}s"
