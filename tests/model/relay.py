"""The relay: counts the window, issues batches, publishes tickets, sweeps expired leases."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.model import outcomes, statements
from tests.model.case import committed, new_batch
from tests.model.state import Copy, Step, names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.model.case import Case
    from tests.model.state import World


def steps(case: Case, world: World) -> Iterator[Step]:
    """Give what the relays may do."""
    yield from _sweep(case, world)
    if case.scope.tickets and case.rules.lost_tickets_are_republished:
        yield from _republish(world)
    if case.scope.fallback:
        yield from _fall_back(case, world)
    if case.scope.relays == 1:
        room = case.scope.window - statements.in_flight(case.rules, world.db)
        if room > 0 and world.db.ready:
            yield _issue(case, world, 0)
        return
    for number, room in enumerate(world.relays):
        if room < 0:
            yield from _count(case, world, number)
        elif room > 0 and world.db.ready:
            # The commit ends the lock, and what was counted is used up.
            yield _issue(case, _with_room(world, number, -1), number)
        else:
            yield Step(f"relay {number + 1} has nothing to issue", _with_room(world, number, -1))


def _with_room(world: World, number: int, room: int) -> World:
    return world._replace(relays=(*world.relays[:number], room, *world.relays[number + 1 :]))


def _count(case: Case, world: World, number: int) -> Iterator[Step]:
    if case.rules.window_under_lock and any(room >= 0 for room in world.relays):
        return
    room = max(0, case.scope.window - statements.in_flight(case.rules, world.db))
    yield Step(f"relay {number + 1} counts room for {room}", _with_room(world, number, room))


def _issue(case: Case, world: World, number: int) -> Step:
    batch = new_batch(world)
    db = statements.issue(case.scope, world.db, batch)
    after = committed(case, world, db, synchronous=False)
    if case.scope.tickets:
        after = after._replace(tickets=tuple(sorted({*after.tickets, batch})))
    taken = next(one.mails for one in db.batches if one.id == batch)
    return Step(f"relay {number + 1} issues {names(taken)} as batch {batch}", after)


def _republish(world: World) -> Iterator[Step]:
    for batch in world.db.batches:
        if batch.state == "issued" and batch.id not in world.tickets:
            tickets = tuple(sorted((*world.tickets, batch.id)))
            yield Step(f"a relay publishes batch {batch.id} again", world._replace(tickets=tickets))


def _sweep(case: Case, world: World) -> Iterator[Step]:
    for batch in world.db.batches:
        if batch.lease > 0:
            continue
        if batch.state == "claimed":
            db = statements.reissue(case.rules, world.db, batch)
            yield Step(
                f"a sweep frees the claim of batch {batch.id}", committed(case, world, db, synchronous=True)
            )
        elif batch.state == "posting":
            db = outcomes.give_up(case.scope, case.rules, world.db, batch)
            yield Step(f"a sweep gives batch {batch.id} up", committed(case, world, db, synchronous=True))


def _fall_back(case: Case, world: World) -> Iterator[Step]:
    for number, mail in enumerate(world.db.mails):
        waits = number in world.db.ready and not mail.unresolved
        if waits or (mail.status == "unknown" and not case.rules.fallback_waits):
            # The fallback answers clearly here: what is looked at is whether it was right to ask it.
            db = outcomes.prove(case.rules, world.db, number)
            after = committed(case, world, db, synchronous=True)
            copies = tuple(sorted((*after.copies, Copy(number, 0, visible=True))))
            yield Step(f"the fallback accepts mail {number + 1}", after._replace(copies=copies))
