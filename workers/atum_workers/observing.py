"""What delivering lets itself be watched at. An observer never decides anything, and never raises."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from atum_workers.outcome import Outcome
    from atum_workers.store import Item, Result


class Ticket(StrEnum):
    """What came of a ticket, or of an overdue batch that was taken up."""

    POSTED = "posted"
    """There was an answer to its POST, whatever it said."""
    STALE = "stale"
    """Somebody else has done it, or is at it."""
    EMPTIED = "emptied"
    """No mail was left in it: expired, suppressed, unreadable, cancelled, or sent back."""
    GIVEN_UP = "given_up"
    """Nothing was posted, and it is taken up again later: out of time, or the database was away."""


class Observer:
    """Sees what a delivery comes to; this one looks away. Called on any thread, never inside a transaction."""

    def ticket(self, what: Ticket) -> None:
        """See what came of a ticket."""

    def posting(self, lane: str) -> None:
        """See that a request begins."""

    def posted(self, lane: str) -> None:
        """See that a request has ended, in whatever way."""

    def answered(
        self, lane: str, account: str, items: Sequence[Item], outcomes: Sequence[Outcome], seconds: float
    ) -> None:
        """See the outcome of each mail of a request, and how long it took."""

    def recorded(self, lane: str, results: Sequence[Result]) -> None:
        """See what was committed for each mail of a request."""

    def repeating(self) -> None:
        """See that a transaction is repeated, because the database was away or in the way."""

    def sent_back(self) -> None:
        """See that a batch was sent back that is for the SMTP relay."""
