"""Catching up: the provider is asked for what no webhook has told.

::

    bounces ──▶ lists per stream, from a little before the last look on     (complaints are in them)
    suppressions ──▶ lists per stream, compared with ours
    deliveries ──▶ mails that are old enough and of which nobody has told, one by one
    old events ──▶ forgotten

What is learned becomes an event as a webhook brings it, and is applied like one. What a run has come to is kept after
each step, so that a killed one is gone on with.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from atum_schema import suppression
from atum_schema.ids import first_mail_id
from atum_schema.script import run
from atum_workers import catch_up_store as store
from atum_workers import catching
from atum_workers.deadline import Deadline
from atum_workers.postmark_api import PAGE, REACH, ProviderFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from psycopg_pool import ConnectionPool

    from atum_schema.database import Connection
    from atum_schema.encryption import Keyring
    from atum_workers.maintain import Lease
    from atum_workers.postmark_api import PostmarkApi

log = logging.getLogger(__name__)

_FIRST_LOOK: Final = timedelta(days=1)
_SYNC_S: Final = 900.0
_FORGOTTEN_AT_ONCE: Final = 1000
_AFTER_FAILURE_S: Final = 60.0


@dataclass(slots=True, kw_only=True)
class Caught:
    """What catching up came to."""

    #: Mails that the provider was asked about.
    asked: int = 0
    #: Events that were not known.
    events: int = 0
    #: Suppressions that changed.
    suppressions: int = 0


class Pace:
    """Lets a number of requests per second through, evenly."""

    def __init__(
        self,
        rate: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._distance = 1.0 / rate
        self._clock, self._sleep = clock, sleep
        self._next = clock()

    def wait(self) -> None:
        """Wait for the next turn."""
        now = self._clock()
        if self._next > now:
            self._sleep(self._next - now)
        self._next = max(self._next, now) + self._distance


@dataclass(frozen=True, slots=True, kw_only=True)
class CatchUp:
    """Everything that catching up needs. Not for several threads at once: the lease sees to that."""

    pool: ConnectionPool[Connection]
    api: PostmarkApi
    keyring: Keyring
    #: Seconds: how old mails are when they are asked about.
    ages: tuple[float, ...]
    pace: Pace
    #: Seconds until the next run.
    every_s: float
    retention_s: float
    request_timeout_s: float = 20.0
    caught: Caught = field(default_factory=Caught)

    def run(self, lease: Lease) -> float:
        """Do one run under a lease; give the seconds until the next one. A provider that is away is asked later."""
        progress: dict[str, Any] = dict(lease.progress)
        try:
            self._run(progress, lambda: lease.go_on(progress), lease.stopping)
        except ProviderFailed as error:
            remedy = "; ATUM_POSTMARK_TOKEN is refused" if error.unauthorized else ""
            log.warning("catch_up: the provider does not answer: %s%s", error, remedy)
            return max(error.retry_after_s or 0.0, min(self.every_s, _AFTER_FAILURE_S))
        return self.every_s

    def _run(self, progress: dict[str, Any], keep: Callable[[], None], stopping: Callable[[], bool]) -> None:
        now = datetime.now(UTC)
        self._forget(now)
        streams = self._streams()
        marks = progress.setdefault("bounces", {})
        for stream in streams:
            since = datetime.fromisoformat(marks[stream]) if stream in marks else now - _FIRST_LOOK
            self.bounces(stream, since - catching.OVERLAP, keep)
            marks[stream] = now.isoformat()
            keep()
        if now.timestamp() - progress.get("synced_at", 0.0) >= _SYNC_S:
            self.suppressions(streams, keep)
            progress["synced_at"] = now.timestamp()
            keep()
        with self.pool.connection() as connection:
            in_use = store.webhooks_in_use(connection)
        if in_use:
            self._by_age(now, progress.setdefault("mails", {}), keep, stopping)

    def _by_age(
        self,
        now: datetime,
        marks: dict[str, str],
        keep: Callable[[], None],
        stopping: Callable[[], bool],
    ) -> None:
        for age in self.ages:
            until = first_mail_id(now - timedelta(seconds=age))
            name = f"{age:g}"
            first = first_mail_id(now - timedelta(seconds=age) - _FIRST_LOOK)
            after = UUID(marks[name]) if name in marks else first
            for done in self.deliveries(after, until, keep):
                marks[name] = str(done)
                keep()
                if stopping():
                    return

    def bounces(self, stream: str, since: datetime, keep: Callable[[], None]) -> None:
        """Take over a stream's bounces and complaints from `since` on."""
        for offset in range(0, REACH, PAGE):
            self.pace.wait()
            page = self.api.bounces(stream, since=since, offset=offset, deadline=self._deadline())
            self._store(catching.events_of_bounces(catching.recent(page, since)))
            keep()
            if catching.reaches(page, since) or offset + len(page.bounces) >= page.total or not page.bounces:
                return
        log.error("catch_up: more than %d bounces in stream %s since the last look", REACH, stream)

    def suppressions(self, streams: list[str], keep: Callable[[], None]) -> None:
        """Compare whom the provider does not mail with whom we do not."""
        for stream in streams:
            self.pace.wait()
            asked_at = datetime.now(UTC)
            entries = self.api.suppressions(stream, self._deadline())
            with self.pool.connection() as connection, connection.transaction():
                synced = run(connection, suppression.syncing(stream, entries, asked_at))
            self.caught.suppressions += synced.noted + synced.lifted
            keep()

    def deliveries(self, after: UUID, until: UUID, keep: Callable[[], None]) -> Iterator[UUID]:
        """Ask about the mails between two ids of which nobody has told; give each id up to which that is done."""
        while True:
            with self.pool.connection() as connection:
                last, scanned = store.last(connection, after=after, before=until)
                if last is None:
                    return
                untold = store.untold(connection, after=after, last=last)
            for mail in untold:
                self.pace.wait()
                details = self.api.details(mail.message_id, self._deadline())
                self.caught.asked += 1
                if details is not None:
                    self._store(catching.events_of(details))
                keep()
            yield last
            if scanned < store.SCANNED:
                return
            after = last

    def over(self, since: datetime, keep: Callable[[], None] = lambda: None) -> Iterator[tuple[str, Caught]]:
        """Do all parts from `since` until now, whatever was done before; say what comes next, and what there is so far."""
        streams = self._streams()
        for stream in streams:
            yield f"bounces of {stream}", self.caught
            self.bounces(stream, since, keep)
        yield "suppressions", self.caught
        self.suppressions(streams, keep)
        yield "deliveries", self.caught
        for _ in self.deliveries(first_mail_id(since), first_mail_id(datetime.now(UTC)), keep):
            yield "deliveries", self.caught

    def _streams(self) -> list[str]:
        self.pace.wait()
        return self.api.streams(self._deadline())

    def _store(self, documents: list[dict[str, Any]]) -> None:
        with self.pool.connection() as connection:
            self.caught.events += store.store(connection, documents, self.keyring)

    def _forget(self, now: datetime) -> None:
        before = first_mail_id(now - timedelta(seconds=self.retention_s))
        with self.pool.connection() as connection:
            while (
                store.forget(
                    connection, before=before, retention_s=self.retention_s, limit=_FORGOTTEN_AT_ONCE
                )
                == _FORGOTTEN_AT_ONCE
            ):
                pass

    def _deadline(self) -> Deadline:
        return Deadline.start(self.request_timeout_s)
