"""What an application and an operator ask of the database: enqueue, cancel, pause, resume."""

from __future__ import annotations

from typing import TYPE_CHECKING

from atum_schema import flow
from atum_schema.status import BIRTH, Cause, Status
from tests.world import moving
from tests.world.rows import Mail, Move, Ready

if TYPE_CHECKING:
    from tests.world.store import Store

_CANCELABLE = (Status.QUEUED, Status.SCHEDULED, Status.RETRYING, Status.HELD)


def enqueue(store: Store, mail: Mail, *, delay_s: float) -> None:
    """Store a mail; once it is there, repeating changes nothing."""
    if mail.id in store.mail:
        return
    cause = Cause.ACCEPTED_FOR_LATER if delay_s else Cause.ACCEPTED
    mail = mail._replace(status=BIRTH[cause])
    store.insert(store.mail, mail.id, mail)
    store.insert(store.ready, mail.id, Ready(mail.id, mail.lane, store.now + delay_s, None))
    store.explain(mail.id, cause, None, mail.status)


def cancel(store: Store, mail_id: int) -> bool:
    """Cancel a mail; whether it is canceled now. A mail that is being posted, or unknown, is not."""
    mail = store.mail[mail_id]
    holders = [batch for batch in moving.holders(store, [mail_id]) if batch.state != "unknown"]
    if mail.status not in _CANCELABLE or any(batch.state == "posting" for batch in holders):
        return mail.status is Status.CANCELED
    for batch in holders:
        moving.shrink(store, batch, [other for other in batch.mails if other != mail_id])
    moving.apply(store, [Move(mail_id, mail.status, Cause.CANCELED, reason="canceled")])
    return True


def pause(store: Store, lane: str) -> None:
    """Pause a lane; then `recall` what is not posted yet."""
    window = store.flow[lane]
    store.put(store.flow, lane, flow.paused(window, reason="a person", by="a person", now=store.now))


def resume(store: Store, lane: str) -> None:
    """Resume a lane."""
    store.put(store.flow, lane, flow.resumed(store.flow[lane], now=store.now))


def recall(store: Store, lane: str, *, claimed: bool) -> None:
    """Put the mails of batches from before the lane stopped back into `ready`."""
    window = store.flow[lane]
    states = ("issued", "claimed") if claimed else ("issued",)
    for batch in list(store.batch.values()):
        if (
            batch.lane == lane
            and window.state != flow.OPEN
            and batch.issued_at < window.since
            and batch.state in states
        ):
            moving.shrink(store, batch, [])
            moving.apply(
                store,
                [
                    Move(
                        mail.id,
                        mail.status,
                        Cause.REISSUED,
                        due_s=0.0,
                        at_most=1 if mail.crashes else None,
                    )
                    for mail in (store.mail[mail_id] for mail_id in batch.mails)
                ],
            )
