"""What each family of the database says about a snapshot: its series by the values of their labels. Pure and total.

Only what there is: zeros are filled in by `atum_ops.exporter.families`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from atum_schema import metrics_catalogue as m

if TYPE_CHECKING:
    from atum_ops.signals.snapshot import (
        LaneSignal,
        PartSignal,
        QueueSignal,
        Snapshot,
        TaskSignal,
        WindowSignal,
    )
    from atum_schema.metrics_family import Family

Values: TypeAlias = Mapping[tuple[str, ...], float]
"""Series by the values of their labels, in the family's order."""

Look: TypeAlias = "Callable[[Snapshot], Values]"


def _one(read: Callable[[Snapshot], float | None]) -> Look:
    """Look at a value without labels; None is 0, as in timestamps of what never was."""
    return lambda now: {(): read(now) or 0}


def _by_word(read: Callable[[Snapshot], Mapping[str, float]]) -> Look:
    return lambda now: {(word,): value for word, value in read(now).items()}


def _by_words(read: Callable[[Snapshot], Mapping[Any, float]]) -> Look:
    return lambda now: dict(read(now))


def _by_lane(read: Callable[[LaneSignal], float | None]) -> Look:
    return lambda now: {(lane.lane,): read(lane) or 0 for lane in now.lanes}


def _by_window(read: Callable[[WindowSignal], float | None]) -> Look:
    return lambda now: {(window.lane, window.account): read(window) or 0 for window in now.windows}


def _by_part(read: Callable[[PartSignal], int]) -> Look:
    return lambda now: {(kind,): read(part) for kind, part in now.parts.items()}


def _by_queue(read: Callable[[QueueSignal], int]) -> Look:
    return lambda now: {(name,): read(queue) for name, queue in now.queues.items()}


def _by_task(read: Callable[[TaskSignal], float | None]) -> Look:
    return lambda now: {(task.name,): read(task) or 0 for task in now.tasks}


def _states(now: Snapshot) -> Values:
    return {(window.lane, window.account, window.state): 1 for window in now.windows}


def _whys(now: Snapshot) -> Values:
    return {(window.lane, window.account, window.why): 1 for window in now.windows if window.why is not None}


LOOKS: Final[Mapping[Family, Look]] = {
    m.DUE: _by_lane(lambda lane: lane.due),
    m.LATER: _by_lane(lambda lane: lane.later),
    m.SENDING: _by_lane(lambda lane: lane.sending),
    m.BACKLOG: _by_lane(lambda lane: lane.backlog),
    m.ORPHANED: _by_word(lambda now: now.orphaned),
    m.OLDEST: _by_lane(lambda lane: lane.oldest_at),
    m.UNKNOWN: _by_lane(lambda lane: lane.unknown),
    m.UNKNOWN_OLDEST: _one(lambda now: now.unknown.oldest_at),
    m.SEARCH_FAILURES: _one(lambda now: now.search_failures),
    m.HELD: _one(lambda now: now.held.number),
    m.HELD_OLDEST: _one(lambda now: now.held.oldest_at),
    m.DEAD: _one(lambda now: now.dead.number),
    m.DEAD_OLDEST: _one(lambda now: now.dead.oldest_at),
    m.DEAD_UNPUBLISHED: _one(lambda now: now.dead_unpublished.number),
    m.BATCHES: _by_word(lambda now: now.batches),
    m.STUCK: _one(lambda now: now.stuck_batches),
    m.RECENT: _by_words(lambda now: now.recent),
    m.RECENT_DEFERRALS: _by_words(lambda now: now.recent_deferrals),
    m.RECENT_DUPLICATES: _by_word(lambda now: now.recent_duplicates),
    m.FINISHED_TOTAL: _by_words(lambda now: now.totals),
    m.DUPLICATES_TOTAL: _one(lambda now: now.duplicates),
    m.DEFERRALS_TOTAL: _by_word(lambda now: now.deferrals),
    m.LAST_ACCEPTED: _one(lambda now: now.last_accepted_at),
    m.WINDOW_STATE: _states,
    m.WINDOW_WHY: _whys,
    m.WINDOW_SIZE: _by_window(lambda window: window.size),
    m.WINDOW_CEILING: _by_window(lambda window: window.ceiling),
    m.WINDOW_INFLIGHT: _by_window(lambda window: window.in_flight),
    m.WINDOW_SENT_RATE: _by_window(lambda window: window.sent_rate),
    m.WINDOW_SINCE: _by_window(lambda window: window.since),
    m.OUTAGE_BEGAN: _by_window(lambda window: window.outage_at),
    m.OUTAGE_ENDED: _by_window(lambda window: window.outage_end),
    m.WEBHOOK_LAST: _one(lambda now: now.webhook_last_at),
    m.INBOX: _by_word(lambda now: {"new": now.inbox_new.number, "parked": now.inbox_parked}),
    m.INBOX_OLDEST: _one(lambda now: now.inbox_new.oldest_at),
    m.WEBHOOK_STORED_TOTAL: _one(lambda now: now.webhooks_stored),
    m.WEBHOOK_REFUSED_TOTAL: _by_word(lambda now: now.webhooks_refused),
    m.SUPPRESSED: _one(lambda now: now.suppressed),
    m.PARTS: _by_part(lambda part: part.alive),
    m.PARTS_STUCK: _by_part(lambda part: part.stuck),
    m.PARTS_VANISHED: _by_part(lambda part: part.vanished),
    m.PARTS_BROKER: _by_word(lambda now: now.brokers),
    m.QUEUE_MESSAGES: _by_queue(lambda queue: queue.messages),
    m.QUEUE_CONSUMERS: _by_queue(lambda queue: queue.consumers),
    m.HEARTBEAT: _one(lambda now: now.heartbeat_at),
    m.TASK_ENDED: _by_task(lambda task: task.ended_at),
    m.TASK_FAILING: _by_task(lambda task: task.failing),
    m.TASK_OVERDUE: _by_task(lambda task: task.overdue),
    m.THRESHOLD: _by_word(lambda now: now.thresholds),
}
"""One for each family of `metrics_catalogue.OF_DATABASE`."""
