"""How settings that hold several values are written."""

from __future__ import annotations


def listed(text: str) -> tuple[str, ...]:
    """Read values that are separated by commas, without the empty ones."""
    return tuple(filter(None, map(str.strip, text.split(","))))
