"""What a relay asks of the database: issue, note confirms, repeat tickets, sweep, publish dead letters."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from atum_schema import flow, flow_allowance, sweeping
from atum_schema.status import ENDED, Cause
from tests.world import asking, moving
from tests.world.promises import Broken, Promise
from tests.world.rows import NEVER, Attempt, Batch, Mail, Move
from tests.world.times import (
    BATCH_MAILS,
    FLOW,
    POISON_CRASHES,
    PUBLISH_TIMEOUT,
    SETTLE,
    TICKET_LOST_AFTER,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from atum_schema.flow import Signal
    from atum_schema.flow_allowance import Allowance
    from tests.world.store import Store


def allowed(store: Store, lane: str) -> Allowance:
    """Say what the lane's window allows to issue now."""
    return flow_allowance.allowance(
        store.flow[lane], in_flight=store.in_flight(lane), now=store.now, batch_mails=BATCH_MAILS
    )


def issuable_at(store: Store, lane: str) -> float:
    """Say when a relay has something to do in a lane."""
    due = min((row.due_at for row in store.ready.values() if row.lane == lane), default=NEVER)
    if due == NEVER:
        return NEVER
    allowance = allowed(store, lane)
    if allowance.batches:
        return due
    return NEVER if allowance.wait_s is None else max(due, store.now + max(0.01, allowance.wait_s))


def issue(store: Store, lane: str) -> list[int]:
    """Take due mails as far as the window allows; give the new batches."""
    allowance = allowed(store, lane)
    due = [row for row in store.ready.values() if row.lane == lane and row.due_at <= store.now]
    picked = sorted(due, key=lambda row: row.due_at)[: allowance.mails]
    if not allowance.batches or not picked:
        return []
    groups: dict[tuple[int, int], list[int]] = {}
    placed: dict[int, int] = {}
    for row in picked:
        at_most = row.at_most or 0
        place = placed.get(at_most, 0)
        placed[at_most] = place + 1
        most = min(allowance.batch_mails, row.at_most or allowance.batch_mails)
        groups.setdefault((at_most, place // most), []).append(row.mail)
    batches = []
    for key in sorted(groups)[: allowance.batches]:
        mails = groups[key]
        batch = Batch(store.new_id(), lane, tuple(sorted(mails)), store.now, store.now + PUBLISH_TIMEOUT)
        for mail_id in mails:
            store.put(store.ready, mail_id, None)
        store.insert(store.batch, batch.id, batch)
        batches.append(batch)
    _within_window(store, lane, sum(len(batch.mails) for batch in batches))
    return [batch.id for batch in batches]


def _within_window(store: Store, lane: str, mails: int) -> None:
    window, in_flight = store.flow[lane], store.in_flight(lane)
    if in_flight > (window.size if window.state == flow.OPEN else 1):
        raise Broken(Promise.WINDOW, f"{in_flight} batches of {lane} in flight, {window}")
    if flow_allowance.spends(window):
        spent = flow_allowance.issued(
            window, mails=mails, now=store.now, policy=FLOW, uniform=store.rng.uniform
        )
        store.put(store.flow, lane, spent)


class Heard(NamedTuple):
    """What a request came to, and when it began."""

    signal: Signal
    began: float


def heard(store: Store, lane: str, report: Heard) -> bool:
    """Move the lane's window; whether it has stopped."""
    before = store.flow[lane]
    window = flow.after(
        before,
        flow.Report(report.signal, store.now - report.began),
        store.now,
        FLOW,
        store.rng.uniform,
    )
    if isinstance(report.signal, flow.Good):
        store.put(store.good, lane, max(report.began, store.good.get(lane, 0.0)))
    if window != before:
        store.put(store.flow, lane, window)
    return window.state not in {before.state, flow.OPEN}


def recall(store: Store, lane: str) -> None:
    """Take back what is issued in a lane that has stopped."""
    asking.recall(store, lane, claimed=False)


def published(store: Store, batches: Sequence[int]) -> None:
    """Note that RabbitMQ confirmed the tickets of these batches."""
    for batch_id in batches:
        batch = store.batch.get(batch_id)
        if batch is not None and batch.state == "issued":
            again = store.now + TICKET_LOST_AFTER * 2 ** min(batch.publishes, 5)
            store.put(store.batch, batch_id, batch._replace(published_at=store.now, publish_after=again))


def late_tickets(store: Store, *, every: bool) -> list[tuple[int, bool]]:
    """Give the batches whose ticket is due (again), and whether each is unknown."""
    late = [
        batch
        for batch in store.batch.values()
        if (batch.state in {"issued", "unknown"} and batch.publish_after < store.now)
        or (every and batch.state == "issued")
    ]
    for batch in late:
        again = store.now + PUBLISH_TIMEOUT * 2 ** min(batch.publishes, 5)
        put_off = batch._replace(publishes=batch.publishes + 1, published_at=None, publish_after=again)
        store.put(store.batch, batch.id, put_off)
    return [(batch.id, batch.state == "unknown") for batch in late]


def take_dead_letters(store: Store) -> list[int]:
    """Take the dead letters that are not published and not being published."""
    taken = [
        row for row in store.dead_letter.values() if not row.published and row.publish_after <= store.now
    ]
    for row in taken:
        put_off = row._replace(publish_after=store.now + PUBLISH_TIMEOUT)
        store.put(store.dead_letter, row.mail, put_off)
    return [row.mail for row in taken]


def dead_letters_published(store: Store, mails: Sequence[int]) -> None:
    """Note that RabbitMQ confirmed the dead letters of these mails."""
    for mail_id in mails:
        row = store.dead_letter.get(mail_id)
        if row is not None:
            store.put(store.dead_letter, mail_id, row._replace(published=True))


def lapsed_at(store: Store) -> float:
    """Say when the next lease runs out."""
    return min(
        (b.lease_until for b in store.batch.values() if b.state in {"claimed", "posting"}), default=NEVER
    )


def ticket_due_at(store: Store) -> float:
    """Say when the next ticket or dead letter is due to be published."""
    tickets = [b.publish_after for b in store.batch.values() if b.state in {"issued", "unknown"}]
    return min(
        [*tickets, *[row.publish_after for row in store.dead_letter.values() if not row.published]],
        default=NEVER,
    )


def sweep(store: Store) -> None:
    """Decide about the batches whose lease has run out."""
    for batch in list(store.batch.values()):
        if batch.state in {"claimed", "posting"} and batch.lease_until < store.now:
            _sweep(store, batch)


def _sweep(store: Store, batch: Batch) -> None:
    mails = [store.mail[mail_id] for mail_id in batch.mails]
    verdict = sweeping.expired(
        batch.state, mails=len(mails), crashes=mails[0].crashes, poison_crashes=POISON_CRASHES
    )
    if isinstance(verdict, sweeping.GiveUp):
        _give_up(store, batch, mails)
        return
    moving.shrink(store, batch, [])
    moving.apply(store, [_unposted(mail, verdict, alone=len(mails) == 1) for mail in mails])


def _unposted(mail: Mail, verdict: sweeping.Scatter | sweeping.Bury, *, alone: bool) -> Move:
    if isinstance(verdict, sweeping.Bury):
        return Move(mail.id, mail.status, Cause.POISONED, reason="poison", crashed=True)
    return Move(mail.id, mail.status, Cause.REISSUED, due_s=0.0, at_most=verdict.at_most, crashed=alone)


def _give_up(store: Store, batch: Batch, mails: list[Mail]) -> None:
    due = store.now + SETTLE.schedule[0]
    store.anchors[batch.id] = store.now
    store.put(
        store.batch,
        batch.id,
        batch._replace(
            state="unknown",
            publishes=0,
            anchor_at=store.now,
            search_at=due,
            publish_after=due,
            lease_until=NEVER,
        ),
    )
    for mail in mails:
        store.insert(
            store.attempt,
            (mail.id, batch.id),
            Attempt(mail.id, batch.id, "unknown", False, batch.posting_at, None),
        )
    open_ones = [mail.id for mail in mails if mail.status not in ENDED]
    moving.shrink(store, store.batch[batch.id], open_ones)
    moving.apply(
        store,
        [
            Move(
                mail.id,
                mail.status,
                Cause.OUTCOME_UNKNOWN,
                reason="no_answer_recorded",
                tried=True,
                crashed=len(mails) == 1,
            )
            for mail in mails
        ],
    )
