"""The reconciler: what `atum_workers.reconcile` does, with a yield before each effect and the real decisions."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from atum_schema.status import Cause
from atum_workers import settling
from atum_workers.settling import Search
from tests.world import delivering, evidence
from tests.world.broker import RECONCILE
from tests.world.effects import Do, Park, Query, Rest
from tests.world.promises import Broken, Promise
from tests.world.provider import SearchFailed
from tests.world.rows import NEVER, Move
from tests.world.store import Away
from tests.world.times import PULL_AFTER, SETTLE

if TYPE_CHECKING:
    from tests.world.effects import Steps
    from tests.world.evidence import Proof, Sought
    from tests.world.rows import Batch, Mail
    from tests.world.world import Process, World

RESEND_LANE = "transactional"


class Round(NamedTuple):
    """What a round of searches came to."""

    worth: Search
    found: list[Proof]


def settle(world: World, process: Process) -> Steps:
    """Search for the batches of the tickets that come, and for those whose tickets do not."""
    broker = world.broker

    def due() -> float:
        if broker.waiting(RECONCILE):
            return world.now
        unknown = [batch for batch in world.store.batch.values() if batch.state == "unknown"]
        return min((delivering.overdue_at(batch, PULL_AFTER) for batch in unknown), default=NEVER)

    while True:
        yield Park(due)
        batch = yield Do("takes a ticket", lambda: broker.take(RECONCILE, process.id))
        try:
            if batch is None:
                batch = yield Query("looks for overdue searches", lambda: _overdue(world))
            if batch is not None:
                yield from reconcile(world, batch)
        except Away:
            # The round's lease runs out, and the next one repeats it.
            yield Rest(1.0)
        yield Do("acks", lambda: broker.ack(process.id))


def _overdue(world: World) -> int | None:
    late = [
        batch
        for batch in world.store.batch.values()
        if batch.state == "unknown" and delivering.overdue_at(batch, PULL_AFTER) < world.now
    ]
    return min(late, key=lambda batch: batch.search_at).id if late else None


def reconcile(world: World, batch: int) -> Steps:
    """Make one round for a batch."""
    store = world.store
    begun: Batch | None = yield Query("begins a search", lambda: evidence.begin(store, batch))
    if begun is None:
        return
    age = store.now - begun.anchor_at
    mails: list[Sought] = yield Query("loads", lambda: evidence.sought(store, begun.mails))
    control: int | None = yield Query(
        "looks for a control", lambda: evidence.control(store, begun.lane, begun.anchor_at)
    )
    made: Round = yield from _search(world, mails, control)
    proven: list[int] = []
    if made.found:
        proven = yield Query("proves", lambda: evidence.prove(store, made.found, Cause.FOUND))
    left = [one for one in mails if one.mail.id not in proven]
    step = settling.after_search(
        made.worth, searches=begun.searches, failures=begun.failures, age=age, policy=SETTLE
    )
    if isinstance(step, settling.Again):
        again = evidence.Again(step.seconds, step.searches, step.failures)
        yield Query(
            "will search again",
            lambda: evidence.conclude(
                store, begun, again, lambda mail: [Move(mail.id, mail.status, Cause.SEARCHED)]
            ),
        )
        return
    by_id = {one.mail.id: one for one in left}
    yield Query(
        "settles",
        lambda: evidence.conclude(
            store, begun, None, lambda mail: _settled(mail, by_id[mail.id], age, len(left))
        ),
    )


def _search(world: World, mails: list[Sought], control: int | None) -> Steps:
    found: list[Proof] = []
    provider = world.provider
    try:
        if control is not None:
            seen = yield Do("searches for the control", lambda: provider.search(mail=control))
            if not seen:
                return Round(Search.FAILED, found)
        for batch in sorted({batch for one in mails for batch in one.batches}):
            found += yield Do(f"searches for {batch}", partial(provider.search, batch=batch))
    except SearchFailed:
        return Round(Search.FAILED, found)
    return Round(Search.UNCONTROLLED if control is None else Search.CONTROLLED, found)


def _settled(mail: Mail, one: Sought, age: float, mails: int) -> list[Move]:
    policy = one.mail.on_unknown or ("resend" if mail.lane == RESEND_LANE else "hold")
    verdict = settling.verdict(
        resend=policy == "resend",
        expired=one.expired,
        tries=one.mail.tries,
        crashes=one.mail.crashes,
        posted_ago=age if one.posted_ago is None else one.posted_ago,
        mails=mails,
        policy=SETTLE,
    )
    searched = Move(mail.id, mail.status, Cause.SEARCHED)
    if isinstance(verdict, settling.End):
        return [searched, Move(mail.id, mail.status, verdict.cause, reason=verdict.reason)]
    if one.expired or policy == "hold":
        raise Broken(Promise.EXPIRED_STAYS, f"mail {mail.id} is resent: expired {one.expired}, {policy}")
    resend = Move(mail.id, mail.status, verdict.cause, reason="not_found", due_s=0.0, at_most=verdict.at_most)
    return [searched, resend]
