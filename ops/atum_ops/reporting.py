"""What happened in a span of time: failures over time, why, dead letters, and how long mails of each lane waited."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from atum_ops import failing, show, transitions_store
from atum_ops.failing import Counts
from atum_ops.percentiles import percentile, rounded
from atum_ops.transitions_store import Slot
from atum_schema.ids import first_mail_id

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from atum_ops.transitions_store import DeadLetters, LaneCounts, Reason
    from atum_schema.database import Connection

COLUMNS: Final = ("from (UTC)", "finished", "failed", "dead", "expired", "bounced", "rate")
_HOURLY: Final = timedelta(hours=48)
_REASONS: Final = 15
_PARTS: Final = 100
_EACH: Final = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneReport:
    """What came of one lane's mails, and how long they waited."""

    lane: str
    finished: int
    sent: int
    failed: int
    #: Seconds from accept (or from the time that was asked for) to sent, of a sample; None: it has no mail of the lane.
    p50_s: float | None
    p95_s: float | None
    sample: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What happened between two moments, UTC."""

    since: datetime
    until: datetime
    #: Every `hour` or `day`, those in which nothing happened too.
    unit: str
    slots: list[Slot]
    reasons: list[Reason]
    #: The slowest first.
    lanes: list[LaneReport]
    dead: DeadLetters

    @property
    def total(self) -> Counts:
        """All slots together."""
        return Counts(*(sum(values) for values in zip(*(slot.counts for slot in self.slots), strict=True)))


def report(connection: Connection, age: timedelta) -> Report:
    """Read what happened since then. No statement walks the log: waits are those of a sample of bounded size."""
    since = transitions_store.moment_before(connection, age)
    until = transitions_store.moment_before(connection, timedelta(0))
    unit = "hour" if age <= _HOURLY else "day"
    waits = transitions_store.waits(connection, parts=parts(since, until), each=_EACH)
    return Report(
        since=since.astimezone(UTC),
        until=until.astimezone(UTC),
        unit=unit,
        slots=filled(transitions_store.slots(connection, since=since, unit=unit), since, until, unit),
        reasons=transitions_store.reasons(connection, since=since, limit=_REASONS),
        lanes=slowest(transitions_store.lanes(connection, since=since), waits),
        dead=transitions_store.dead_letters(connection, since=since),
    )


def parts(since: datetime, until: datetime, number: int = _PARTS) -> list[Any]:
    """Cut the ids of a span into equal parts."""
    step = (until - since) / number
    edges = [since + step * place for place in range(number)] + [until]
    ids = [first_mail_id(edge) for edge in edges]
    return list(pairwise(ids))


def filled(found: Sequence[Slot], since: datetime, until: datetime, unit: str) -> list[Slot]:
    """Put in the hours or days in which nothing happened."""
    known = {slot.at.astimezone(UTC): slot.counts for slot in found}
    step = timedelta(hours=1) if unit == "hour" else timedelta(days=1)
    at = since.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    if unit == "day":
        at = at.replace(hour=0)
    slots = []
    while at <= until:
        slots.append(Slot(at, known.get(at, Counts())))
        at += step
    return slots


def slowest(counts: Sequence[LaneCounts], waits: Mapping[str, Sequence[float]]) -> list[LaneReport]:
    """Put counts and waits of each lane together, the slowest first."""
    by_lane = {each.lane: each for each in counts}
    reports = []
    for lane in by_lane.keys() | waits.keys():
        of_lane, sample = by_lane.get(lane), waits.get(lane, ())
        reports.append(
            LaneReport(
                lane=lane,
                finished=of_lane.finished if of_lane else 0,
                sent=of_lane.sent if of_lane else 0,
                failed=of_lane.failed if of_lane else 0,
                p50_s=rounded(percentile(sample, 0.5), 3),
                p95_s=rounded(percentile(sample, 0.95), 3),
                sample=len(sample),
            )
        )
    return sorted(reports, key=lambda each: (-(each.p95_s or 0.0), each.lane))


def document(made: Report) -> dict[str, Any]:
    """Give a report for JSON."""
    return {
        "since": made.since,
        "until": made.until,
        "unit": made.unit,
        "total": _counts(made.total),
        "slots": [{"at": slot.at, **_counts(slot.counts)} for slot in made.slots],
        "reasons": [each._asdict() for each in made.reasons],
        "lanes": made.lanes,
        "dead_letters": made.dead._asdict(),
    }


def _counts(counts: Counts) -> dict[str, Any]:
    return {**counts._asdict(), "failed": counts.failed, "rate": failing.rate(counts)}


def rows(made: Report) -> list[tuple[Any, ...]]:
    """Give the failures over time, a row each, in the order of `COLUMNS`."""
    return [
        (
            f"{slot.at:%Y-%m-%d %H:%M}",
            slot.counts.finished,
            slot.counts.failed,
            slot.counts.dead,
            slot.counts.expired,
            slot.counts.bounced,
            failing.rate(slot.counts),
        )
        for slot in made.slots
    ]


def wait(seconds: float | None) -> str | None:
    """Say how long mails waited."""
    return None if seconds is None else show.age(seconds)
