"""What is true of the whole system at one moment of the database's clock. Pure.

The exporter shows it, and alerts are decided from it; neither asks the database for anything else. All times are seconds
since 1970 by the database's clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

PERIODS: Final = {"5m": 300, "30m": 1800, "1h": 3600, "6h": 21_600, "24h": 86_400}
"""The periods that recent transitions are summed over, in seconds. Sums are as sharp as a minute."""

FAILED: Final = ("dead", "expired", "bounced")
"""The results that count as a failure."""


class LaneSignal(NamedTuple):
    """What waits and travels in one lane."""

    lane: str
    due: int
    later: int
    #: In batches that are issued, claimed or posting.
    sending: int
    unknown: int
    #: Since when the oldest mail of the backlog has been due or sending; None: there is none.
    oldest_at: float | None

    @property
    def backlog(self) -> int:
        """Mails that are due or sending."""
        return self.due + self.sending


class WindowSignal(NamedTuple):
    """The window of a lane and account."""

    lane: str
    account: str
    #: `open`, `closed` or `paused`.
    state: str
    #: Why it stopped by itself, as `atum_ops.signals.why` has it; None while it is open, a person paused it, or no mail of
    #: its lane waits.
    why: str | None
    by_person: bool
    since: float
    size: int
    ceiling: int
    in_flight: int
    sent_rate: float
    outage_at: float | None
    outage_end: float | None


class Waiting(NamedTuple):
    """How many there are, and since when the oldest of them is; None: there is none."""

    number: int = 0
    oldest_at: float | None = None


class PartSignal(NamedTuple):
    """Processes of one kind."""

    alive: int = 0
    #: Those of them that do nothing.
    stuck: int = 0
    #: Gone without a good-bye in the last 15 minutes.
    vanished: int = 0


class QueueSignal(NamedTuple):
    """A queue of RabbitMQ, as relays see it."""

    #: That wait; not those that a consumer has in hand.
    messages: int = 0
    consumers: int = 0


class TaskSignal(NamedTuple):
    """A task that is done now and then."""

    name: str
    ended_at: float | None
    #: Whether its last run failed.
    failing: bool
    #: Whether it has been due for ten minutes and nobody is at it.
    overdue: bool


class Snapshot(NamedTuple):
    """Everything, as of `at`."""

    at: float
    lanes: tuple[LaneSignal, ...] = ()
    #: Mails due, later or sending by lanes that no relay at work serves; empty while none is at work.
    orphaned: Mapping[str, int] = {}
    windows: tuple[WindowSignal, ...] = ()
    held: Waiting = Waiting()
    unknown: Waiting = Waiting()
    #: Searches for an unknown batch that failed in a row, at most.
    search_failures: int = 0
    dead: Waiting = Waiting()
    dead_unpublished: Waiting = Waiting()
    #: By state.
    batches: Mapping[str, int] = {}
    stuck_batches: int = 0
    #: By lane, period and result.
    recent: Mapping[tuple[str, str, str], int] = {}
    #: By period and why.
    recent_deferrals: Mapping[tuple[str, str], int] = {}
    #: By period.
    recent_duplicates: Mapping[str, int] = {}
    #: Since the beginning, by lane and result.
    totals: Mapping[tuple[str, str], int] = {}
    #: Since the beginning, by why.
    deferrals: Mapping[str, int] = {}
    duplicates: int = 0
    #: When the provider last accepted a mail, to the minute; None: not in a day.
    last_accepted_at: float | None = None
    webhook_last_at: float | None = None
    inbox_new: Waiting = Waiting()
    inbox_parked: int = 0
    webhooks_stored: int = 0
    #: Requests to the webhook endpoint that were not taken since the beginning, by the word of the `webhook` label.
    webhooks_refused: Mapping[str, int] = {}
    suppressed: int = 0
    #: By kind.
    parts: Mapping[str, PartSignal] = {}
    #: Processes at work that talk to RabbitMQ, by how they fare with it.
    brokers: Mapping[str, int] = {}
    #: By name; only those that a relay has looked at within a minute.
    queues: Mapping[str, QueueSignal] = {}
    heartbeat_at: float | None = None
    tasks: tuple[TaskSignal, ...] = ()
    #: The settings of alerts as they are now, by the word of the `setting` label.
    thresholds: Mapping[str, float] = {}

    def recently(self, period: str, *results: str) -> int:
        """Sum what came to one of these results in a period, over all lanes."""
        return sum(
            number
            for (_, within, result), number in self.recent.items()
            if within == period and result in results
        )

    @property
    def backlog(self) -> int:
        """Mails that are due or sending, in all lanes."""
        return sum(lane.backlog for lane in self.lanes)

    @property
    def oldest_at(self) -> float | None:
        """Since when the oldest mail of the backlog has been due or sending."""
        return min((lane.oldest_at for lane in self.lanes if lane.oldest_at is not None), default=None)
