"""The world: one thread, one virtual clock, one queue of steps, one source of chance.

Every actor is a generator that yields before each of its effects. Between any two effects the world may let others go
first, wait, freeze or kill the actor; so all that real threads could do to each other happens here too, and happens
again for the same seed.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any, Final

from atum_schema import flow
from tests.world import application, reconciler, relay, worker
from tests.world.behaviour import REGULAR
from tests.world.broker import Broker
from tests.world.effects import Die, Do, Park, Query, Receive, Rest
from tests.world.misfortune import Misfortunes
from tests.world.network import carry
from tests.world.provider import Provider, SearchFailed
from tests.world.rows import NEVER
from tests.world.store import Away, Store
from tests.world.times import CEILING

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from tests.world.effects import Effect, Steps
    from tests.world.plan import Plan
    from tests.world.provider import Exchange


@dataclass(slots=True, eq=False)
class Actor:
    """A thread of a process, and the effect that it comes to next."""

    name: str
    process: Process
    steps: Steps
    effect: Effect
    #: Only the entry of the queue with this number is valid.
    turn: int = 0
    at: float = NEVER
    #: Whether the coming effect was put off by a fault already.
    delayed: bool = False


@dataclass(slots=True, eq=False)
class Process:
    """Something that dies as a whole, and its clocks."""

    id: int
    name: str
    world: World
    #: Starts its threads; None: it is not ours, and nothing happens to it.
    start: Callable[[World, Process], None] | None
    actors: list[Actor] = field(default_factory=list)
    #: By how much the wall clock was set.
    wall_offset: float = 0.0
    #: By how much the clock since boot is behind: a restored virtual machine brings its own.
    boot_offset: float = 0.0
    exchange: Exchange | None = None

    def boot(self) -> float:
        """Seconds since boot."""
        return self.world.now + self.boot_offset

    def wall(self) -> float:
        """Seconds by the wall clock."""
        return self.world.now + self.wall_offset


# Most things take milliseconds, a few take seconds.
_QUICK_S: Final = 0.05


class World:
    """A world of one seed."""

    def __init__(self, plan: Plan, rng: Random, trace: list[str] | None = None) -> None:
        self.plan = plan
        self.rng = rng
        self.now = 0.0
        self.steps = 0
        self.trace = trace
        self.store = Store(rng)
        self.broker = Broker(rng)
        self.provider = Provider(rng)
        self.misfortunes = Misfortunes(plan)
        #: Mails whose enqueue, and whose cancel, were acknowledged.
        self.acknowledged: list[int] = []
        self.canceled: list[int] = []
        #: Copies beyond the first that the honest bound allows, by its case.
        self.excused: Counter[str] = Counter()
        self.processes: list[Process] = []
        self._queue: list[tuple[float, int, Actor]] = []
        self._turns = 0
        self._parked: list[Actor] = []
        self._changes = 0
        self._seen = (-1, -1, -1)
        self._begin()

    def _begin(self) -> None:
        plan, provider, broker = self.plan, self.provider, self.broker
        for lane in plan.lanes:
            self.store.flow[lane] = flow.new(ceiling=CEILING, rate=None, burst=0.0, now=0.0)
        provider.troubles, provider.trouble = plan.troubles, plan.trouble
        provider.outage, provider.stall, provider.search_fails = plan.outage, plan.stall, plan.search_fails
        broker.lossy, broker.repeating, broker.silent = plan.lossy, plan.repeating, plan.silent
        self.outside = Process(0, "outside", self, None)
        for number in range(plan.relays):
            self._process(f"relay {number}", relay.threads)
        for number in range(plan.workers):
            self._process(f"worker {number}", lambda w, p: w.spawn(p, "deliver", worker.consume(w, p)))
        self._process("puller", lambda w, p: w.spawn(p, "pull", worker.pull(w, p)))
        for number in range(plan.reconcilers):
            self._process(f"reconciler {number}", lambda w, p: w.spawn(p, "settle", reconciler.settle(w, p)))
        for letter in plan.letters:
            self.spawn(self.outside, f"application {letter.id}", application.send(self, letter))
        if plan.pause is not None:
            self.spawn(self.outside, "operator", application.operate(self, plan.lanes[0], *plan.pause))
        self.spawn(self.outside, "calm", _calm(self, plan.calm_at))

    def _process(self, name: str, start: Callable[[World, Process], None]) -> None:
        process = Process(len(self.processes) + 1, name, self, start)
        self.processes.append(process)
        start(self, process)

    def spawn(self, process: Process, name: str, steps: Steps) -> None:
        """Start a thread of a process."""
        # A generator has no effect before its first yield, so it may run up to there at once.
        try:
            effect = next(steps)
        except StopIteration:
            return
        actor = Actor(name, process, steps, effect)
        process.actors.append(actor)
        self._schedule(actor, effect)

    def step(self) -> bool:
        """Let the next thing happen; False when nothing will."""
        while self._queue:
            at, turn, actor = heappop(self._queue)
            if actor.turn == turn:
                if at > self.now:
                    self.set_time(at)
                self.steps += 1
                self._perform(actor)
                self._wake()
                return True
        return False

    def set_time(self, now: float) -> None:
        """Let time pass."""
        self.now = self.store.now = self.broker.now = self.provider.now = now

    def until(self) -> float:
        """Say when the next thing happens."""
        while self._queue and self._queue[0][2].turn != self._queue[0][1]:
            heappop(self._queue)
        return self._queue[0][0] if self._queue else NEVER

    def hurried(self) -> list[Actor]:
        """Give those of our threads that are about to act, in the order of time."""
        return [
            actor
            for _, turn, actor in sorted(self._queue, key=lambda entry: entry[:2])
            if actor.turn == turn and actor.process.start is not None and isinstance(actor.effect, Query | Do)
        ]

    def hurry(self, actor: Actor) -> None:
        """Let a thread that is about to act go first."""
        self._push(actor, self.now)
        self.step()

    def changed(self) -> None:
        """Have those who are parked look again."""
        self._changes += 1

    def say(self, who: str, what: str) -> None:
        """Note a line of the trace, if somebody wants it."""
        if self.trace is not None:
            self.trace.append(f"{self.now:10.3f}  {who:<28} {what}")

    def kill(self, process: Process, why: str) -> None:
        """Kill a process at once; it is started again soon."""
        self.say(process.name, f"dies: {why}")
        for actor in process.actors:
            actor.turn = -1
        self._parked = [actor for actor in self._parked if actor.process is not process]
        process.actors.clear()
        self.broker.lose_consumer(process.id)
        if process.exchange is not None:
            process.exchange.abandoned = True
            process.exchange = None
        self.spawn(self.outside, "supervisor", _restart(self, process))

    def freeze(self, actor: Actor, seconds: float) -> None:
        """Let an actor stand still before its effect."""
        self.say(f"{actor.process.name} {actor.name}", f"stands still for {seconds:.1f} s")
        actor.delayed = True
        self._push(actor, self.now + seconds)

    def connects(self) -> bool:
        """Whether the provider can be connected to."""
        return self.misfortunes.over or self.rng.random() >= self.plan.refusing

    def send(self, process: Process, exchange: Exchange) -> None:
        """Send the last bytes of a request."""
        exchange.froze = self.now - exchange.checked_at
        self.spawn(self.outside, "network", carry(self, process, exchange))

    def answered(self, process: Process, exchange: Exchange) -> None:
        """Wake the thread that waits for an answer."""
        for actor in process.actors:
            if isinstance(actor.effect, Receive) and actor.effect.exchange is exchange:
                self._push(actor, self.now)

    def _schedule(self, actor: Actor, effect: Effect) -> None:
        actor.delayed = False
        if isinstance(effect, Park):
            actor.at = NEVER
            self._turns += 1
            actor.turn = self._turns
            self._parked.append(actor)
            self._changes += 1
        elif isinstance(effect, Rest):
            self._push(actor, self.now + effect.seconds)
        elif isinstance(effect, Receive):
            ready = effect.exchange.answer is not None or effect.exchange.broken
            self._push(actor, self.now + (0.0 if ready else effect.seconds))
        else:
            self._push(actor, self.now + self.rng.random() * _QUICK_S)

    def _push(self, actor: Actor, at: float) -> None:
        self._turns += 1
        actor.turn, actor.at = self._turns, at
        heappush(self._queue, (at, self._turns, actor))

    def _wake(self) -> None:
        """Look who of those who are parked has something to do now, or earlier than was thought."""
        seen = (self.store.version, self.broker.version, self._changes)
        if seen == self._seen:
            return
        self._seen = seen
        for actor in self._parked:
            if isinstance(actor.effect, Park):
                at = actor.effect.due()
                if at < actor.at:
                    self._push(actor, max(at, self.now) + self.rng.random() * _QUICK_S)

    def _perform(self, actor: Actor) -> None:
        effect = actor.effect
        if isinstance(effect, Park):
            if effect.due() > self.now:
                actor.at = NEVER
                self._changes += 1
                return
            self._parked.remove(actor)
        elif actor.process.start is not None and not actor.delayed and self.misfortunes.strike(self, actor):
            return
        if isinstance(effect, Die):
            self.kill(actor.process, effect.why)
            return
        error: Exception | None = None
        result: Any = None
        try:
            result = self._take_effect(effect)
        except (Away, SearchFailed) as failed:
            error = failed
        if self.trace is not None and isinstance(effect, Query | Do):
            said = result if error is None else type(error).__name__
            self.say(f"{actor.process.name} {actor.name}", f"{effect.name}: {said}")
        self._go_on(actor, error, result)

    def _take_effect(self, effect: Effect) -> Any:
        if isinstance(effect, Do):
            return effect.work()
        if not isinstance(effect, Query):
            return None
        try:
            result = self.store.run(effect.work, synchronous=effect.synchronous)
        finally:
            lost = self.misfortunes.loses_acknowledgement()
        if lost:
            raise Away
        return result

    def _go_on(self, actor: Actor, error: Exception | None, result: Any = None) -> None:
        try:
            actor.effect = actor.steps.send(result) if error is None else actor.steps.throw(error)
        except StopIteration:
            actor.turn = -1
            actor.process.actors.remove(actor)
        else:
            self._schedule(actor, actor.effect)


def _restart(world: World, process: Process) -> Steps:
    yield Rest(world.rng.uniform(0.5, 5.0))
    if process.start is not None:
        process.start(world, process)
    world.say(process.name, "starts again")


def _calm(world: World, at: float) -> Steps:
    yield Rest(at)
    world.misfortunes.over = True
    provider, broker = world.provider, world.broker
    provider.trouble = provider.search_fails = 0.0
    provider.outage = (0.0, 0.0, REGULAR)
    broker.lossy = broker.repeating = broker.silent = 0.0
    world.say("world", "nothing goes wrong any more")
