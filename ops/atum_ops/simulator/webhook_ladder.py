"""Whether a webhook that was not taken is tried again, and when (Postmark developer docs, "Webhooks overview"). Pure.

Two sets of rules are in circulation: what the provider has done until the summer of 2026, and what it does since.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_OK: Final = 200
_FORBIDDEN: Final = 403
_TRANSIENT: Final = frozenset({408, 429})
_MINUTE_S: Final = 60.0

#: Minutes before each retry, of the event types named, and of all others ("").
LADDERS: Final[Mapping[str, Mapping[str, tuple[int, ...]]]] = {
    "new": {"": (1, 5, 15, 1, 5, 10, 10, 10, 15)},
    "old": {"Bounce": (1, 5, 10, 10, 10, 15, 30, 60, 120, 360), "": (1, 5, 15)},
}


class Verdict(StrEnum):
    """What follows from one attempt."""

    TAKEN = "taken"
    RETRY = "retry"
    #: It is not tried again.
    DROP = "drop"


def judge(rules: str, status: int | None) -> Verdict:
    """Decide about an answer's status; None: there was no answer in time, or no connection."""
    if status == _OK:
        return Verdict.TAKEN
    if rules == "old":
        return Verdict.DROP if status == _FORBIDDEN else Verdict.RETRY
    if status is not None and 400 <= status < 500 and status not in _TRANSIENT:  # noqa: PLR2004 - HTTP's classes
        return Verdict.DROP
    return Verdict.RETRY


def ladder_s(rules: str, record_type: str) -> tuple[float, ...]:
    """Give the seconds before each retry of an event."""
    ladders = LADDERS[rules]
    return tuple(minutes * _MINUTE_S for minutes in ladders.get(record_type, ladders[""]))
