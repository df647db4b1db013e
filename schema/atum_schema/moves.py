"""Moving mails between statuses one by one: everything that is not the hot path goes through this statement.

Whoever moves a mail has locked it and knows its status: lock order batch, mail by id, ready. Each move leaves an
event; what follows from the new status (a place in `ready`, a dead letter, content that goes) follows here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from atum_schema import arrays
from atum_schema.script import Statement, blocking
from atum_schema.status import ENDED, PROVEN, WAITING, Cause, Status, after

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from uuid import UUID

    from atum_schema.script import Script


class Move(NamedTuple):
    """One fact about one mail, and what changes with it."""

    mail_id: UUID
    #: Its status before.
    was: str
    cause: Cause
    #: Why, in a stable word; kept in the log when the status changes.
    reason: str | None = None
    #: Why, for people; never an address or a body. In the event always, in the log when the status changes.
    detail: str | None = None
    batch_id: UUID | None = None
    #: Seconds until the relay may issue it; None when it does not wait in `ready` afterwards.
    due_s: float | None = None
    #: The most mails that its next batch may hold.
    at_most: int | None = None
    #: Whether a POST was made that nobody has counted yet.
    tried: bool = False
    #: Whether the POST was this mail's own failure.
    charged: bool = False
    #: ErrorCode of the provider, for the dead letter.
    code: int | None = None
    #: Whether a worker died with this mail alone in its hands.
    crashed: bool = False
    #: The provider's MessageID that is proven now.
    message_id: str | None = None
    #: Proven copies at the provider beyond the first.
    duplicates: int = 0

    @property
    def status(self) -> str:
        """The status that follows."""
        return after(Status(self.was), self.cause).value


class Holder(NamedTuple):
    """A batch that holds some of the mails in question, locked."""

    id: UUID
    state: str
    mail_ids: list[UUID]


LOCK_HOLDERS = """
SELECT id, state, mail_ids FROM atum.batch WHERE mail_ids && %(ids)s ORDER BY id FOR UPDATE
"""


def locking_holders(ids: Collection[UUID]) -> Script[list[Holder]]:
    """Lock every batch, of any state, that holds one of the mails."""
    rows = yield Statement(LOCK_HOLDERS, {"ids": list(ids)}, Holder)
    return rows


class Locked(NamedTuple):
    """A mail whose row is locked."""

    mail_id: UUID
    status: str
    crashes: int
    duplicates: int


LOCK = """
SELECT id AS mail_id, status, crashes, duplicates FROM atum.mail WHERE id = ANY(%(ids)s) ORDER BY id FOR UPDATE
"""


def locking(ids: Collection[UUID]) -> Script[list[Locked]]:
    """Lock the mails in order of their ids; those that do not exist are left out."""
    rows = yield Statement(LOCK, {"ids": sorted(ids)}, Locked, binary=True)
    return rows


READY = "SELECT mail_id FROM atum.ready WHERE mail_id = ANY(%(ids)s) ORDER BY mail_id FOR UPDATE"


def locking_with_owners(ids: Collection[UUID]) -> Script[tuple[list[Holder], list[Locked]] | None]:
    """Lock the mails and whatever holds them: batches, then mails by id, then places in `ready`.

    None when a relay has moved one from `ready` into a batch meanwhile: begin again in a new transaction.
    """
    holders = yield from locking_holders(ids)
    locked = yield from locking(ids)
    held = {mail_id for holder in holders for mail_id in holder.mail_ids}
    waiting = [mail.mail_id for mail in locked if mail.status in WAITING and mail.mail_id not in held]
    if waiting:
        places = yield Statement(READY, {"ids": waiting})
        if len(places) < len(waiting):
            return None
    return holders, locked


LEAVE_BATCH = "UPDATE atum.batch SET mail_ids = %(rest)s WHERE id = %(batch)s"

DELETE_BATCH = "DELETE FROM atum.batch WHERE id = %(batch)s"


def shrinking_batch(*, batch: UUID, rest: Sequence[UUID], held: int) -> Script[None]:
    """Leave `rest` (sorted) of the `held` mails of a locked batch; without any, the batch goes."""
    if held and not rest:
        yield Statement(DELETE_BATCH, {"batch": batch})
    elif len(rest) < held:
        yield Statement(LEAVE_BATCH, {"batch": batch, "rest": list(rest)})


# Whatever is deleted is named by its keys: a plan that was made while a queue was empty must not read all of it later.
MOVE = """
WITH move AS MATERIALIZED (
    SELECT *, cause = 'replayed' AND status <> was AS anew
    FROM unnest(%(mail_ids)s::uuid[], %(was)s::text[], %(statuses)s::text[], %(causes)s::text[],
                         %(reasons)s::text[], %(details)s::text[], %(batch_ids)s::uuid[], %(due_s)s::float8[],
                         %(at_most)s::int[], %(tried)s::boolean[], %(charged)s::boolean[], %(codes)s::int[],
                         %(crashed)s::boolean[], %(message_ids)s::text[], %(duplicates)s::int[])
        AS t(mail_id, was, status, cause, reason, detail, batch_id, due_s, at_most, tried, charged, code, crashed,
             message_id, duplicates)
), changed AS (
    UPDATE atum.mail m
    SET status = v.status, cycle = m.cycle + v.anew::int,
        tries = CASE WHEN v.anew THEN 0 ELSE m.tries + v.tried::int END,
        attempts = CASE WHEN v.anew THEN 0 ELSE m.attempts + v.charged::int END,
        crashes = CASE WHEN v.anew THEN 0 ELSE m.crashes + v.crashed::int END,
        duplicates = greatest(m.duplicates, v.duplicates),
        provider_message_id = coalesce(m.provider_message_id, v.message_id),
        reason = CASE WHEN v.status = v.was THEN m.reason ELSE v.reason END,
        detail = CASE WHEN v.status = v.was THEN m.detail ELSE v.detail END,
        due_at = CASE WHEN v.status = v.was THEN m.due_at ELSE clock_timestamp() + make_interval(secs => v.due_s) END,
        finished_at = CASE WHEN v.status = v.was THEN m.finished_at
                           WHEN v.status = ANY(%(ends)s) THEN clock_timestamp() END
    FROM move v WHERE m.id = v.mail_id
    RETURNING m.id, m.lane, m.account, m.size, m.cycle, m.attempts, m.status, v.was, v.cause, v.reason, v.code, v.due_s,
              v.at_most, v.anew
), explained AS (
    INSERT INTO atum.event (mail_id, cause, from_status, to_status, batch_id, detail)
    SELECT mail_id, cause, was, status, batch_id, detail FROM move
), waiting AS (
    INSERT INTO atum.ready (mail_id, lane, due_at, size, at_most, account)
    SELECT id, lane, clock_timestamp() + make_interval(secs => due_s), size, at_most, account FROM changed
    WHERE due_s IS NOT NULL
), freed AS (
    DELETE FROM atum.ready
    WHERE mail_id = ANY(ARRAY(SELECT c.id FROM changed c WHERE c.status <> c.was AND c.due_s IS NULL))
), buried AS (
    INSERT INTO atum.dead_letter (mail_id, cycle, reason, code, attempts)
    SELECT id, cycle, reason, code, attempts FROM changed WHERE status = 'dead' AND was <> 'dead'
), risen AS (
    DELETE FROM atum.dead_letter
    WHERE mail_id = ANY(ARRAY(SELECT c.id FROM changed c WHERE c.was = 'dead' AND c.status <> 'dead'))
), stopped AS (
    INSERT INTO atum.held (mail_id) SELECT id FROM changed WHERE status = 'held' AND was <> 'held'
), let_go AS (
    DELETE FROM atum.held
    WHERE mail_id = ANY(ARRAY(SELECT c.id FROM changed c WHERE c.was = 'held' AND c.status <> 'held'))
), counted AS (
    INSERT INTO atum.transition (lane, cause, from_status, to_status, reason, code, http_status, number)
    SELECT lane, cause, was, status, coalesce(reason, ''), coalesce(code, 0), 0, count(*) FROM changed
    GROUP BY lane, cause, was, status, coalesce(reason, ''), coalesce(code, 0)
), dropped AS (
    DELETE FROM atum.content
    WHERE mail_id = ANY(ARRAY(
        SELECT c.id FROM changed c
        WHERE c.status <> c.was
              AND (c.status IN ('expired', 'canceled', 'suppressed')
                   OR (c.status = ANY(%(proven)s) AND %(drop_content)s))))
)
SELECT count(pg_notify('atum_ready', '')) FROM atum.sleeper
WHERE until > now() AND (for_room OR (for_mail AND EXISTS (SELECT FROM move WHERE due_s IS NOT NULL)))
"""


def applying(moves: Sequence[Move], *, drop_content: bool = False) -> Script[None]:
    """Make the moves, in the caller's transaction. The mails are locked, and each appears once.

    `drop_content` says that the content of a mail that is proven to be sent is not kept.
    """
    if not moves:
        return
    values: dict[str, Any] = {
        "ends": [status.value for status in ENDED],
        "proven": [status.value for status in PROVEN],
        "drop_content": drop_content,
        "mail_ids": arrays.Uuids([m.mail_id for m in moves]),
        "was": arrays.Texts([m.was for m in moves]),
        "statuses": arrays.Texts([m.status for m in moves]),
        "causes": arrays.Texts([m.cause.value for m in moves]),
        "reasons": arrays.Texts([m.reason for m in moves]),
        "details": arrays.Texts([m.detail for m in moves]),
        "batch_ids": [m.batch_id for m in moves],
        "due_s": arrays.Floats([m.due_s for m in moves]),
        "at_most": arrays.Ints([m.at_most for m in moves]),
        "tried": arrays.Booleans([m.tried for m in moves]),
        "charged": arrays.Booleans([m.charged for m in moves]),
        "codes": arrays.Ints([m.code for m in moves]),
        "crashed": arrays.Booleans([m.crashed for m in moves]),
        "message_ids": arrays.Texts([m.message_id for m in moves]),
        "duplicates": arrays.Ints([m.duplicates for m in moves]),
    }
    yield Statement(MOVE, values)


lock_holders = blocking(locking_holders)
lock = blocking(locking)
lock_with_owners = blocking(locking_with_owners)
shrink_batch = blocking(shrinking_batch)
apply = blocking(applying)
