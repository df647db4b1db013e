"""What an exporter shows of a snapshot, as far as alerts look at it. Pure."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, NamedTuple

from atum_schema import metrics_catalogue as m
from atum_schema.metrics_catalogue import FIXED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from atum_ops.signals.snapshot import Snapshot
    from atum_schema.metrics_family import Family


class Series(NamedTuple):
    """One series as it is now."""

    name: str
    value: float


def shown(now: Snapshot) -> list[Series]:
    """Give all series that alerts look at; a timestamp that is None is 0, and what is countable is there with 0."""
    return [
        *_of_queue(now),
        *_of_periods(now),
        *(
            _series(m.WINDOW_WHY, window.why == why, window.lane, window.account, why)
            for window in now.windows
            for why in FIXED["why"]
        ),
        *_of_processes(now),
        _series(m.EXPORTER_UP, 1),
    ]


def _of_queue(now: Snapshot) -> Iterator[Series]:
    for lane in now.lanes:
        yield _series(m.BACKLOG, lane.backlog, lane.lane)
        yield _series(m.OLDEST, lane.oldest_at or 0, lane.lane)
    yield _series(m.UNKNOWN_OLDEST, now.unknown.oldest_at or 0)
    yield _series(m.SEARCH_FAILURES, now.search_failures)
    yield _series(m.HELD, now.held.number)
    yield _series(m.DEAD, now.dead)
    yield _series(m.STUCK, now.stuck_batches)
    yield _series(m.WEBHOOK_LAST, now.webhook_last_at or 0)
    yield _series(m.INBOX_OLDEST, now.inbox_new.oldest_at or 0)
    yield _series(m.HEARTBEAT, now.heartbeat_at or 0)


def _of_periods(now: Snapshot) -> Iterator[Series]:
    lanes = [lane.lane for lane in now.lanes]
    for lane, period, result in product(lanes, FIXED["period"], FIXED["result"]):
        yield _series(m.RECENT, now.recent.get((lane, period, result), 0), lane, period, result)
    for period, why in product(FIXED["period"], FIXED["why"]):
        yield _series(m.RECENT_DEFERRALS, now.recent_deferrals.get((period, why), 0), period, why)
    for period in FIXED["period"]:
        yield _series(m.RECENT_DUPLICATES, now.recent_duplicates.get(period, 0), period)


def _of_processes(now: Snapshot) -> Iterator[Series]:
    for kind in FIXED["part"]:
        part = now.parts.get(kind)
        yield _series(m.PARTS, part.alive if part else 0, kind)
        yield _series(m.PARTS_STUCK, part.stuck if part else 0, kind)
        yield _series(m.PARTS_VANISHED, part.vanished if part else 0, kind)
    for state in FIXED["broker_state"]:
        yield _series(m.PARTS_BROKER, now.brokers.get(state, 0), state)
    for task in now.tasks:
        yield _series(m.TASK_FAILING, task.failing, task.name)
        yield _series(m.TASK_OVERDUE, task.overdue, task.name)


def _series(family: Family, value: float, *labels: str) -> Series:
    pairs = ",".join(f'{name}="{label}"' for name, label in zip(family.labels, labels, strict=True))
    return Series(f"{family.full_name}{{{pairs}}}", float(value))
