"""Snapshots of the last quarter of an hour, for conditions that compare. Pure but for what it keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from atum_ops.signals.snapshot import Snapshot

_AGO_S: Final = 900.0
_APART_S: Final = 30.0
# Older ones are of before a pause, and say nothing about a quarter of an hour.
_OLDEST_S: Final = 1800.0


class Past:
    """Keeps about thirty snapshots. Not thread-safe."""

    def __init__(self) -> None:
        self._kept: list[Snapshot] = []

    def before(self, now: Snapshot) -> Snapshot | None:
        """Give the snapshot of a quarter of an hour before, or the oldest there is, and keep this one."""
        while len(self._kept) > 1 and self._kept[1].at <= now.at - _AGO_S:
            del self._kept[0]
        if self._kept and not 0 <= now.at - self._kept[0].at <= _OLDEST_S:
            self._kept.clear()
        found = self._kept[0] if self._kept else None
        if not self._kept or now.at - self._kept[-1].at >= _APART_S:
            self._kept.append(now)
        return found
