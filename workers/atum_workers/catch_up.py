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
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar
from uuid import UUID

import httpx

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
    from atum_workers.pace import Pace
    from atum_workers.postmark_api import Details, PostmarkApi

log = logging.getLogger(__name__)

_FIRST_LOOK: Final = timedelta(days=1)
_SYNC_S: Final = 900.0
_FORGOTTEN_AT_ONCE: Final = 1000
_AFTER_FAILURE_S: Final = 60.0
_FAILURES: Final = 3
_REST_S: Final = 60.0

_T = TypeVar("_T")
_T_co = TypeVar("_T_co", covariant=True)


class _Asking(Protocol[_T_co]):
    def __call__(self, *, deadline: Deadline) -> _T_co: ...


class _Stopped(Exception):
    """The worker is to stop: what was done is kept, and somebody else goes on."""


class _Failures:
    """How many requests in a row have failed. One alone may be about one mail, several are about the provider."""

    number = 0

    def add(self, error: ProviderFailed) -> None:
        """Count one more. Raises it when it is not about one mail."""
        self.number += 1
        if self.number == _FAILURES or error.is_of_all:
            raise error


@dataclass(slots=True, kw_only=True)
class Caught:
    """What catching up came to."""

    #: Mails that the provider was asked about.
    asked: int = 0
    #: Events that were not known.
    events: int = 0
    #: Suppressions that changed.
    suppressions: int = 0
    #: Mails that the provider was asked about in vain.
    failed: int = 0


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
    #: How often it waits where the provider says that it is asked too fast. A lease has no time for that.
    patience: int = 0
    caught: Caught = field(default_factory=Caught)

    def run(self, lease: Lease) -> float:
        """Do one run under a lease; give the seconds until the next one. A provider that is away is asked later."""
        progress: dict[str, Any] = dict(lease.progress)

        def keep() -> None:
            lease.go_on(progress)
            if lease.stopping():
                raise _Stopped

        try:
            self._run(progress, keep)
        except _Stopped:
            return 0.0
        except ProviderFailed as error:
            log.warning("catch_up: the provider does not answer", extra={"detail": f"{error}{remedy(error)}"})
            return max(error.retry_after_s or 0.0, min(self.every_s, _AFTER_FAILURE_S))
        return self.every_s

    def _run(self, progress: dict[str, Any], keep: Callable[[], None]) -> None:
        now = datetime.now(UTC)
        self._forget(now, keep)
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
            self._by_age(now, progress.setdefault("mails", {}), keep)

    def _by_age(self, now: datetime, marks: dict[str, str], keep: Callable[[], None]) -> None:
        for age in self.ages:
            until = first_mail_id(now - timedelta(seconds=age))
            name = f"{age:g}"
            first = first_mail_id(now - timedelta(seconds=age) - _FIRST_LOOK)
            after = UUID(marks[name]) if name in marks else first
            for done in self.deliveries(after, until):
                marks[name] = str(done)
                keep()

    def bounces(self, stream: str, since: datetime, keep: Callable[[], None]) -> None:
        """Take over a stream's bounces and complaints from `since` on, however many."""
        until: datetime | None = None
        while True:
            oldest = self._bounces(stream, since, until, keep)
            if oldest is None:
                return
            if until is not None and oldest >= until:
                log.error(
                    "catch_up: a stream has more bounces at one time than can be read",
                    extra={"stream": stream, "count": REACH, "at": oldest},
                )
                return
            until = oldest

    def _bounces(
        self, stream: str, since: datetime, until: datetime | None, keep: Callable[[], None]
    ) -> datetime | None:
        """Take over what the provider's list reaches; give the time of the oldest, or None when that was all."""
        oldest = datetime.now(UTC) if until is None else until
        for offset in range(0, REACH, PAGE):
            page = self._ask(partial(self.api.bounces, stream, since=since, until=until, offset=offset))
            self._take_over(catching.recent(page, since), keep)
            keep()
            oldest = catching.oldest(page, oldest)
            if oldest < since or offset + len(page.bounces) >= page.total or not page.bounces:
                return None
        return oldest

    def _take_over(self, bounces: list[dict[str, Any]], keep: Callable[[], None]) -> None:
        """Store bounces that are not known yet, with the ids of ours that their list does not have."""
        with self.pool.connection() as connection:
            new = store.unknown(connection, catching.events_of_bounces(bounces))
        known: dict[str, Details | None] = {}
        failures = _Failures()
        for message_id in {str(event.get("MessageID")) for event in new if event.get("MessageID")}:
            try:
                known[message_id] = self._ask(partial(self.api.details, message_id))
            except ProviderFailed as error:
                failures.add(error)
            else:
                failures.number = 0
            keep()
        self._store([catching.with_ids(event, known.get(str(event.get("MessageID")))) for event in new])

    def suppressions(self, streams: list[str], keep: Callable[[], None]) -> None:
        """Compare whom the provider does not mail with whom we do not."""
        for stream in streams:
            asked_at = datetime.now(UTC)
            entries = self._ask(partial(self.api.suppressions, stream))
            with self.pool.connection() as connection, connection.transaction():
                synced = run(connection, suppression.syncing(stream, entries, asked_at))
            self.caught.suppressions += synced.noted + synced.lifted
            keep()

    def deliveries(self, after: UUID, until: UUID) -> Iterator[UUID]:
        """Ask about the mails between two ids of which nobody has told; give each id up to which that is done.

        A mail about which the provider fails is passed by once the next one succeeds: it must not hold up the others, and
        is asked about again at its next age.
        """
        while True:
            with self.pool.connection() as connection:
                last, scanned = store.last(connection, after=after, before=until)
                if last is None:
                    return
                untold = store.untold(connection, after=after, last=last)
            failures = _Failures()
            for mail in untold:
                try:
                    details = self._ask(partial(self.api.details, mail.message_id))
                except ProviderFailed as error:
                    failures.add(error)
                    if mail is untold[-1]:
                        raise
                    self.caught.failed += 1
                    log.warning(
                        "catch_up: no answer about a mail", extra={"mail": mail.id, "detail": str(error)}
                    )
                    continue
                failures.number = 0
                self.caught.asked += 1
                if details is not None:
                    self._store(catching.events_of(details))
                yield mail.id
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
        for _ in self.deliveries(first_mail_id(since), first_mail_id(datetime.now(UTC))):
            keep()

    def _streams(self) -> list[str]:
        return self._ask(self.api.streams)

    def _store(self, documents: list[dict[str, Any]]) -> None:
        with self.pool.connection() as connection:
            self.caught.events += store.store(connection, documents, self.keyring)

    def _forget(self, now: datetime, keep: Callable[[], None]) -> None:
        before = first_mail_id(now - timedelta(seconds=self.retention_s))
        forgotten = _FORGOTTEN_AT_ONCE
        while forgotten == _FORGOTTEN_AT_ONCE:
            with self.pool.connection() as connection:
                forgotten = store.forget(
                    connection, before=before, retention_s=self.retention_s, limit=_FORGOTTEN_AT_ONCE
                )
            keep()

    def _ask(self, request: _Asking[_T]) -> _T:
        for _ in range(self.patience):
            self.pace.wait()
            try:
                return request(deadline=Deadline.start(self.request_timeout_s))
            except ProviderFailed as error:
                if error.status != httpx.codes.TOO_MANY_REQUESTS:
                    raise
                self.pace.rest(min(error.retry_after_s or 1.0, _REST_S))
        self.pace.wait()
        return request(deadline=Deadline.start(self.request_timeout_s))


def remedy(error: ProviderFailed) -> str:
    """Say what an operator can do about a failure; empty where only time helps."""
    return "; ATUM_POSTMARK_TOKEN is refused" if error.unauthorized else ""
