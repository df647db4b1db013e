"""What both kinds of mailer decide alike: what is offered to the log, and what an error of the database means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import psycopg
from psycopg_pool import PoolClosed, PoolTimeout

from atum_schema import acceptance
from atum_schema.accept import Accepted, accepting
from atum_schema.acceptance import Offer
from atum_schema.errors import AtumError, EnqueueFailed, EnqueueUncertain, MailRejected
from atum_schema.mail import Mail

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from atum_schema.encryption import Keyring
    from atum_schema.script import Script
    from atum_schema.settings import Settings


class Desk:
    """Where one client's mails are made ready for the log. Pure.

    Raises `MailRejected` for an empty client.
    """

    def __init__(self, *, client: str, lanes: tuple[str, ...], keyring: Keyring) -> None:
        if not client:
            raise MailRejected("client", "is empty")
        self.client = client
        self.keyring = keyring
        self.lanes = acceptance.LanePolicy(names=lanes)

    @classmethod
    def of(cls, settings: Settings, *, client: str) -> Self:
        """Make the desk of a client as the settings want it. Raises `SettingsError`."""
        return cls(client=client, lanes=settings.lane_names, keyring=settings.keyring())

    def offer(self, mail: Mail | Sequence[Mail], keys: Sequence[str]) -> Offer:
        """Make mails ready; `keys` repeats an earlier call. Raises `MailRejected`."""
        mails: Sequence[Mail] = [mail] if isinstance(mail, Mail) else mail
        if keys and len(keys) != len(mails):
            raise MailRejected("keys", f"has {len(keys)} entries for {len(mails)} mails")
        rows = acceptance.prepare(mails, lanes=self.lanes, keyring=self.keyring, keys=keys)
        return Offer(client=self.client, rows=rows, repeats=bool(keys))

    def storing(self, offer: Offer) -> Script[list[UUID]]:
        """Store one offer; give the ids of its mails. Raises `MailRejected` or `IdempotencyConflict`."""
        (answer,) = yield from accepting([offer], key_id=self.keyring.active)
        if isinstance(answer, AtumError):
            raise answer
        if not isinstance(answer, Accepted):
            raise TypeError(answer)
        return answer.ids


def closed() -> PoolClosed:
    """Make the error of a call that needs a connection of a mailer that was closed."""
    return PoolClosed("the mailer is closed")


def failure(error: psycopg.Error) -> EnqueueFailed:
    """Say what an error means after which certainly nothing is stored."""
    if isinstance(error, PoolClosed):
        return EnqueueFailed("the mailer is closed")
    if isinstance(error, PoolTimeout):
        return EnqueueFailed("no connection to the database in time")
    if isinstance(error, psycopg.errors.UndefinedTable):
        return EnqueueFailed("the database has no schema yet; run: atum-mailer migrate")
    return EnqueueFailed(f"the database did not take the mails: {type(error).__name__}")


def uncertainty(
    connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any], error: psycopg.Error, offer: Offer
) -> EnqueueUncertain | None:
    """Say whether a commit that failed may have happened: the connection broke, or the server was stopped under it.

    An error that the server reports for the statement itself rolled it back. Class 57P (shutdown) can arrive after
    a local commit, while the session waits for a synchronous replica (PostgreSQL 15 manual, §27.2.8.2).
    """
    if connection.broken or error.sqlstate is None or error.sqlstate.startswith("57P"):
        return EnqueueUncertain(tuple(row.key for row in offer.rows))
    return None
