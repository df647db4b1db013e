"""What every endpoint does the same way: who asks, what is stored, what is read."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import psycopg
from psycopg_pool import PoolTimeout

from atum_producers import store
from atum_producers.api import drafts
from atum_producers.api.access import Access, check_senders
from atum_producers.api.correlation import caller_cares
from atum_producers.api.patience import within
from atum_producers.api.problems import Kind, Problem, unavailable
from atum_schema.acceptance import LanePolicy, Offer
from atum_schema.errors import IdempotencyConflict, MailRejected
from atum_schema.script import run_async

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from psycopg_pool import AsyncConnectionPool
    from starlette.requests import Request

    from atum_producers.api.bodies import Bodies
    from atum_producers.api.clients_store import LiveKey, Scope
    from atum_producers.api.drafts import Drafts
    from atum_producers.api.writer import Writer
    from atum_schema.database import AsyncConnection
    from atum_schema.encryption import Keyring
    from atum_schema.script import Script

log = logging.getLogger(__name__)
_T = TypeVar("_T")

# Above this, a body is worked on beside the event loop, so that others need not wait for it.
_LARGE_BODY = 256 * 1024


# Ids of mails in the line about a request.
_LOGGED = 10


class HandedOver(NamedTuple):
    """What became of a request that hands over mail."""

    ids: list[UUID]
    #: Whether an earlier request with the same key had stored them.
    replayed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """Everything that the endpoints share; one per process."""

    access: Access
    bodies: Bodies
    writer: Writer
    #: Connections for reading.
    pool: AsyncConnectionPool[AsyncConnection]
    lanes: LanePolicy
    keyring: Keyring
    #: Seconds that a request waits for the database.
    timeout_s: float

    async def admit(self, request: Request, scope: Scope) -> LiveKey:
        """Say who asks. Raises `Problem`."""
        kind, _, key = request.headers.get("authorization", "").partition(" ")
        return await self.access.admit(key.strip() if kind.lower() == "bearer" else None, scope)

    async def aside(self, size: int, work: Callable[[], _T]) -> _T:
        """Do pure work on a body of `size` bytes, beside the event loop if it is large."""
        return work() if size <= _LARGE_BODY else await asyncio.to_thread(work)

    async def hand_over(self, client: LiveKey, asked: Drafts, *, key: str | None, size: int) -> HandedOver:
        """Store mails durably. Raises `Problem`."""
        check_senders(client, asked.mails)
        self.access.charge(client, len(asked.mails))
        rows = await self.aside(
            size, lambda: drafts.rows(asked, lanes=self.lanes, keyring=self.keyring, key=key)
        )
        try:
            accepted = await self.writer.store(Offer(client=client.client, rows=rows))
        except IdempotencyConflict as conflict:
            raise Problem(
                Kind.KEY_REUSED, f"the key {conflict.key.partition(chr(10))[0]!r} is known with other content"
            ) from None
        except MailRejected as rejection:
            raise drafts.rejected([(rejection.index, rejection)]) from None
        # A line costs an eighth of a request: whoever sends no id of its own finds the mail by its own.
        level = logging.INFO if caller_cares() else logging.DEBUG
        if log.isEnabledFor(level):
            about = {"client": client.client, "count": len(accepted.ids), "mails": accepted.ids[:_LOGGED]}
            log.log(level, "mails accepted", extra=about)
        return HandedOver(accepted.ids, replayed=accepted.ids != [row.id for row in rows])

    async def read(self, script: Script[_T]) -> _T:
        """Run a script that only reads. Raises `Problem` when the log is away."""
        try:
            return await within(self.timeout_s, self._read(script))
        except (psycopg.OperationalError, PoolTimeout, TimeoutError):
            raise unavailable("the database is away") from None

    async def _read(self, script: Script[_T]) -> _T:
        async with self.pool.connection() as connection:
            return await run_async(connection, script)

    async def order(self, script: Callable[[], Script[_T]]) -> _T:
        """Run a script that changes something, in a transaction that is repeated where locks were in the way.

        Raises `Problem` when the log is away.
        """
        try:
            return await within(self.timeout_s, self._order(script))
        except (psycopg.OperationalError, PoolTimeout, TimeoutError):
            raise unavailable("the database is away; repeat the request, it may have been done") from None

    async def _order(self, script: Callable[[], Script[_T]]) -> _T:
        while True:
            try:
                async with self.pool.connection() as connection, connection.transaction():
                    return await run_async(connection, script())
            except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
                continue

    async def cancel(self, mail_id: UUID) -> None:
        """Cancel a mail if that can still be done. Raises `Problem` when the log is away."""
        try:
            await within(self.timeout_s, self._cancel(mail_id))
        except (psycopg.OperationalError, PoolTimeout, TimeoutError):
            raise unavailable("the database is away; ask again whether the mail was cancelled") from None

    async def _cancel(self, mail_id: UUID) -> None:
        async with self.pool.connection() as connection:
            done = False
            while not done:
                async with connection.transaction():
                    done = await run_async(connection, store.canceling(mail_id))
