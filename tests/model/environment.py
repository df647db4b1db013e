"""Time and misfortune: ticks, kills, crashes, changed clocks, lost tickets, and what people do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.model import outcomes, statements
from tests.model.case import committed, new_batch
from tests.model.state import Step, with_fact, with_mail, with_worker
from tests.model.worker import gone

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.model.case import Case
    from tests.model.state import Database, World


def steps(case: Case, world: World) -> Iterator[Step]:
    """Give what may happen around the system."""
    if not _must_wait(case, world):
        after = _tick(case, world)
        if after != world:
            yield Step("time passes", after)
    yield from _workers(case, world)
    yield from _database(case, world)
    yield from _broker(case, world)
    yield from _index(world)
    yield from _people(case, world)


def _must_wait(case: Case, world: World) -> bool:
    """Say whether time cannot pass before something else has: what is taken for granted of the outside."""
    scope = case.scope
    return (
        (
            scope.freeze_is_bounded
            and any(worker.at == "checked" and worker.held >= scope.freeze for worker in world.workers)
        )
        or (scope.network_is_bounded and any(request.age >= scope.network for request in world.wire))
        or (
            scope.lag_is_bounded
            and not world.stalled
            and any(not copy.visible and copy.age >= scope.lag for copy in world.copies)
        )
    )


def _tick(case: Case, world: World) -> World:
    scope = case.scope
    unknown = [batch for batch in world.db.batches if batch.state == "unknown"]
    control = world.control
    if scope.busy:
        past = any(batch.search_in <= scope.search_after[0] for batch in unknown)
        control = "" if not unknown else (control or "accepted") if past else control
    return world._replace(
        control=control,
        db=_older(world.db),
        flushed=None if world.flushed is None else _older(world.flushed),
        workers=tuple(
            worker
            if worker.at in {"idle", "posted", "half"}
            else worker._replace(
                left=worker.left if worker.left < 1 else worker.left - 1,
                held=min(worker.held + 1, scope.freeze) if worker.at == "checked" else 0,
            )
            for worker in world.workers
        ),
        wire=tuple(request._replace(age=min(request.age + 1, scope.network)) for request in world.wire),
        copies=tuple(
            copy if copy.visible else copy._replace(age=min(copy.age + 1, scope.lag)) for copy in world.copies
        ),
    )


def _older(db: Database) -> Database:
    if not any(batch.lease or batch.search_in for batch in db.batches):
        return db
    return db._replace(
        batches=tuple(
            batch._replace(lease=max(0, batch.lease - 1), search_in=max(0, batch.search_in - 1))
            for batch in db.batches
        )
    )


def _workers(case: Case, world: World) -> Iterator[Step]:
    for number, worker in enumerate(world.workers):
        if worker.at == "idle":
            continue
        if world.left.kills:
            killed = gone(case, world, number, worker)
            left = world.left._replace(kills=world.left.kills - 1)
            yield Step(f"worker {number + 1} is killed", killed._replace(left=left))
        if world.left.clock_changes and worker.at in {"claimed", "marked"} and not worker.skewed:
            skewed = with_worker(world, number, worker._replace(skewed=True))
            left = world.left._replace(clock_changes=world.left.clock_changes - 1)
            yield Step(f"a clock of worker {number + 1} is set back", skewed._replace(left=left))


def _database(case: Case, world: World) -> Iterator[Step]:
    if world.flushed is None:
        return
    yield Step("the database writes its log to disk", world._replace(flushed=None))
    left = world.left._replace(crashes=world.left.crashes - 1)
    lost = world._replace(db=world.flushed, flushed=None, left=left)
    if case.scope.loss_shows and case.rules.loss_is_settled:
        for number in range(len(lost.facts)):
            lost = lost._replace(db=outcomes.forgotten(case.scope, lost.db, number, new_batch(lost)))
    yield Step("the database crashes and loses its last commits", lost)


def _broker(case: Case, world: World) -> Iterator[Step]:
    if not case.scope.tickets:
        return
    for ticket in world.tickets if world.left.lost_tickets else ():
        left = world.left._replace(lost_tickets=world.left.lost_tickets - 1)
        tickets = tuple(other for other in world.tickets if other != ticket)
        yield Step(f"the ticket of batch {ticket} is lost", world._replace(tickets=tickets, left=left))
    held = {worker.batch for worker in world.workers if worker.at != "idle"} - set(world.tickets)
    for ticket in sorted(held) if world.left.repeated_tickets else ():
        left = world.left._replace(repeated_tickets=world.left.repeated_tickets - 1)
        tickets = tuple(sorted((*world.tickets, ticket)))
        yield Step(f"the ticket of batch {ticket} comes again", world._replace(tickets=tickets, left=left))


def _index(world: World) -> Iterator[Step]:
    if world.stalled:
        yield Step("the index goes on", world._replace(stalled=False))
    elif world.left.stalls:
        left = world.left._replace(stalls=world.left.stalls - 1)
        yield Step("the index stops", world._replace(stalled=True, left=left))


def _people(case: Case, world: World) -> Iterator[Step]:
    left = world.left
    for number, mail in enumerate(world.db.mails):
        if left.cancels and (canceled := statements.cancel(world.db, number)) is not None:
            after = committed(case, world, canceled, synchronous=case.rules.cancel_is_synchronous)
            after = with_fact(after, number, after.facts[number]._replace(canceled=True))
            spent = after._replace(left=left._replace(cancels=left.cancels - 1))
            yield Step(f"mail {number + 1} is canceled, which is acknowledged", spent)
        if left.expiries and not mail.expired:
            expired = world._replace(
                db=with_mail(world.db, number, mail._replace(expired=True)),
                left=left._replace(expiries=left.expiries - 1),
            )
            yield Step(f"mail {number + 1} expires", expired)
        if left.releases and mail.status == "held":
            db = outcomes.released(world.db, number)
            after = committed(case, world, db, synchronous=True)
            spent = after._replace(left=left._replace(releases=left.releases - 1))
            yield Step(f"a person sends mail {number + 1} again", spent)
