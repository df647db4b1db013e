"""The task that keeps the log as long as it is to be kept, and no longer.

::

    every hour ──▶ partitions ahead: said where they are missing
               └─▶ months that are due: scanned, put aside what stays, dropped
    every day ───▶ mails that were put aside, and have ended long ago: deleted, some at a time
               └─▶ content that is older than it is kept: deleted, some at a time

How far it is is kept after each step, so that a killed run is gone on with. Nothing waits for a lock for longer than a
moment: what is not to be had is tried again later.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from atum_schema import audit, live, retention
from atum_schema import retention_store as store
from atum_schema.errors import SettingsError
from atum_schema.retention import EVERYTHING, NOTHING, Range

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from psycopg_pool import ConnectionPool

    from atum_schema.database import Connection
    from atum_schema.retention import Month
    from atum_schema.settings import Settings
    from atum_workers.maintain import Lease

log = logging.getLogger(__name__)

_EVERY_S: Final = 3600.0
_WALK_S: Final = 86_400.0
_BUSY_S: Final = 600.0
_PAUSES_S: Final = (0.5, 1.0, 2.0, 4.0)


class _Stopped(Exception):
    """The worker is to stop: what was done is kept, and somebody else goes on."""


@dataclass(slots=True, kw_only=True)
class Retained:
    """What a run came to."""

    #: Months that were dropped.
    months: list[str] = field(default_factory=list)
    #: Mails that went with them.
    dropped: int = 0
    #: Mails of theirs that stay.
    aside: int = 0
    #: Mails that were deleted one by one.
    deleted: int = 0
    #: Contents that were deleted.
    contents: int = 0
    #: Months whose locks were not to be had; they are tried again.
    busy: list[str] = field(default_factory=list)
    #: Months that stay because too many of their mails do.
    thick: list[str] = field(default_factory=list)
    #: Partitions that should be there and are not.
    missing: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retaining:
    """Everything that retention needs. Not for several threads at once: the lease sees to that."""

    pool: ConnectionPool[Connection]
    #: Of the environment; what is stored in Postgres goes before it.
    settings: Settings
    #: Who does it, for the audit log.
    actor: str = "system:retain"
    #: Mails that one statement looks at.
    scanned: int = 5000
    #: Mails or contents that one statement deletes, at most.
    at_once: int = 500
    #: Seconds between tries to have a month's locks.
    pauses_s: tuple[float, ...] = _PAUSES_S
    #: Whether a privacy mode that is not that of the last run is refused: a person's environment may lack it.
    careful: bool = False
    #: Tells of every step: what it is about, and what there is so far.
    told: Callable[[str, Retained], None] = lambda _what, _so_far: None

    def task(self, lease: Lease) -> float:
        """Do what is due, under a lease; give the seconds until it is looked at again."""
        try:
            retained = self.run(lease)
        except _Stopped:
            return 0.0
        return _BUSY_S if retained.busy else _EVERY_S

    def run(self, lease: Lease, *, everything: bool = False) -> Retained:
        """Do what is due, with `everything` the daily part too whenever it was done last.

        Raises `SettingsError` for settings that are not valid, and see `careful`.
        """
        progress: dict[str, Any] = dict(lease.progress)
        retained = Retained()

        def keep() -> None:
            lease.go_on(progress)
            if lease.stopping():
                raise _Stopped

        with self.pool.connection() as connection:
            now, partitions = store.partitions(connection)
            configured = live.valid(connection, self.settings)
        self._note_privacy(progress, configured.privacy)
        retained.missing = retention.missing(partitions, now=now)
        if retained.missing:
            log.error(
                "retain: partitions are missing; is a relay running?", extra={"partitions": retained.missing}
            )
        months = retention.months(partitions)
        ended_before = now - timedelta(days=configured.retention_days)
        for month in retention.due(months, now=now, days=configured.retention_days):
            self._month(month, ended_before, keep, retained)
        if everything or now.timestamp() - progress.get("walked_at", 0.0) >= _WALK_S or retained.months:
            left = [month for month in months if str(month) not in retained.months]
            rule = retention.contents(
                now=now,
                content_days=configured.content_retention_days,
                drops_content=configured.drops_content,
                oldest=left[0] if left else None,
            )
            self._aside(ended_before, progress, keep, retained)
            self._contents(rule, progress, keep, retained)
            self._ended(progress, now)
            keep()
        return retained

    def _note_privacy(self, progress: dict[str, Any], mode: str) -> None:
        before = progress.get("privacy", mode)
        if before != mode and self.careful:
            raise SettingsError(
                f"ATUM_PRIVACY is {mode!r} here, and was {before!r} where retention ran last; set it as workers have it"
            )
        if before != mode:
            log.warning(
                "retain: a setting was changed; content is kept accordingly",
                extra={"setting": "ATUM_PRIVACY", "before": before, "now": mode},
            )
        progress["privacy"] = mode

    def _month(
        self, month: Month, ended_before: datetime, keep: Callable[[], None], retained: Retained
    ) -> None:
        self.told(f"month {month}", retained)
        staying, number = self._scan(month, ended_before, keep)
        aside = None
        if len(staying) <= retention.MOST_ASIDE:
            for pause_s in (*self.pauses_s, None):
                try:
                    with self.pool.connection() as connection:
                        aside = store.drop(
                            connection, month, staying=staying, number=number, actor=self.actor
                        )
                    break
                except store.Busy:
                    keep()
                    if pause_s is None:
                        log.warning(
                            "retain: a month is in use; it is dropped later", extra={"month": str(month)}
                        )
                        retained.busy.append(str(month))
                        return
                    time.sleep(pause_s)
        if aside is None:
            # Dropping it would hold up delivery for as long as it takes to put so many aside.
            retained.thick.append(str(month))
            self._thin(month, ended_before, keep, retained)
            return
        retained.months.append(str(month))
        retained.dropped += max(0, number - aside)
        retained.aside += aside
        log.info(
            "retain: a month is dropped, some of its mails stay", extra={"month": str(month), "count": aside}
        )
        keep()

    def _scan(self, month: Month, ended_before: datetime, keep: Callable[[], None]) -> tuple[list[UUID], int]:
        """Find what stays of a month by its rows, before anything is locked: a change since then has an owner."""
        staying: list[UUID] = []
        number = 0
        within = retention.bounds(month)
        while True:
            with self.pool.connection() as connection:
                looked = store.scan_month(connection, within, ended_before=ended_before, limit=self.scanned)
            staying += looked.staying
            number += looked.number
            keep()
            if looked.last is None or looked.number < self.scanned:
                return staying, number
            within = within._replace(after=looked.last)

    def _thin(
        self, month: Month, ended_before: datetime, keep: Callable[[], None], retained: Retained
    ) -> None:
        within = retention.bounds(month)
        deleted = 0
        for ids in self._pages(store.next_ids, within):
            deleted += self._delete(ids, ended_before, retained)
            keep()
        if deleted:
            with self.pool.connection() as connection:
                audit.record(
                    connection, self.actor, "retention.month_thinned", {"month": str(month), "mails": deleted}
                )

    def _aside(
        self,
        ended_before: datetime,
        progress: dict[str, Any],
        keep: Callable[[], None],
        retained: Retained,
    ) -> None:
        for ids in self._pages(store.next_aside, Range(_mark(progress, "aside_after"), EVERYTHING)):
            self.told("mails put aside", retained)
            number = self._delete(ids, ended_before, retained)
            progress["deleted"] = progress.get("deleted", 0) + number
            progress["aside_after"] = str(ids[-1])
            keep()

    def _contents(
        self,
        rule: retention.Contents,
        progress: dict[str, Any],
        keep: Callable[[], None],
        retained: Retained,
    ) -> None:
        mark = _mark(progress, "content_after")
        for after, before in rule.ranges:
            within = Range(max(after, mark), before)
            while within.after < within.before:
                self.told("content", retained)
                with self.pool.connection() as connection:
                    cleared = store.clear(
                        connection, within, ended_before=rule.ended_before, limit=self.at_once
                    )
                retained.contents += cleared.deleted
                if cleared.last is None:
                    break
                progress["contents"] = progress.get("contents", 0) + cleared.deleted
                progress["content_after"] = str(cleared.last)
                keep()
                within = within._replace(after=cleared.last)

    def _ended(self, progress: dict[str, Any], now: datetime) -> None:
        """Say in the audit log what the walk came to, and begin at the beginning next time."""
        counts = {name: progress.pop(name, 0) for name in ("deleted", "contents")}
        if any(counts.values()):
            with self.pool.connection() as connection:
                audit.record(
                    connection,
                    self.actor,
                    "retention.walked",
                    {"mails": counts["deleted"], "contents": counts["contents"]},
                )
        progress.pop("aside_after", None)
        progress.pop("content_after", None)
        progress["walked_at"] = now.timestamp()

    def _pages(self, following: Callable[..., list[UUID]], within: Range) -> Iterator[list[UUID]]:
        while True:
            with self.pool.connection() as connection:
                ids = following(connection, within, limit=self.at_once)
            if not ids:
                return
            yield ids
            within = within._replace(after=ids[-1])

    def _delete(self, ids: list[UUID], ended_before: datetime, retained: Retained) -> int:
        with self.pool.connection() as connection:
            number = store.delete(connection, ids, ended_before=ended_before)
        retained.deleted += number
        return number


def _mark(progress: dict[str, Any], name: str) -> UUID:
    return UUID(progress[name]) if name in progress else NOTHING
