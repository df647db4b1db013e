"""`Mailer`: an application hands over mail, asks for its fate, and stops it."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self, overload

import psycopg

from atum_producers import store
from atum_producers.handing_over import Desk, closed, failure, uncertainty
from atum_schema import database
from atum_schema import settings as settings_module
from atum_schema.mail import Mail
from atum_schema.script import run
from atum_schema.status import ENDED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from uuid import UUID

    from psycopg_pool import ConnectionPool

    from atum_producers.store import MailState
    from atum_schema.acceptance import Offer
    from atum_schema.database import Connection
    from atum_schema.settings import Settings

_POLL_S = 0.05


class Mailer:
    """Hands mail over to the log. Thread-safe; never talks to RabbitMQ, so it never waits for it.

    `client` names the application in the log and is the scope of its idempotency keys. Settings come from the
    environment (`ATUM_DATABASE_URL`, `ATUM_CONTENT_KEYS`, …) unless given. Connections are opened on first
    use; close with `close()` or a `with` block. Raises `SettingsError` when a setting is missing or wrong.
    """

    def __init__(
        self, *, client: str = "default", settings: Settings | None = None, pool_size: int = 4
    ) -> None:
        settings = settings or settings_module.load()
        self._desk = Desk.of(settings, client=client)
        self._closed = False
        self._pool: ConnectionPool[Connection] = database.pool(
            settings.database_url.get_secret_value(), name="mailer", size=pool_size
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections of this mailer (never one that was passed in), for good; twice is once.

        What needs one of them afterwards fails: `enqueue` with `EnqueueFailed`, the others with
        `psycopg_pool.PoolClosed`.
        """
        self._closed = True
        self._pool.close()

    @overload
    def enqueue(
        self, mail: Mail, *, connection: psycopg.Connection[Any] | None = None, keys: Sequence[str] = ()
    ) -> UUID: ...
    @overload
    def enqueue(
        self,
        mail: Sequence[Mail],
        *,
        connection: psycopg.Connection[Any] | None = None,
        keys: Sequence[str] = (),
    ) -> list[UUID]: ...
    def enqueue(
        self,
        mail: Mail | Sequence[Mail],
        *,
        connection: psycopg.Connection[Any] | None = None,
        keys: Sequence[str] = (),
    ) -> UUID | list[UUID]:
        """Accept one mail or a list; give its id or their ids, in order.

        With `connection` (a psycopg 3 connection) the mails belong to the caller's transaction: they exist when it
        commits, and never if it rolls back. Without, they are durable when this returns. A list is stored whole or
        not at all. A known `idempotency_key` with the same content gives the first mail's id.

        Raises `MailRejected` (unknown lane, a key twice in the list), `IdempotencyConflict`, `EnqueueFailed`
        (certainly nothing stored) or `EnqueueUncertain`: then repeat the call with `keys=error.keys`.
        """
        offer = self._desk.offer(mail, keys)
        if connection is not None:
            _begin(connection)
            # A savepoint: a refused list leaves nothing half stored, and the caller's transaction stays usable.
            with connection.transaction():
                ids = run(connection, self._desk.storing(offer))
        else:
            ids = self._enqueue_durably(offer)
        return ids[0] if isinstance(mail, Mail) else ids

    def get(self, mail_id: UUID, *, connection: psycopg.Connection[Any] | None = None) -> MailState:
        """Give the mail's state now. Raises `MailNotFound`."""
        with self._use(connection) as used:
            return run(used, store.looking_up(mail_id))

    def cancel(self, mail_id: UUID) -> MailState:
        """Stop a mail. When the state returned is `canceled`, no later POST is made of it.

        Any other status says why it could not be stopped: `sending` means that it is in flight, `unknown` that it
        may be at the provider already. Raises `MailNotFound`.
        """
        with self._use(None) as used:
            done = False
            while not done:
                with used.transaction():
                    done = run(used, store.canceling(mail_id))
        return self.get(mail_id)

    def wait(self, mail_id: UUID, *, timeout: float) -> MailState:
        """Wait until the mail is sent or has another end, at most `timeout` seconds; give the last state seen."""
        deadline = time.monotonic() + timeout
        while True:
            state = self.get(mail_id)
            left = deadline - time.monotonic()
            if state.status in ENDED or left <= 0:
                return state
            time.sleep(min(_POLL_S, left))

    def _enqueue_durably(self, offer: Offer) -> list[UUID]:
        try:
            with self._use(None) as connection:
                return self._store(connection, offer)
        except psycopg.Error as error:
            raise failure(error) from error

    def _store(self, connection: psycopg.Connection[Any], offer: Offer) -> list[UUID]:
        """Store in a transaction of our own: one statement commits itself, more take BEGIN and COMMIT."""
        committing = not offer.needs_transaction
        try:
            if committing:
                return run(connection, self._desk.storing(offer))
            with connection.transaction():
                ids = run(connection, self._desk.storing(offer))
                committing = True
            return ids
        except psycopg.Error as error:
            if committing and (uncertain := uncertainty(connection, error, offer)) is not None:
                raise uncertain from error
            raise

    @contextmanager
    def _use(self, connection: psycopg.Connection[Any] | None) -> Iterator[psycopg.Connection[Any]]:
        if connection is not None:
            yield connection
            return
        if self._closed:
            raise closed()
        self._pool.open()
        with self._pool.connection() as pooled:
            yield pooled


def _begin(connection: psycopg.Connection[Any]) -> None:
    """Open the caller's transaction if this is its first statement.

    Otherwise the savepoint would be the outermost transaction, and commit what the caller may roll back.
    """
    idle = connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    if idle and not connection.autocommit:
        psycopg.Cursor(connection).execute("SELECT")
