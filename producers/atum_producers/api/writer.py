"""Group commit: requests that come in together are stored in one transaction, and answered after its commit.

A commit whose outcome is uncertain is repeated here under the same ids, which is safe, until it is certain or the request
has no time left. Nothing that one request brings can spoil another: a group that the database refuses is stored one by
one.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import psycopg
from psycopg_pool import PoolTimeout

from atum_producers.api.patience import Patience
from atum_producers.api.problems import Kind, Problem, unavailable
from atum_schema import database, traces
from atum_schema.accept import Accepted, Answer, Later, accepting
from atum_schema.errors import AtumError
from atum_schema.script import run_async
from atum_schema.seldom import Seldom

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from psycopg_pool import AsyncConnectionPool

    from atum_schema.acceptance import Offer
    from atum_schema.database import AsyncConnection

log = logging.getLogger(__name__)

#: Who waits for a key that another transaction holds gives up soon: it would make all others wait.
LOCK_TIMEOUT_MS: Final = 250
_GROUP_MAILS: Final = 500
_GROUP_BYTES: Final = 16_000_000
_WAITING_BYTES: Final = 200_000_000
_PAUSE_S: Final = 0.2


@dataclass(slots=True, eq=False, kw_only=True)
class _Waiting:
    """A request's offer on its way."""

    offer: Offer
    size: int
    deadline: float
    done: asyncio.Future[Accepted] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    #: Whether it is being stored, so that nobody knows before that has an end.
    storing: bool = False
    #: Whether a commit of it may have happened.
    tried: bool = False


def _unheard(mails: int) -> None:
    """Do nothing with how many mails were stored."""
    del mails


class Writer:
    """Stores offers; start `run` once per connection that shall be used at a time.

    `stored` is told of each offer how many mails of it are new in the log, after the commit; it must not raise.
    """

    def __init__(
        self,
        pool: AsyncConnectionPool[AsyncConnection],
        *,
        key_id: str,
        timeout_s: float,
        stored: Callable[[int], None] = _unheard,
    ) -> None:
        self._pool = pool
        self._key_id = key_id
        self._timeout_s = timeout_s
        self._patience = Patience(timeout_s)
        self._stored = stored
        self._queue: deque[_Waiting] = deque()
        self._bytes = 0
        self._arrived = asyncio.Event()
        self._keys: set[tuple[str, str]] = set()
        self._complaints = Seldom()

    @property
    def waited_s(self) -> float:
        """Seconds that the oldest offer has been waiting; 0 when none is."""
        if not self._queue:
            return 0.0
        return time.monotonic() - (self._queue[0].deadline - self._timeout_s)

    async def store(self, offer: Offer) -> Accepted:
        """Store an offer durably. Raises `Problem`, `IdempotencyConflict` or `MailRejected`."""
        claimed = self._claim(offer)
        waiting = _Waiting(
            offer=offer,
            size=sum(len(row.body) for row in offer.rows),
            deadline=time.monotonic() + self._timeout_s,
        )
        if self._bytes + waiting.size > _WAITING_BYTES:
            self._keys -= claimed
            raise unavailable("too much is waiting for the database; nothing was stored")
        self._enter(waiting)
        waiting.done.add_done_callback(lambda done: self._release(done, claimed))
        try:
            with self._patience.limit():
                # A client that hangs up does not take its mail back.
                return await asyncio.shield(waiting.done)
        except TimeoutError:
            if waiting.storing or waiting.tried:
                raise _uncertain(offer) from None
            waiting.done.cancel()
            raise unavailable("the database did not answer in time; nothing was stored") from None

    async def run(self) -> None:
        """Store what arrives, for ever."""
        while True:
            await self._arrived.wait()
            group = self._take()
            if not group:
                self._arrived.clear()
                continue
            await self._store_group(group)

    def _claim(self, offer: Offer) -> set[tuple[str, str]]:
        keys = {(offer.client, row.key) for row in offer.rows if row.fingerprint}
        if not self._keys.isdisjoint(keys):
            raise _in_progress()
        self._keys |= keys
        return keys

    def _release(self, done: asyncio.Future[Accepted], claimed: set[tuple[str, str]]) -> None:
        self._keys -= claimed
        if not done.cancelled():
            # Whoever asked may have left; nobody needs a warning about that.
            done.exception()

    def _enter(self, waiting: _Waiting, *, first: bool = False) -> None:
        self._bytes += waiting.size
        if first:
            self._queue.appendleft(waiting)
        else:
            self._queue.append(waiting)
        waiting.storing = False
        self._arrived.set()

    def _take(self) -> list[_Waiting]:
        group: list[_Waiting] = []
        mails = size = 0
        while self._queue:
            waiting = self._queue[0]
            mails += len(waiting.offer.rows)
            size += waiting.size
            if group and (mails > _GROUP_MAILS or size > _GROUP_BYTES):
                break
            self._queue.popleft()
            self._bytes -= waiting.size
            group.append(waiting)
        return group

    async def _store_group(self, group: Sequence[_Waiting]) -> None:
        try:
            async with self._pool.connection() as connection:
                # Who has waited too long was told that nothing is stored.
                group = [waiting for waiting in group if not waiting.done.done()]
                for waiting in group:
                    waiting.storing = True
                if group:
                    await self._commit(connection, group)
        except (psycopg.Error, PoolTimeout) as error:
            await self._failed(group, error)

    async def _commit(self, connection: AsyncConnection, group: Sequence[_Waiting]) -> None:
        offers = [replace(w.offer, repeats=True) if w.tried else w.offer for w in group]
        mails = sum(len(offer.rows) for offer in offers)
        plain = mails <= _GROUP_MAILS and not any(offer.needs_transaction for offer in offers)
        script = accepting(offers, key_id=self._key_id)
        if plain:
            answers = await run_async(connection, script)
        else:
            async with connection.transaction():
                answers = await run_async(connection, script)
        for waiting, answer in zip(group, answers, strict=True):
            self._settle(waiting, answer)

    def _settle(self, waiting: _Waiting, answer: Answer) -> None:
        if isinstance(answer, Accepted):
            # What another request has stored has the ids of that one.
            self._stored(sum(row.id == one for row, one in zip(waiting.offer.rows, answer.ids, strict=True)))
        if isinstance(answer, Later):
            self._enter(waiting)
        elif waiting.done.done():
            return
        elif isinstance(answer, AtumError):
            waiting.done.set_exception(answer)
        else:
            waiting.done.set_result(answer)

    async def _failed(self, group: Sequence[_Waiting], error: psycopg.Error | PoolTimeout) -> None:
        """Decide what becomes of a group that was not stored, or perhaps was."""
        locked = isinstance(error, psycopg.errors.LockNotAvailable)
        # What the server says of a statement, it has rolled back; what it does not say may have been committed.
        refused = isinstance(error, psycopg.Error) and (locked or not database.is_transient(error))
        for waiting in group:
            # For good: that a later try is refused says nothing of the earlier one.
            waiting.tried = waiting.tried or (waiting.storing and not refused)
            waiting.storing = False
        if refused and len(group) > 1:
            for waiting in group:
                await self._store_group([waiting])
            return
        if locked and any(row.fingerprint for row in group[0].offer.rows):
            self._fail(group[0], _in_progress())
            return
        if self._complaints.due():
            log.warning("api: cannot store", extra=traces.kind(error))
        if refused and not locked and not group[0].tried:
            problem = Problem(Kind.INTERNAL_ERROR, "the database refused the mails; nothing was stored")
            self._fail(group[0], problem)
            return
        await self._again(group)

    async def _again(self, group: Sequence[_Waiting]) -> None:
        now = time.monotonic()
        for waiting in reversed(group):
            if waiting.deadline > now:
                self._enter(waiting, first=True)
            elif waiting.tried:
                self._fail(waiting, _uncertain(waiting.offer))
            else:
                self._fail(waiting, unavailable("the database is away; nothing was stored"))
        await asyncio.sleep(_PAUSE_S)

    @staticmethod
    def _fail(waiting: _Waiting, problem: Problem) -> None:
        if not waiting.done.done():
            waiting.done.set_exception(problem)


async def hurry(connection: AsyncConnection) -> None:
    """Prepare a connection of the writer's pool: it waits for no lock for long."""
    await connection.execute(f"SET lock_timeout = {LOCK_TIMEOUT_MS}".encode())


def _in_progress() -> Problem:
    return Problem(
        Kind.IN_PROGRESS,
        "repeat the request in a moment, and it gets the answer of the first one",
        headers={"Retry-After": "1"},
    )


def _uncertain(offer: Offer) -> Problem:
    keyed = all(row.fingerprint for row in offer.rows)
    return Problem(
        Kind.UNCERTAIN,
        "the connection to the database broke while it was committing; "
        + (
            "repeat the request with the same Idempotency-Key"
            if keyed
            else "look the ids up before you repeat the request, or use an Idempotency-Key the next time"
        ),
        headers={"Retry-After": "2"},
        ids=[str(row.id) for row in offer.rows],
    )
