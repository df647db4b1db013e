"""What an application and an operator ask of the database: enqueue, cancel, hold, release, replay, pause, resume."""

from __future__ import annotations

from typing import TYPE_CHECKING

from atum_schema import flow
from atum_schema.status import BIRTH, Cause, Status
from tests.world import moving
from tests.world.rows import Mail, Move, Ready

if TYPE_CHECKING:
    from tests.world.store import Store

_STOPPABLE = (Status.QUEUED, Status.SCHEDULED, Status.RETRYING)
_CANCELABLE = (*_STOPPABLE, Status.HELD)


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
    return _stop(store, mail_id, _CANCELABLE, Cause.CANCELED, Status.CANCELED)


def hold(store: Store, mail_id: int) -> bool:
    """Hold a mail back; whether it is held now. A mail that is being posted, or unknown, is not."""
    return _stop(store, mail_id, _STOPPABLE, Cause.HELD_BACK, Status.HELD)


def _stop(store: Store, mail_id: int, movable: tuple[Status, ...], cause: Cause, end: Status) -> bool:
    mail = store.mail[mail_id]
    holders = [batch for batch in moving.holders(store, [mail_id]) if batch.state != "unknown"]
    if mail.status not in movable or any(batch.state == "posting" for batch in holders):
        return mail.status is end
    for batch in holders:
        moving.shrink(store, batch, [other for other in batch.mails if other != mail_id])
    moving.apply(store, [Move(mail_id, mail.status, cause, reason=end.value)])
    return True


def release(store: Store, mail_id: int) -> None:
    """Let a held mail go, unless a POST of it is unresolved: that is for a person to decide."""
    _set_going(store, mail_id, Status.HELD, Cause.RELEASED)


def replay(store: Store, mail_id: int) -> None:
    """Begin the next cycle of a dead mail, unless a POST of it is unresolved."""
    _set_going(store, mail_id, Status.DEAD, Cause.REPLAYED)


def _set_going(store: Store, mail_id: int, origin: Status, cause: Cause) -> None:
    mail = store.mail[mail_id]
    if mail.status is origin and not is_unresolved(store, mail_id) and not moving.holders(store, [mail_id]):
        moving.apply(store, [Move(mail_id, mail.status, cause, due_s=0.0)])


def is_unresolved(store: Store, mail_id: int) -> bool:
    """Whether nobody knows what became of some POST of it."""
    return any(a.outcome == "unknown" for a in store.attempt.values() if a.mail == mail_id)


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
