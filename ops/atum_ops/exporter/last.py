"""What the last reading came to, and for how long it counts. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from atum_ops.signals.snapshot import Snapshot

_STALE_S: Final = 30.0
_PERIODS: Final = 3


class Last(NamedTuple):
    """The last reading."""

    #: None: it failed, or there has been none.
    snapshot: Snapshot | None = None
    #: When it began, in seconds of a clock that never stops.
    at: float = float("-inf")


def stale_after_s(every_s: float) -> float:
    """Give the age from which on a reading is not shown any more; a reading that hangs ends in nothing else."""
    return max(_STALE_S, _PERIODS * every_s)


def current(last: Last, now: float, *, stale_s: float) -> Snapshot | None:
    """Give what may be shown: nothing is better than what was true once."""
    return last.snapshot if now - last.at <= stale_s else None


def pause_s(every_s: float, took_s: float) -> float:
    """Give the rest until the next reading: of a period, and at least as long as the last reading worked the server."""
    return max(every_s - took_s, took_s)
