"""`AsyncMailer`: what `Mailer` is to threads, for asyncio."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Self, overload

import psycopg

from atum_producers import store
from atum_producers.handing_over import Desk, closed, failure, uncertainty
from atum_schema import database
from atum_schema import settings as settings_module
from atum_schema.mail import Mail
from atum_schema.script import run_async
from atum_schema.status import ENDED

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from uuid import UUID

    from psycopg_pool import AsyncConnectionPool

    from atum_producers.store import MailState
    from atum_schema.acceptance import Offer
    from atum_schema.database import AsyncConnection
    from atum_schema.settings import Settings

_POLL_S = 0.05


class AsyncMailer:
    """Hands mail over to the log from one event loop; the twin of `Mailer`, with the same SQL and decisions.

    Made anywhere; connections are opened on first use, and belong to the event loop that runs then: another loop needs
    another mailer, and gets a `RuntimeError` from this one. Close with `await close()` or an `async with` block.
    Raises `SettingsError` when a setting is missing or wrong.
    """

    def __init__(
        self, *, client: str = "default", settings: Settings | None = None, pool_size: int = 4
    ) -> None:
        self._settings = settings or settings_module.load()
        self._desk = Desk.of(self._settings, client=client)
        self._pool_size = pool_size
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pool: AsyncConnectionPool[AsyncConnection] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections of this mailer for good, as `Mailer.close` does."""
        self._closed = True
        if self._pool is not None:
            await self._pool.close()

    @overload
    async def enqueue(
        self, mail: Mail, *, connection: psycopg.AsyncConnection[Any] | None = None, keys: Sequence[str] = ()
    ) -> UUID: ...
    @overload
    async def enqueue(
        self,
        mail: Sequence[Mail],
        *,
        connection: psycopg.AsyncConnection[Any] | None = None,
        keys: Sequence[str] = (),
    ) -> list[UUID]: ...
    async def enqueue(
        self,
        mail: Mail | Sequence[Mail],
        *,
        connection: psycopg.AsyncConnection[Any] | None = None,
        keys: Sequence[str] = (),
    ) -> UUID | list[UUID]:
        """Accept one mail or a list, as `Mailer.enqueue` does, with the same errors.

        `connection` is a psycopg 3 `AsyncConnection`. A task that is cancelled during the commit does not know whether
        its mails are stored; give them an `idempotency_key` where that may happen, and repeat.
        """
        offer = self._desk.offer(mail, keys)
        if connection is not None:
            await _begin(connection)
            async with connection.transaction():
                ids = await run_async(connection, self._desk.storing(offer))
        else:
            ids = await self._enqueue_durably(offer)
        return ids[0] if isinstance(mail, Mail) else ids

    async def get(
        self, mail_id: UUID, *, connection: psycopg.AsyncConnection[Any] | None = None
    ) -> MailState:
        """Give the mail's state now. Raises `MailNotFound`."""
        async with self._use(connection) as used:
            return await run_async(used, store.looking_up(mail_id))

    async def cancel(self, mail_id: UUID) -> MailState:
        """Stop a mail, as `Mailer.cancel` does. Raises `MailNotFound`."""
        async with self._use(None) as used:
            done = False
            while not done:
                async with used.transaction():
                    done = await run_async(used, store.canceling(mail_id))
        return await self.get(mail_id)

    async def wait(self, mail_id: UUID, *, timeout: float) -> MailState:  # noqa: ASYNC109 (the twin's name)
        """Wait until the mail is sent or has another end, at most `timeout` seconds; give the last state seen."""
        deadline = time.monotonic() + timeout
        while True:
            state = await self.get(mail_id)
            left = deadline - time.monotonic()
            if state.status in ENDED or left <= 0:
                return state
            await asyncio.sleep(min(_POLL_S, left))

    async def _enqueue_durably(self, offer: Offer) -> list[UUID]:
        try:
            async with self._use(None) as connection:
                return await self._store(connection, offer)
        except psycopg.Error as error:
            raise failure(error) from error

    async def _store(self, connection: psycopg.AsyncConnection[Any], offer: Offer) -> list[UUID]:
        committing = not offer.needs_transaction
        try:
            if committing:
                return await run_async(connection, self._desk.storing(offer))
            async with connection.transaction():
                ids = await run_async(connection, self._desk.storing(offer))
                committing = True
            return ids
        except psycopg.Error as error:
            if committing and (uncertain := uncertainty(connection, error, offer)) is not None:
                raise uncertain from error
            raise

    @asynccontextmanager
    async def _use(
        self, connection: psycopg.AsyncConnection[Any] | None
    ) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        if connection is not None:
            yield connection
            return
        pool = self._pool_of_this_loop()
        await pool.open()
        async with pool.connection() as pooled:
            yield pooled

    def _pool_of_this_loop(self) -> AsyncConnectionPool[AsyncConnection]:
        if self._closed:
            raise closed()
        loop = asyncio.get_running_loop()
        if self._pool is None:
            self._loop = loop
            self._pool = database.async_pool(
                self._settings.database_url.get_secret_value(), name="async-mailer", size=self._pool_size
            )
        elif self._loop is not loop:
            # Its workers live in the other loop, so this one would wait for them for ever.
            raise RuntimeError("this AsyncMailer has connections in another event loop; make one per loop")
        return self._pool


async def _begin(connection: psycopg.AsyncConnection[Any]) -> None:
    """Open the caller's transaction if this is its first statement, for the reason that `Mailer` has."""
    idle = connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    if idle and not connection.autocommit:
        await psycopg.AsyncCursor(connection).execute("SELECT")
