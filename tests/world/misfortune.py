"""What strikes an actor between two of its steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.world.effects import LAST_BYTES, Do, Query
from tests.world.times import FREEZE

if TYPE_CHECKING:
    from tests.world.plan import Plan
    from tests.world.world import Actor, World


class Misfortunes:
    """Faults that are left, and those that have happened."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._left = plan.misfortunes
        self._lost = False
        self.happened = 0
        #: From then on nothing goes wrong any more.
        self.over = False

    def strike(self, world: World, actor: Actor) -> bool:
        """Perhaps let something happen before an actor's effect; whether the effect has to wait."""
        plan, rng = self._plan, world.rng
        if self.over or self._left == 0 or rng.random() >= plan.misfortune:
            return False
        if plan.freeze_last > FREEZE and not _is_last_write(actor):
            return False
        self._left -= 1
        self.happened += 1
        return self.befall(world, actor, rng.choice(plan.faults))

    def befall(self, world: World, actor: Actor, fault: str) -> bool:
        """Let a fault happen before an actor's effect; whether the effect has to wait."""
        rng = world.rng
        if fault == "kill":
            world.kill(actor.process, "killed")
            return True
        if fault == "freeze":
            return self._freeze(world, actor, rng.choice((5.0, 40.0, 400.0, 1500.0)))
        if fault == "delay":
            return self._freeze(world, actor, 2.0)
        if fault == "suspended":
            return self._suspend(world, actor)
        if fault == "acknowledgement lost":
            self._lost = isinstance(actor.effect, Query)
        elif fault == "database crash":
            away = rng.uniform(0.0, rng.choice((2.0, 60.0)))
            lost = world.store.crash(away)
            world.say("database", f"crashes for {away:.1f} s, {lost} commits are lost")
        elif fault == "clock":
            actor.process.wall_offset += rng.choice((-1000.0, -30.0, -1.5, 1.5, 30.0, 1000.0))
            world.say(actor.process.name, f"clock is off by {actor.process.wall_offset:.1f} s")
        else:
            away = rng.uniform(0.0, 30.0)
            world.broker.restart(away, wiped=fault == "broker wiped")
            world.say("broker", f"{fault}, away for {away:.1f} s")
        return False

    def _suspend(self, world: World, actor: Actor) -> bool:
        """Freeze it; one of its clocks does not notice."""
        began, process, rng = world.now, actor.process, world.rng
        self._freeze(world, actor, 1500.0)
        unnoticed = began - actor.at
        if rng.random() < 0.5:
            process.wall_offset += unnoticed
        else:
            process.boot_offset += unnoticed
        return True

    def _freeze(self, world: World, actor: Actor, most: float) -> bool:
        if _is_last_write(actor):
            last = self._plan.freeze_last
            most = last if last > FREEZE else min(most, last)
        world.freeze(actor, world.rng.uniform(0.0, most))
        return True

    def loses_acknowledgement(self) -> bool:
        """Whether the commit that was just made looks like a broken connection."""
        lost, self._lost = self._lost, False
        return lost


def _is_last_write(actor: Actor) -> bool:
    return isinstance(actor.effect, Do) and actor.effect.name == LAST_BYTES
