"""The people: an application that sends mail, and an operator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from atum_schema.status import Status
from tests.world import asking
from tests.world.effects import Query, Rest
from tests.world.rows import Mail
from tests.world.store import Away

if TYPE_CHECKING:
    from tests.world.effects import Query as Asked
    from tests.world.effects import Steps
    from tests.world.plan import Letter
    from tests.world.world import World


def send(world: World, letter: Letter) -> Steps:
    """Enqueue a mail, under the same key until it is acknowledged, and cancel it if that is in the plan."""
    store = world.store
    mail = Mail(letter.id, letter.lane, Status.QUEUED, letter.on_unknown, letter.expires_at)
    world.provider.natures[letter.id] = letter.nature
    if letter.at:
        yield Rest(letter.at)
    yield from _insist(
        Query("enqueues", lambda: asking.enqueue(store, mail, delay_s=letter.delay_s)),
    )
    world.acknowledged.append(letter.id)
    if letter.canceled_after is not None:
        yield Rest(letter.canceled_after)
        yield from cancel(world, letter.id)
    if letter.held is not None:
        yield from hold_for_a_while(world, letter.id, *letter.held)
    if letter.replayed_after is not None:
        yield Rest(letter.replayed_after)
        yield from replay(world, letter.id)


def cancel(world: World, mail: int) -> Steps:
    """Cancel a mail."""
    if (yield from _insist(Query("cancels", lambda: asking.cancel(world.store, mail)))):
        world.canceled.append(mail)


def hold_for_a_while(world: World, mail: int, after: float, seconds: float) -> Steps:
    """Hold a mail back, and release it later."""
    yield Rest(after)
    if (yield from _insist(Query("holds", lambda: asking.hold(world.store, mail)))):
        yield Rest(seconds)
        yield from _insist(Query("releases", lambda: asking.release(world.store, mail)))


def replay(world: World, mail: int) -> Steps:
    """Replay a mail if it is dead."""
    yield from _insist(Query("replays", lambda: asking.replay(world.store, mail)))


def operate(world: World, lane: str, at: float, seconds: float) -> Steps:
    """Pause a lane, and resume it later."""
    store = world.store
    yield Rest(at)
    yield from _insist(Query("pauses", lambda: asking.pause(store, lane)))
    yield from _insist(Query("recalls", lambda: asking.recall(store, lane, claimed=True)))
    store.paused.append(lane)
    yield Rest(seconds)
    store.paused.remove(lane)
    yield from _insist(Query("resumes", lambda: asking.resume(store, lane)))


def _insist(query: Asked) -> Steps:
    while True:
        try:
            return (yield query)
        except Away:
            yield Rest(1.0)
