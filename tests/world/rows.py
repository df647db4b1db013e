"""Rows of the world's tables: what the SQL keeps, as far as a decision looks at it. Ids are small numbers."""

from __future__ import annotations

from typing import NamedTuple

from atum_schema.status import Cause, Status, after

NEVER = float("inf")


class Mail(NamedTuple):
    """A row of `mail`."""

    id: int
    lane: str
    status: Status
    #: The mail's own policy; None: what the lane says.
    on_unknown: str | None
    expires_at: float
    attempts: int = 0
    tries: int = 0
    crashes: int = 0
    duplicates: int = 0
    finished: bool = False
    reason: str | None = None
    message_id: str | None = None


class Ready(NamedTuple):
    """A row of `ready`."""

    mail: int
    lane: str
    due_at: float
    at_most: int | None


class Batch(NamedTuple):
    """A row of `batch`."""

    id: int
    lane: str
    mails: tuple[int, ...]
    issued_at: float
    publish_after: float
    state: str = "issued"
    published_at: float | None = None
    publishes: int = 0
    token: int | None = None
    lease_until: float = NEVER
    posting_at: float = NEVER
    anchor_at: float = NEVER
    search_at: float = NEVER
    searches: int = 0
    failures: int = 0


class Attempt(NamedTuple):
    """A row of `attempt`; its key is mail and batch."""

    mail: int
    batch: int
    outcome: str
    charged: bool
    posting_at: float
    message_id: str | None


class Event(NamedTuple):
    """A row of `event`."""

    mail: int
    cause: Cause
    was: Status | None
    status: Status
    at: float


class DeadLetter(NamedTuple):
    """A row of `dead_letter`."""

    mail: int
    publish_after: float
    published: bool = False


class Move(NamedTuple):
    """One fact about one mail, and what changes with it: `atum_schema.moves.Move` without its texts."""

    mail: int
    was: Status
    cause: Cause
    reason: str | None = None
    due_s: float | None = None
    at_most: int | None = None
    tried: bool = False
    charged: bool = False
    crashed: bool = False
    message_id: str | None = None
    duplicates: int = 0

    @property
    def status(self) -> Status:
        """The status that follows."""
        return after(self.was, self.cause)
