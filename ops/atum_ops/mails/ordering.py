"""Giving an order on single mails: each in a transaction of its own, with its entry in the audit log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

import psycopg

from atum_ops.mails import orders_store
from atum_ops.mails.deciding import Done, Nothing, Refused
from atum_schema.errors import AtumError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from uuid import UUID

    from atum_ops.mails.deciding import Order
    from atum_schema.database import Connection

T = TypeVar("T")

_PATIENCE: Final = 100


class Answer(NamedTuple):
    """What became of an order on one mail."""

    mail_id: UUID
    #: Whether the mail is now as it was wanted.
    good: bool
    words: str


def give(
    connection: Connection,
    order: Order,
    ids: Sequence[UUID],
    *,
    by: str,
    note: str | None,
    sure: bool = False,
) -> list[Answer]:
    """Carry out an order on each of the mails, whatever becomes of the others; ids that come twice count once."""
    return [_one(connection, order, mail, by=by, note=note, sure=sure) for mail in dict.fromkeys(ids)]


def _one(
    connection: Connection, order: Order, mail_id: UUID, *, by: str, note: str | None, sure: bool
) -> Answer:
    def work() -> Answer | None:
        answers = orders_store.carry_out(connection, order, [mail_id], by=by, sure=sure)
        if answers is None:
            return None
        answer = answers.get(mail_id, Refused(words="no mail has this id", reason="not_found"))
        if not isinstance(answer, Done):
            return Answer(mail_id, good=isinstance(answer, Nothing), words=answer.words)
        orders_store.record(connection, order, [mail_id], by=by, note=note)
        return Answer(mail_id, good=True, words=_told(order, answer))

    return in_transaction(connection, work)


def _told(order: Order, done: Done) -> str:
    if done.hurry:
        return "due now"
    if done.move.due_s:
        return f"{order.value}; due at its own time, in {done.move.due_s:,.0f} s"
    return order.value


def in_transaction(connection: Connection, work: Callable[[], T | None]) -> T:
    """Do work in a transaction, again when it gives None, or when its locks were in the way of others.

    Raises `AtumError` when that goes on for too long; nothing was changed then.
    """
    for _ in range(_PATIENCE):
        try:
            with connection.transaction():
                result = work()
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
            continue
        if result is not None:
            return result
    raise AtumError("somebody moves these mails again and again; nothing was changed, repeat it")
