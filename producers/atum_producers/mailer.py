"""`Mailer`: an application hands over mail, asks for its fate, and stops it."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, overload

import psycopg
from psycopg_pool import PoolTimeout

from atum_producers import store
from atum_schema import acceptance, database
from atum_schema import settings as settings_module
from atum_schema.errors import EnqueueFailed, EnqueueUncertain, MailNotFound, MailRejected
from atum_schema.mail import Mail
from atum_schema.status import ENDED, Status

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from uuid import UUID

    from psycopg_pool import ConnectionPool

    from atum_schema.acceptance import Row
    from atum_schema.database import Connection
    from atum_schema.settings import Settings

_POLL_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class MailState:
    """Where a mail is, and why."""

    id: UUID
    status: Status
    #: Why, in a stable word (None while nothing went wrong).
    reason: str | None
    #: Why, for people; never an address or a body.
    detail: str | None
    #: Provider's MessageID, once acceptance is proven.
    provider_message_id: str | None
    accepted_at: datetime
    #: When the next attempt is due, while it waits for one.
    due_at: datetime | None
    #: When it was sent or reached another end.
    finished_at: datetime | None


class Mailer:
    """Hands mail over to the log. Thread-safe; never talks to RabbitMQ, so it never waits for it.

    `client` names the application in the log and is the scope of its idempotency keys. Settings come from the
    environment (`ATUM_DATABASE_URL`, `ATUM_CONTENT_KEYS`, …) unless given. Connections are opened on first
    use; close with `close()` or a `with` block. Raises `SettingsError` when a setting is missing or wrong.
    """

    def __init__(
        self, *, client: str = "default", settings: Settings | None = None, pool_size: int = 4
    ) -> None:
        if not client:
            raise MailRejected("client", "is empty")
        self._client = client
        self._settings = settings or settings_module.load()
        self._keyring = self._settings.keyring()
        self._lanes = acceptance.LanePolicy(names=self._settings.lane_names)
        url = self._settings.database_url.get_secret_value()
        self._pool: ConnectionPool[Connection] = database.pool(url, name="mailer", size=pool_size)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections of this mailer (never one that was passed in)."""
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
        single = isinstance(mail, Mail)
        mails: Sequence[Mail] = [mail] if isinstance(mail, Mail) else mail
        if keys and len(keys) != len(mails):
            raise MailRejected("keys", f"has {len(keys)} entries for {len(mails)} mails")
        rows = acceptance.prepare(mails, lanes=self._lanes, keyring=self._keyring, keys=keys)
        if connection is not None:
            _begin(connection)
            # A savepoint: a refused list leaves nothing half stored, and the caller's transaction stays usable.
            with connection.transaction():
                ids = self._insert(connection, rows, repeats=bool(keys))
        else:
            ids = self._enqueue_durably(rows, repeats=bool(keys))
        return ids[0] if single else ids

    def get(self, mail_id: UUID, *, connection: psycopg.Connection[Any] | None = None) -> MailState:
        """Give the mail's state now. Raises `MailNotFound`."""
        with self._use(connection) as used:
            row = store.state(used, mail_id)
        if row is None:
            raise MailNotFound(f"no mail has the id {mail_id}")
        return MailState(**row)

    def cancel(self, mail_id: UUID) -> MailState:
        """Stop a mail. When the state returned is `canceled`, no later POST is made of it.

        Any other status says why it could not be stopped: `sending` means that it is in flight, `unknown` that it
        may be at the provider already. Raises `MailNotFound`.
        """
        with self._use(None) as used:
            if not store.cancel(used, mail_id):
                raise MailNotFound(f"no mail has the id {mail_id}")
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

    def _insert(self, connection: psycopg.Connection[Any], rows: list[Row], *, repeats: bool) -> list[UUID]:
        return acceptance.insert(
            connection, rows, client=self._client, key_id=self._keyring.active, repeats=repeats
        )

    def _enqueue_durably(self, rows: list[Row], *, repeats: bool) -> list[UUID]:
        try:
            with self._use(None) as connection:
                return self._store(connection, rows, repeats=repeats)
        except PoolTimeout as error:
            raise EnqueueFailed(f"no connection to the database within {self._pool.timeout:.0f} s") from error
        except psycopg.errors.UndefinedTable as error:
            raise EnqueueFailed("the database has no schema yet; run: atum-mailer migrate") from error
        except psycopg.Error as error:
            raise EnqueueFailed(f"the database did not take the mails: {type(error).__name__}") from error

    def _store(self, connection: Connection, rows: list[Row], *, repeats: bool) -> list[UUID]:
        """Store in a transaction of our own: one statement commits itself, more take BEGIN and COMMIT."""
        committing = not repeats and not acceptance.needs_transaction(rows)
        try:
            if committing:
                return self._insert(connection, rows, repeats=False)
            with connection.transaction():
                ids = self._insert(connection, rows, repeats=repeats)
                committing = True
            return ids
        except psycopg.Error as error:
            if committing and _outcome_is_uncertain(connection, error):
                raise EnqueueUncertain(tuple(row.key for row in rows)) from error
            raise

    @contextmanager
    def _use(self, connection: psycopg.Connection[Any] | None) -> Iterator[psycopg.Connection[Any]]:
        if connection is not None:
            yield connection
            return
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


def _outcome_is_uncertain(connection: Connection, error: psycopg.Error) -> bool:
    """Whether a failed commit may have happened: the connection broke, or the server was stopped under it.

    An error that the server reports for the statement itself rolled it back. Class 57P (shutdown) can arrive after
    a local commit, while the session waits for a synchronous replica (PostgreSQL 15 manual, §27.2.8.2).
    """
    return connection.broken or error.sqlstate is None or error.sqlstate.startswith("57P")
