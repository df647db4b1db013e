"""Group commit of events: those that come in together are stored in one transaction, and answered after its commit.

Storing an event twice is storing it once, so whatever is uncertain is simply repeated until it is certain, or the request
has no time left.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import psycopg
from psycopg_pool import PoolTimeout

from atum_producers.api.patience import within
from atum_producers.api.problems import unavailable
from atum_producers.webhooks import inbox_store
from atum_schema import database, tally, traces
from atum_schema.script import run_async
from atum_schema.seldom import Seldom

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from psycopg_pool import AsyncConnectionPool

    from atum_producers.api.problems import Problem
    from atum_schema.database import AsyncConnection
    from atum_schema.inbox import Arrival

log = logging.getLogger(__name__)

_GROUP_EVENTS: Final = 500
_GROUP_BYTES: Final = 16_000_000
_WAITING_BYTES: Final = 200_000_000
_PAUSE_S: Final = 0.2
_LOOK_S: Final = 0.1
_COUNT_S: Final = 1.0


@dataclass(slots=True, eq=False, kw_only=True)
class _Waiting:
    """A request's event on its way; `done` says whether it is new."""

    arrival: Arrival
    deadline: float
    #: Whether a commit of it may have happened.
    tried: bool = False
    done: asyncio.Future[bool] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Writer:
    """Stores events; start `run` once per connection that shall be used at a time, the other endless ones once."""

    def __init__(self, pool: AsyncConnectionPool[AsyncConnection], *, key_id: str, timeout_s: float) -> None:
        self._pool = pool
        self._key_id = key_id
        self._timeout_s = timeout_s
        self._queue: deque[_Waiting] = deque()
        #: Everybody who waits for an answer, oldest first; those who have it are not all removed yet.
        self._open: deque[_Waiting] = deque()
        self._bytes = 0
        self._arrived = asyncio.Event()
        self._complaints = Seldom()
        self._refused: Counter[str] = Counter()

    @property
    def waited_s(self) -> float:
        """Seconds that the oldest event has been waiting; 0 when none is."""
        if not self._queue:
            return 0.0
        return time.monotonic() - (self._queue[0].deadline - self._timeout_s)

    async def store(self, arrival: Arrival) -> bool:
        """Store an event durably; say whether it is new. Raises `Problem` when that cannot be done in time."""
        if self._bytes + len(arrival.body) > _WAITING_BYTES:
            raise unavailable("too much is waiting for the database")
        waiting = _Waiting(arrival=arrival, deadline=time.monotonic() + self._timeout_s)
        self._enter(waiting)
        self._open.append(waiting)
        return await waiting.done

    def refused(self, reason: str) -> None:
        """Count a request that was not taken."""
        self._refused[reason] += 1

    async def run(self) -> None:
        """Store what arrives, for ever."""
        while True:
            await self._arrived.wait()
            group = self._take()
            if group:
                await self._store_group(group)
            elif not self._queue:
                self._arrived.clear()

    async def keep_time(self) -> None:
        """Tell those to come again who have waited too long, for ever."""
        while True:
            await asyncio.sleep(_LOOK_S)
            now = time.monotonic()
            # All wait equally long, so they are in order.
            while self._open and (self._open[0].done.done() or self._open[0].deadline < now):
                # It may be stored all the same: then it is known when it is told again.
                _fail(self._open.popleft(), unavailable("the database did not answer in time"))

    async def keep_counting(self) -> None:
        """Write down what was refused once a second at most, for ever."""
        while True:
            await asyncio.sleep(_COUNT_S)
            await self.count()

    async def count(self) -> None:
        """Write down what was refused. What cannot be written now is kept."""
        refused, self._refused = self._refused, Counter()
        if not refused:
            return
        try:
            await within(self._timeout_s, self._count(refused))
        except (psycopg.Error, PoolTimeout, TimeoutError):
            self._refused.update(refused)

    async def _count(self, refused: Counter[str]) -> None:
        async with self._pool.connection() as connection:
            counts = {(inbox_store.REFUSED, reason): number for reason, number in refused.items()}
            await run_async(connection, tally.counting(counts))

    def _enter(self, waiting: _Waiting, *, first: bool = False) -> None:
        self._bytes += len(waiting.arrival.body)
        if first:
            self._queue.appendleft(waiting)
        else:
            self._queue.append(waiting)
        self._arrived.set()

    def _take(self) -> list[_Waiting]:
        group: list[_Waiting] = []
        size = 0
        while self._queue and len(group) < _GROUP_EVENTS and size < _GROUP_BYTES:
            waiting = self._queue.popleft()
            self._bytes -= len(waiting.arrival.body)
            # Who has waited too long was told to come again.
            if not waiting.done.done():
                size += len(waiting.arrival.body)
                group.append(waiting)
        return group

    async def _store_group(self, group: Sequence[_Waiting]) -> None:
        group = [waiting for waiting in group if not waiting.done.done()]
        if not group:
            return
        try:
            async with self._pool.connection() as connection:
                new = await self._commit(connection, group)
        except (psycopg.Error, PoolTimeout) as error:
            await self._failed(group, error)
            return
        for waiting in group:
            if not waiting.done.done():
                waiting.done.set_result(waiting.arrival.id in new)

    async def _commit(self, connection: AsyncConnection, group: Sequence[_Waiting]) -> set[UUID]:
        tried = [waiting.arrival.id for waiting in group if waiting.tried]
        for waiting in group:
            waiting.tried = True
        async with connection.transaction():
            return await run_async(
                connection,
                inbox_store.taking([waiting.arrival for waiting in group], tried=tried, key_id=self._key_id),
            )

    async def _failed(self, group: Sequence[_Waiting], error: psycopg.Error | PoolTimeout) -> None:
        """Decide what becomes of a group that was not stored, or perhaps was."""
        if isinstance(error, psycopg.errors.LockNotAvailable) and len(group) > 1:
            # Another process is storing one of them; only that one has to wait.
            middle = len(group) // 2
            await self._store_group(group[:middle])
            await self._store_group(group[middle:])
            return
        if self._complaints.due():
            log.warning("webhooks: cannot store", extra=traces.kind(error))
        if isinstance(error, psycopg.Error) and not database.is_transient(error):
            for waiting in group:
                _fail(waiting, unavailable("the database refuses events", retry_after_s=30))
            return
        for waiting in reversed(group):
            self._enter(waiting, first=True)
        await asyncio.sleep(_PAUSE_S)


def _fail(waiting: _Waiting, problem: Problem) -> None:
    if not waiting.done.done():
        waiting.done.set_exception(problem)
