"""Who gets no mail, stream by stream, and since when (Postmark developer docs, "Suppressions API").

A change shows `lag_s` seconds after it was asked for, in the dump and in sending alike.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

REASONS = ("HardBounce", "SpamComplaint", "ManualSuppression")
ORIGINS = ("Recipient", "Customer", "Admin")
#: A complaint is the recipient's word; no customer can take it back.
FINAL_REASON = "SpamComplaint"


class Suppression(NamedTuple):
    """One address that a stream sends nothing to; the address is lower-case, `created_at` is unix seconds."""

    address: str
    reason: str
    origin: str
    created_at: float


#: Changes of one address in the order of time: when, and what then holds (None: it gets mail).
History = list[tuple[float, Suppression | None]]


class Suppressions:
    """The suppressions of all streams. `lag_s` may be changed at any time; a longer one hides again what showed."""

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self.lag_s = 0.0
        self._clock = clock
        self._streams: dict[str, dict[str, History]] = {}

    def __bool__(self) -> bool:
        return bool(self._streams)

    def holds(self, stream: str, address: str) -> bool:
        """Say whether the stream sends nothing to this address, whatever its case."""
        history = self._streams.get(stream, {}).get(address.lower())
        return history is not None and self._shown(history) is not None

    def dump(self, stream: str) -> list[Suppression]:
        """Give what shows of a stream, oldest first."""
        shown = (self._shown(history) for history in self._streams.get(stream, {}).values())
        return sorted((one for one in shown if one is not None), key=lambda one: one.created_at)

    def suppress(self, stream: str, address: str) -> bool:
        """Suppress by hand; False when the recipient's own complaint stands there already."""
        history = self._history(stream, address)
        known = history[-1][1] if history else None
        if known is not None:
            return known.reason != FINAL_REASON
        at = self._clock()
        self._change(history, at, Suppression(address.lower(), "ManualSuppression", "Customer", at))
        return True

    def hold(self, stream: str, entry: Suppression) -> bool:
        """Note what a bounce, a complaint or a recipient's own wish suppresses; say whether that is new."""
        known = self.at_last(stream, entry.address)
        if known is not None and (known.reason == FINAL_REASON or entry.reason != FINAL_REASON):
            return False
        self._change(self._history(stream, entry.address), entry.created_at, entry)
        return True

    def at_last(self, stream: str, address: str) -> Suppression | None:
        """Give what holds of an address once every change shows."""
        history = self._streams.get(stream, {}).get(address.lower())
        return history[-1][1] if history else None

    def delete(self, stream: str, address: str) -> bool:
        """Let an address get mail again, which it may do already; False for a complaint."""
        history = self._streams.get(stream, {}).get(address.lower())
        known = history[-1][1] if history else None
        if history is None or known is None:
            return True
        if known.reason == FINAL_REASON:
            return False
        self._change(history, self._clock(), None)
        return True

    def replace(self, entries: Iterable[tuple[str, Suppression]]) -> None:
        """Forget everything and hold these, each with its stream, from now on and without a lag."""
        self._streams = {}
        for stream, entry in entries:
            self._history(stream, entry.address)[:] = [(0.0, entry)]

    def _history(self, stream: str, address: str) -> History:
        return self._streams.setdefault(stream, {}).setdefault(address.lower(), [])

    def _shown(self, history: History) -> Suppression | None:
        until = self._clock() - self.lag_s
        return next((entry for at, entry in reversed(history) if at <= until), None)

    def _change(self, history: History, at: float, entry: Suppression | None) -> None:
        # What is older than the change that shows now can never show again, unless the lag grows.
        shown = sum(earlier <= at - self.lag_s for earlier, _ in history)
        del history[: max(shown - 1, 0)]
        history.append((at, entry))
