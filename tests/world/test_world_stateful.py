"""The same world, led by Hypothesis instead of by chance: it tries what breaks promises, and shortens what does."""

from __future__ import annotations

from random import Random

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.world import application, promises
from tests.world.behaviour import BEHAVIOURS, GOOD, NATURES
from tests.world.life import check, drain
from tests.world.plan import BROADCAST, TRANSACTIONAL, Letter, Plan
from tests.world.rows import NEVER
from tests.world.times import FREEZE
from tests.world.world import World

LANES = (TRANSACTIONAL, BROADCAST)


class Led(RuleBasedStateMachine):
    """A quiet world in which only the rules let something go wrong."""

    @initialize(seed=st.integers(0, 1000))
    def begin(self, seed: int) -> None:
        self.world = World(Plan(lanes=LANES, relays=2), Random(seed))  # noqa: S311
        self.letters = 0

    @rule(
        lane=st.sampled_from(LANES),
        nature=st.sampled_from((GOOD, GOOD, *NATURES)),
        lives=st.sampled_from((NEVER, NEVER, 1.0, 300.0)),
        policy=st.sampled_from((None, "resend", "hold")),
    )
    def enqueue(self, lane: str, nature: str, lives: float, policy: str | None) -> None:
        self.letters += 1
        letter = Letter(self.letters, lane, nature, expires_at=self.world.now + lives, on_unknown=policy)
        self.world.spawn(self.world.outside, f"application {letter.id}", application.send(self.world, letter))

    @rule(place=st.integers(0, 20))
    def cancel(self, place: int) -> None:
        if self.world.acknowledged:
            mail = self.world.acknowledged[place % len(self.world.acknowledged)]
            self.world.spawn(self.world.outside, "canceler", application.cancel(self.world, mail))

    @rule(place=st.integers(0, 20), seconds=st.floats(0.0, 100.0))
    def hold(self, place: int, seconds: float) -> None:
        if self.world.acknowledged:
            mail = self.world.acknowledged[place % len(self.world.acknowledged)]
            steps = application.hold_for_a_while(self.world, mail, 0.0, seconds)
            self.world.spawn(self.world.outside, "holder", steps)

    @rule(place=st.integers(0, 20))
    def replay(self, place: int) -> None:
        if self.world.acknowledged:
            mail = self.world.acknowledged[place % len(self.world.acknowledged)]
            self.world.spawn(self.world.outside, "replayer", application.replay(self.world, mail))

    @rule(steps=st.integers(1, 20))
    def go_on(self, steps: int) -> None:
        for _ in range(steps):
            self.world.step()

    @rule(place=st.integers(0, 20))
    def let_one_go_first(self, place: int) -> None:
        ready = self.world.hurried()
        if ready:
            self.world.hurry(ready[place % len(ready)])

    @rule(place=st.integers(0, 20))
    def kill(self, place: int) -> None:
        process = self.world.processes[place % len(self.world.processes)]
        if process.actors:
            self.world.kill(process, "a rule")

    @rule(place=st.integers(0, 20), seconds=st.floats(0.0, FREEZE))
    def freeze(self, place: int, seconds: float) -> None:
        ready = self.world.hurried()
        if ready:
            self.world.freeze(ready[place % len(ready)], seconds)

    @rule(behaviour=st.sampled_from(sorted(BEHAVIOURS)))
    def the_provider_misbehaves(self, behaviour: str) -> None:
        self.world.provider.next.append(behaviour)

    @rule(fails=st.booleans())
    def searches_fail(self, fails: bool) -> None:
        self.world.provider.search_fails = float(fails)

    @rule(seconds=st.floats(0.0, 60.0))
    def the_database_crashes(self, seconds: float) -> None:
        self.world.store.crash(seconds)

    @rule(seconds=st.floats(0.0, 60.0), wiped=st.booleans())
    def the_broker_restarts(self, seconds: float, wiped: bool) -> None:
        self.world.broker.restart(seconds, wiped=wiped)

    @rule(seconds=st.floats(1.0, 500.0))
    def time_passes(self, seconds: float) -> None:
        ends = self.world.now + seconds
        while self.world.until() < ends:
            self.world.step()
        self.world.set_time(ends)

    @invariant()
    def every_mail_has_one_owner(self) -> None:
        promises.owned_once(self.world.store)

    @invariant()
    def every_event_is_explained(self) -> None:
        for mail in self.world.store.mail.values():
            promises.explained(self.world.store, mail)
            promises.fair(mail, self.world.provider.own_failures)

    def teardown(self) -> None:
        world = self.world
        world.provider.search_fails = 0.0
        world.provider.next.clear()
        world.misfortunes.happened = 100
        world.changed()
        drain(world)
        check(world)


TestLed = Led.TestCase
TestLed.settings = settings(
    derandomize=True,
    max_examples=250,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
