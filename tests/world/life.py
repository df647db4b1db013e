"""The life of a seed: everything that goes wrong, then calm, then the check of all promises."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from atum_schema import flow
from atum_schema.status import Status
from tests.world import promises
from tests.world.behaviour import KILLERS
from tests.world.plan import draw
from tests.world.promises import Broken, Promise
from tests.world.times import DRAINED_WITHIN, POISON_CRASHES, STEPS
from tests.world.world import World

if TYPE_CHECKING:
    from tests.world.provider import Copy
    from tests.world.rows import Mail


def live(seed: int, trace: list[str] | None = None) -> World:
    """Live through a seed and check it; give what remains. Raises `Broken`."""
    rng = Random(seed)  # noqa: S311  chance that comes again is the point
    world = World(draw(rng), rng, trace)
    drain(world)
    check(world)
    return world


def drain(world: World) -> None:
    """Let everything happen that will. Raises `Broken` when it does not end."""
    ends = max(world.now, world.plan.calm_at) + DRAINED_WITHIN
    most = world.steps + STEPS
    while world.step():
        if world.now > ends or world.steps > most:
            states = [f"{mail.id} {mail.status}" for mail in world.store.mail.values()]
            raise Broken(Promise.IN_TIME, f"after {world.steps} steps, at {world.now:.0f}: {states}")


def check(world: World) -> None:
    """Check what must hold in the end. Raises `Broken`."""
    store, provider = world.store, world.provider
    for mail_id in world.acknowledged:
        if mail_id not in store.mail:
            raise Broken(Promise.NONE_LOST, f"mail {mail_id} was acknowledged and is gone")
    for mail in store.mail.values():
        copies = sorted(
            (copy for copy in provider.copies if copy.mail == mail.id), key=lambda copy: copy.token
        )
        promises.ended(mail, len(copies))
        promises.explained(store, mail)
        promises.fair(mail, provider.own_failures)
        _copies(world, mail, copies)
        _innocent(world, mail)
    for lane, window in store.flow.items():
        if window.state != flow.OPEN and store.good.get(lane, -1.0) >= window.since:
            raise Broken(Promise.IN_TIME, f"{lane} stays {window.state} although the provider answers well")
    for row in store.dead_letter.values():
        if not row.published:
            raise Broken(Promise.IN_TIME, f"the dead letter of mail {row.mail} is not published")


def _copies(world: World, mail: Mail, copies: list[Copy]) -> None:
    """Of two copies, the earlier one should have been known when the later one was marked."""
    excuses = [copy.excuse(world.store.anchors.get(copy.batch, float("inf"))) for copy in copies]
    for copy, excuse in zip(copies[:-1], excuses, strict=False):
        if excuse is None:
            raise Broken(Promise.ONE_COPY, f"{copies}, and {copy} should have been known")
        world.excused[excuse] += 1
    if copies and mail.status is not Status.SENT and None in excuses:
        raise Broken(Promise.PROOF_FOUND, f"mail {mail.id} is {mail.status}, the provider has {copies}")


def _innocent(world: World, mail: Mail) -> None:
    guilty = world.provider.natures[mail.id] in KILLERS
    if mail.reason == "poison" and not guilty and world.misfortunes.happened < POISON_CRASHES:
        raise Broken(Promise.INNOCENT, f"mail {mail.id} is taken for poison")
