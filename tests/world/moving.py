"""`atum_schema.moves` over dicts: everything that moves mails one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from atum_schema.status import ENDED, Cause, Status
from tests.world.rows import DeadLetter, Ready

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from tests.world.rows import Batch, Move
    from tests.world.store import Store


def holders(store: Store, mails: Collection[int]) -> list[Batch]:
    """Give every batch that holds one of the mails."""
    return [batch for batch in store.batch.values() if any(mail in mails for mail in batch.mails)]


def shrink(store: Store, batch: Batch, rest: Iterable[int]) -> None:
    """Leave `rest` in a batch; without any, it goes."""
    left = tuple(sorted(rest))
    if not left:
        store.put(store.batch, batch.id, None)
    elif left != batch.mails:
        store.put(store.batch, batch.id, store.batch[batch.id]._replace(mails=left))


def apply(store: Store, moves: Iterable[Move]) -> None:
    """Make the moves."""
    for move in moves:
        _apply(store, move)


def _apply(store: Store, move: Move) -> None:
    mail, status = store.mail[move.mail], move.status
    changed = status is not move.was
    if changed and move.cause is Cause.REPLAYED:
        mail = mail._replace(tries=0, attempts=0, crashes=0)
    store.put(
        store.mail,
        mail.id,
        mail._replace(
            status=status,
            tries=mail.tries + move.tried,
            attempts=mail.attempts + move.charged,
            crashes=mail.crashes + move.crashed,
            duplicates=max(mail.duplicates, move.duplicates),
            message_id=mail.message_id or move.message_id,
            reason=move.reason if changed else mail.reason,
            finished=status in ENDED if changed else mail.finished,
        ),
    )
    store.explain(mail.id, move.cause, move.was, status)
    if move.due_s is not None:
        store.insert(store.ready, mail.id, Ready(mail.id, mail.lane, store.now + move.due_s, move.at_most))
    elif changed and mail.id in store.ready:
        store.put(store.ready, mail.id, None)
    if status is Status.DEAD and changed:
        store.insert(store.dead_letter, mail.id, DeadLetter(mail.id, store.now))
    elif move.was is Status.DEAD and changed:
        store.put(store.dead_letter, mail.id, None)
