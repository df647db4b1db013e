"""The way of a request to the provider, and of the answer back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.world.effects import Do, Rest
from tests.world.promises import Broken, Promise
from tests.world.times import TRAVEL

if TYPE_CHECKING:
    from tests.world.behaviour import Reply
    from tests.world.effects import Steps
    from tests.world.provider import Exchange
    from tests.world.world import Process, World


def carry(world: World, process: Process, exchange: Exchange) -> Steps:
    """Carry a request whose last bytes are written, unless its connection is closed before it arrives."""
    travel = _travel(world)
    if travel:
        yield Rest(travel)
    exchange.travelled = travel
    reply: Reply | None = yield Do(f"batch {exchange.batch} arrives", lambda: _arrive(world, exchange))
    if reply is None or (reply.answer is None and not reply.breaks):
        return
    yield Rest(_back(world))
    exchange.answer, exchange.broken = reply.answer, reply.breaks
    world.answered(process, exchange)


def _travel(world: World) -> float:
    plan, rng = world.plan, world.rng
    if not plan.slow or world.misfortunes.over or rng.random() >= plan.slow:
        return rng.random() * 0.1
    if plan.late_network:
        return rng.uniform(0.0, 2000.0)
    return rng.uniform(0.0, 25.0)


def _back(world: World) -> float:
    plan, rng = world.plan, world.rng
    slow = plan.slow and not world.misfortunes.over and rng.random() < plan.slow
    return rng.uniform(0.0, 30.0) if slow else rng.random() * 0.1


def _arrive(world: World, exchange: Exchange) -> Reply | None:
    if exchange.abandoned and _is_dropped(world, exchange):
        return None
    marked = world.store.marks.get((exchange.batch, exchange.token))
    if marked != exchange.mails:
        raise Broken(Promise.MARKED, f"{exchange} arrives, marked is {marked}")
    provider = world.provider
    behaviour = provider.choose()
    reply = provider.take(exchange, behaviour)
    world.say("provider", f"{behaviour}: takes {list(reply.accepted)} of {list(exchange.mails)}")
    for copy in provider.copies[len(provider.copies) - len(reply.accepted) :]:
        if copy.mail in world.canceled and copy.excuse(world.store.anchors.get(copy.batch, 0.0)) is None:
            raise Broken(Promise.CANCEL_HOLDS, f"mail {copy.mail} is accepted after its cancel")
    return reply


def _is_dropped(world: World, exchange: Exchange) -> bool:
    """A closed connection takes along what has not arrived; what is nearly there may still arrive."""
    if world.plan.late_network:
        return False
    # What arrives after the anchor, into an index that stalls then, is a case of the honest bound.
    return world.plan.stalls or exchange.travelled > TRAVEL or world.rng.random() < 0.5
