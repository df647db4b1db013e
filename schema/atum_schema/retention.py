"""How long what is kept: which months of the log may go, and what of them stays. Pure.

::

    a month ─▶ wholly older than retention_days ─▶ what has not ended, or has an owner, or ended lately: put aside
                                                └▶ everything else: dropped with its partitions
    content ─▶ of a proven mail ─▶ privacy `full`: older than content_retention_days: deleted
                                └▶ privacy `metadata`: deleted
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple
from uuid import UUID

from atum_schema.ids import first_mail_id
from atum_schema.status import ENDED, Status

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

PARENTS: Final = ("mail", "event", "attempt", "recipient_event")
"""The tables that have a partition for each month."""

AHEAD: Final = 2
"""Months after this one that must have their partitions: the sweeper makes one more, and has time for it."""

MOST_ASIDE: Final = 1000
"""Mails that a month may leave behind when it is dropped, at most; with more, its other mails are deleted one by one."""

TAKEN: Final = tuple(sorted(status.value for status in ENDED - {Status.DEAD}))
"""The statuses of mails that retention may take."""

NOTHING: Final = UUID(int=0)
EVERYTHING: Final = UUID(int=2**128 - 1)

_OF_MAIL: Final = re.compile(r"mail_([0-9]{4})_(0[1-9]|1[0-2])")
# The sweeper makes last month's partitions again when they are missing.
_YOUNGEST: Final = 2
# A producer's clock may be ahead, and is believed by nobody.
_AHEAD_OF_TIME: Final = timedelta(days=1)


class Month(NamedTuple):
    """A month, UTC. They compare as time goes."""

    year: int
    number: int

    @classmethod
    def of(cls, moment: datetime) -> Month:
        """Give the month of an aware moment."""
        moment = moment.astimezone(UTC)
        return cls(moment.year, moment.month)

    def plus(self, months: int) -> Month:
        """Give the month so many months later."""
        number = self.year * 12 + self.number - 1 + months
        return Month(number // 12, number % 12 + 1)

    @property
    def begins(self) -> datetime:
        """Its first moment."""
        return datetime(self.year, self.number, 1, tzinfo=UTC)

    @property
    def ends(self) -> datetime:
        """The first moment after it."""
        return self.plus(1).begins

    @property
    def day(self) -> date:
        """Its first day."""
        return self.begins.date()

    def partition(self, parent: str) -> str:
        """Name its partition of a table."""
        return f"{parent}_{self.year:04d}_{self.number:02d}"

    def __str__(self) -> str:
        return f"{self.year:04d}-{self.number:02d}"


def months(partitions: Iterable[str]) -> list[Month]:
    """Give the months that partitions of the log belong to, the oldest first; other names are passed over."""
    matches = map(_OF_MAIL.fullmatch, partitions)
    return sorted(Month(int(match[1]), int(match[2])) for match in matches if match)


def due_at(month: Month, *, days: int) -> datetime:
    """Say when a month may be dropped: when all of it is older than `days`, and it is older than last month."""
    return max(month.ends + timedelta(days=days), month.plus(_YOUNGEST).begins)


def due(kept: Iterable[Month], *, now: datetime, days: int) -> list[Month]:
    """Give the months that may be dropped, the oldest first."""
    return sorted(month for month in kept if due_at(month, days=days) <= now)


def missing(partitions: Collection[str], *, now: datetime) -> list[str]:
    """Name the partitions that should be there for this month and the next ones, and are not."""
    wanted = [Month.of(now).plus(step).partition(parent) for step in range(AHEAD + 1) for parent in PARENTS]
    return [name for name in wanted if name not in partitions]


class Range(NamedTuple):
    """Ids after one and before another, without both."""

    after: UUID
    before: UUID


def bounds(month: Month) -> Range:
    """Give the ids of a month."""
    return Range(UUID(int=first_mail_id(month.begins).int - 1), first_mail_id(month.ends))


class Contents(NamedTuple):
    """Which content of proven mails goes. That of mails that are gone from the log always does."""

    ranges: tuple[Range, ...]
    #: Mails that ended before then; None: all.
    ended_before: datetime | None


def contents(*, now: datetime, content_days: int, drops_content: bool, oldest: Month | None) -> Contents:
    """Say where content has to be looked at. `oldest` is the oldest month that the log still has.

    With privacy `metadata` the table is small; with `full` only what is old enough is walked, and what wrong clocks made.
    """
    if drops_content:
        return Contents((Range(NOTHING, EVERYTHING),), None)
    ended_before = now - timedelta(days=content_days)
    before = max(ended_before, oldest.begins) if oldest is not None else ended_before
    strays = Range(first_mail_id(now + _AHEAD_OF_TIME), EVERYTHING)
    return Contents((Range(NOTHING, first_mail_id(before)), strays), ended_before)
