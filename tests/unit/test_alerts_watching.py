"""Laws of `alerts watch`: when an alert fires and ends, and who is told, whatever conditions and receivers do."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from atum_ops.alerts import watching
from atum_ops.alerts.alert import Alert, Area, Seen, Severity
from atum_ops.alerts.breach import Kind
from atum_ops.alerts.watching import Heard, Known, Listener, Memory, Pace
from atum_ops.signals.snapshot import Snapshot

COOLDOWN_S = 3600.0
#: The laws need many cooldowns.
SHORT_S = 600.0
EVERY_S = 30.0
PACE = Pace(COOLDOWN_S, EVERY_S)
LISTENERS = (Listener("a"), Listener("b"), Listener("backlog:c", frozenset({Area.BACKLOG})))


def alert(name: str, severity: Severity, area: Area, for_s: int) -> Alert:
    """An alert whose condition is met while the snapshot's `deferrals` hold its name; blind without a snapshot."""
    return Alert(
        name=name,
        severity=severity,
        area=area,
        summary=f"{name}.",
        description="{{ $value }}",
        expr="",
        for_s=for_s,
        threshold=1,
        look=lambda seen: None if seen.now is None else seen.now.deferrals.get(name),
    )


DOWN = Alert(
    "AtumDatabaseDown",
    Severity.CRITICAL,
    Area.DATABASE,
    "Away.",
    "Away.",
    "",
    120,
    1,
    lambda seen: 0.0 if seen.now is None else None,
)
ALERTS = (
    alert("Backlog", Severity.WARNING, Area.BACKLOG, 120),
    alert("BacklogCritical", Severity.CRITICAL, Area.BACKLOG, 60),
    alert("Bounces", Severity.WARNING, Area.REPUTATION, 0),
    DOWN,
)
NAMES = tuple(one.name for one in ALERTS)


class Taken(NamedTuple):
    """A notice, and whether it was taken."""

    at: float
    name: str
    receiver: str
    kind: Kind
    failed: bool
    id: str


class World:
    """The decisions, in the order in which the watcher asks for them, and a clock."""

    def __init__(self, cooldown_s: float = COOLDOWN_S) -> None:
        self.pace = Pace(cooldown_s, EVERY_S)
        self.at = 1_000_000.0
        self.memory = Memory()
        self.tries: list[Taken] = []
        #: Of each alert, the times at which it was met, and those at which it was not.
        self.looks: list[tuple[float, frozenset[str], bool]] = []

    def step(
        self,
        met: frozenset[str] | set[str] = frozenset(),
        *,
        failing: frozenset[str] | set[str] = frozenset(),
        away: bool = False,
        wait_s: float = EVERY_S,
    ) -> list[Taken]:
        self.at += wait_s
        now = None if away else Snapshot(at=self.at, deferrals=dict.fromkeys(met, 7))
        self.looks.append((self.at, frozenset(met), away))
        known = watching.looked(ALERTS, self.memory.alerts, Seen(now), self.at, self.pace)
        memory = Memory(known, dict(self.memory.heard))
        new = []
        heard = dict(memory.heard)
        for due in watching.due(ALERTS, memory, LISTENERS, self.at, self.pace):
            failure = "HTTP 503" if due.receiver in failing else None
            key = (due.alert.name, due.receiver)
            heard[key] = watching.told(due, heard.get(key), self.at, failure)
            new.append(Taken(self.at, due.alert.name, due.receiver, due.kind, failure is not None, due.id))
        self.memory = watching.tidied(ALERTS, memory._replace(heard=heard), LISTENERS, self.at, self.pace)
        self.tries += new
        return new

    def steps(self, seconds: float, met: set[str] | None = None, **how: Any) -> list[Taken]:
        """Let time pass with the same conditions."""
        tries = []
        for _ in range(int(seconds / EVERY_S)):
            tries += self.step(met or set(), **how)
        return tries

    def pauses(self, name: str, since: float, until: float) -> list[float]:
        """For how long its condition was not met, each time, between two moments."""
        pauses, last_met = [0.0], since
        for at, met, away in self.looks:
            if away if name == DOWN.name else name in met and not away:
                last_met = at
            if since <= at <= until:
                pauses.append(at - last_met)
        return pauses

    def taken(self, name: str, receiver: str) -> list[Taken]:
        return [one for one in self.tries if (one.name, one.receiver, one.failed) == (name, receiver, False)]


def kinds(tries: list[Taken], receiver: str = "a") -> list[Kind]:
    return [one.kind for one in tries if one.receiver == receiver]


stretches = st.lists(
    st.tuples(
        st.integers(1, 25),
        st.frozensets(st.sampled_from(NAMES[:3])),
        st.frozensets(st.sampled_from(["a", "b", "backlog:c"])),
        st.booleans(),
    ),
    max_size=5,
)


lives = settings(deadline=None, max_examples=40)


def lived(story: list[tuple[int, frozenset[str], frozenset[str], bool]]) -> World:
    world = World(SHORT_S)
    for rounds, met, failing, away in story:
        for _ in range(rounds):
            world.step(met, failing=failing, away=away)
    return world


@lives
@given(stretches)
def test_no_receiver_is_told_twice_within_a_cooldown_that_an_alert_fires(story: Any) -> None:
    world = lived(story)
    for name in NAMES:
        for receiver in LISTENERS:
            told = [one.at for one in world.taken(name, receiver.name) if one.kind is not Kind.RESOLVED]
            assert all(later - earlier >= SHORT_S for earlier, later in pairwise(told))


@lives
@given(stretches)
def test_an_end_is_told_once_to_those_who_were_told_the_beginning_and_to_nobody_else(story: Any) -> None:
    world = lived(story)
    for name in NAMES:
        for receiver in LISTENERS:
            believes = False
            for one in world.taken(name, receiver.name):
                assert believes == (one.kind is not Kind.FIRING), world.taken(name, receiver.name)
                believes = one.kind is not Kind.RESOLVED


@lives
@given(stretches)
def test_everybody_who_was_told_of_an_alert_is_told_of_its_end(story: Any) -> None:
    world = lived(story)
    # All alerts that mute others have to end first, and then those that were muted.
    world.steps(2 * SHORT_S + 600)
    for name in NAMES:
        for receiver in LISTENERS:
            told = world.taken(name, receiver.name)
            assert not told or told[-1].kind is Kind.RESOLVED
    assert not world.memory.alerts


@lives
@given(stretches)
def test_a_receiver_that_failed_loses_no_alert_that_still_fires(story: Any) -> None:
    world = lived(story)
    world.steps(SHORT_S + 900, {"BacklogCritical", "Bounces"})
    for name in ("BacklogCritical", "Bounces"):
        for receiver in LISTENERS:
            if receiver.wants(next(one.area for one in ALERTS if one.name == name)):
                assert world.memory.heard[name, receiver.name].believes


@lives
@given(stretches)
def test_a_receiver_that_fails_is_no_others_concern(story: Any) -> None:
    with_failures = lived(story)
    alone = lived([(rounds, met, failing - {"a"}, away) for rounds, met, failing, away in story])
    without = lived([(rounds, met, failing & {"a"}, away) for rounds, met, failing, away in story])
    for name in NAMES:
        assert [one for one in with_failures.tries if one.receiver == "b"] == [
            one for one in alone.tries if one.receiver == "b"
        ]
        assert [one for one in with_failures.tries if one.receiver == "a"] == [
            one for one in without.tries if one.receiver == "a"
        ]
        del name


@lives
@given(stretches)
def test_an_end_means_that_the_condition_was_not_met_for_a_whole_cooldown_since_it_was_told(
    story: Any,
) -> None:
    world = lived(story)
    told_at: dict[tuple[str, str], float] = {}
    for one in world.tries:
        if one.kind is not Kind.RESOLVED and not one.failed:
            told_at[one.name, one.receiver] = one.at
        if one.kind is Kind.RESOLVED:
            since = told_at[one.name, one.receiver]
            assert max(world.pauses(one.name, since, one.at)) >= SHORT_S


@lives
@given(stretches)
def test_an_alert_begins_to_be_told_only_after_its_condition_was_met_without_a_pause(story: Any) -> None:
    world = lived(story)
    by_name = {one.name: one for one in ALERTS}
    for one in world.tries:
        if one.kind is Kind.REPEATED and one.name != DOWN.name:
            assert any(at == one.at and one.name in met for at, met, _ in world.looks)
        if one.kind is Kind.FIRING and one.name != DOWN.name:
            run = 0.0
            longest = 0.0
            last: float | None = None
            for at, met, away in world.looks:
                if at > one.at:
                    break
                if away:
                    continue
                run = (run + at - (last if last is not None else at)) if one.name in met else 0.0
                last = at if one.name in met else None
                longest = max(longest, run)
            assert longest >= by_name[one.name].for_s


@lives
@given(stretches)
def test_whatever_a_try_is_for_it_has_the_same_id_until_it_is_taken(story: Any) -> None:
    world = lived(story)
    taken: set[str] = set()
    for one in world.tries:
        assert one.id not in taken
        if not one.failed:
            taken.add(one.id)


@example({"Backlog": None}, {}, -1e12)
@given(
    st.dictionaries(st.sampled_from(NAMES), st.none() | st.floats(-1e12, 1e12)),
    st.dictionaries(st.sampled_from(NAMES), st.floats(-1e12, 1e12)),
    st.floats(-1e12, 1e12),
)
def test_decisions_are_total_whatever_is_remembered(fired: Any, met: Any, at: float) -> None:
    known = {
        name: Known(name, met.get(name, 0.0), fired_at, met.get(name, 0.0))
        for name, fired_at in fired.items()
    }
    heard = {(name, "a"): Heard(name, "a", Kind.FIRING, told_at) for name, told_at in met.items()}
    for seen in (Seen(None), Seen(Snapshot(at=at, deferrals={"Backlog": 1}))):
        after = watching.looked(ALERTS, known, seen, at, PACE)
        memory = Memory(after, heard)
        watching.due(ALERTS, memory, LISTENERS, at, PACE)
        watching.tidied(ALERTS, memory, LISTENERS, at, PACE)


def test_a_flap_inside_the_cooldown_tells_nobody() -> None:
    world = World()
    assert kinds(world.steps(120, {"Bounces"})) == [Kind.FIRING]
    for _ in range(8):
        assert world.steps(180) == []
        assert world.steps(180, {"Bounces"}) == []
    assert world.steps(COOLDOWN_S - EVERY_S) == []
    assert kinds(world.step() + world.step()) == [Kind.RESOLVED]


def test_an_alert_that_goes_on_is_told_again_after_each_cooldown() -> None:
    world = World()
    assert kinds(world.steps(3 * COOLDOWN_S, {"Bounces"})) == [Kind.FIRING, Kind.REPEATED, Kind.REPEATED]


def test_an_alert_that_only_waits_for_its_end_is_not_told_again() -> None:
    world = World()
    world.steps(COOLDOWN_S - 60, {"Bounces"})
    assert kinds(world.steps(COOLDOWN_S - EVERY_S)) == []
    assert kinds(world.step()) == [Kind.RESOLVED]


def test_a_receiver_that_fails_is_tried_again_more_and_more_seldom_and_the_cooldown_begins_when_it_takes_it() -> (
    None
):
    world = World()
    tries = world.steps(1800, {"Bounces"}, failing={"a"})
    times = [one.at for one in tries if one.receiver == "a"]
    waits = [later - earlier for earlier, later in pairwise(times)]
    assert waits[:5] == [30, 30, 60, 120, 300]
    assert set(waits[5:]) == {300}
    assert [one.kind for one in tries if one.receiver == "b"] == [Kind.FIRING]
    (late, *_) = [one for one in world.steps(330, {"Bounces"}) if one.receiver == "a"]
    assert not late.failed
    again = [one for one in world.steps(COOLDOWN_S + 60, {"Bounces"}) if one.receiver == "a"]
    assert [one.at - late.at for one in again] == [COOLDOWN_S]


def test_what_was_never_told_has_no_end_to_be_told() -> None:
    world = World()
    world.steps(600, {"Bounces"}, failing={"a"})
    tries = world.steps(2 * COOLDOWN_S, failing={"a"})
    assert set(kinds(tries)) == {Kind.FIRING}
    assert kinds(tries, "b") == [Kind.RESOLVED]
    assert world.steps(600) == []


def test_what_begins_anew_after_its_end_is_told_at_once() -> None:
    world = World()
    world.steps(60, {"Bounces"})
    world.steps(COOLDOWN_S + 60)
    assert kinds(world.step({"Bounces"})) == [Kind.FIRING]


def test_an_end_that_is_told_late_still_says_when_it_began() -> None:
    world = World()
    world.step({"Bounces"})
    known = world.memory.alerts["Bounces"]
    world.steps(COOLDOWN_S + 300, failing={"a", "b"})
    assert world.memory.alerts["Bounces"] == known


def test_what_waits_to_fire_waits_on_while_the_database_is_away_for_a_moment() -> None:
    world = World()
    world.step({"Backlog"})
    since = world.memory.alerts["Backlog"].since
    world.step(away=True)
    world.step({"Backlog"})
    assert world.memory.alerts["Backlog"].since == since


def test_what_is_urgent_is_told_first_and_ends_are_told_last() -> None:
    world = World()
    world.step({"Bounces"})
    world.steps(COOLDOWN_S - EVERY_S)
    later = {"Backlog": Known("Backlog", 0, 0, world.at + EVERY_S)}
    urgent = {DOWN.name: Known(DOWN.name, 0, 0, world.at - COOLDOWN_S + EVERY_S + 1)}
    heard = {(DOWN.name, "a"): Heard(DOWN.name, "a", None, None, 1)}
    memory = Memory({**world.memory.alerts, **later, **urgent}, {**world.memory.heard, **heard})
    found = watching.due(ALERTS, memory, [Listener("a")], world.at + EVERY_S, PACE)
    assert [(one.alert.name, one.kind) for one in found] == [
        (DOWN.name, Kind.FIRING),
        ("Backlog", Kind.FIRING),
        ("Bounces", Kind.RESOLVED),
    ]


def test_an_end_that_is_not_taken_is_tried_again() -> None:
    world = World()
    world.step({"Bounces"})
    failed = world.steps(COOLDOWN_S + 300, failing={"a"})
    assert set(kinds(failed)) == {Kind.RESOLVED}
    assert kinds(world.steps(600)) == [Kind.RESOLVED]


def test_an_end_is_told_even_if_the_condition_is_met_for_a_moment_meanwhile() -> None:
    world = World()
    everybody = {"a", "b", "backlog:c"}
    world.steps(300, {"Backlog"})
    world.steps(COOLDOWN_S + 300, failing=everybody)
    world.step({"Backlog"}, failing=everybody)
    assert kinds(world.steps(600)) == [Kind.RESOLVED]


def test_an_alert_that_comes_back_just_when_it_would_have_ended_goes_on() -> None:
    world = World()
    fired = world.steps(120, {"Bounces"})
    world.steps(COOLDOWN_S - EVERY_S)
    assert kinds(world.step({"Bounces"})) == [Kind.REPEATED]
    assert world.memory.alerts["Bounces"].fired_at == fired[0].at


def test_a_muted_alert_tells_nobody_until_what_mutes_it_is_over_for_a_moment() -> None:
    world = World()
    both = {"Backlog", "BacklogCritical"}
    assert {one.name for one in world.steps(1800, both)} == {"BacklogCritical"}
    tries = world.steps(600, {"Backlog"})
    assert {(one.name, one.kind) for one in tries} == {("Backlog", Kind.FIRING)}
    assert tries[0].at - (world.at - 600) > watching.MUTE_S


def test_a_muted_alert_whose_condition_ended_is_never_told() -> None:
    world = World()
    world.steps(1800, {"Backlog", "BacklogCritical"})
    assert {one.name for one in world.steps(3 * COOLDOWN_S)} == {"BacklogCritical"}


def test_a_receiver_of_an_area_is_told_of_that_area_alone() -> None:
    world = World()
    tries = world.steps(600, {"Bounces", "BacklogCritical"})
    assert {one.name for one in tries if one.receiver == "backlog:c"} == {"BacklogCritical"}


def test_without_a_database_nothing_changes_but_what_can_be_seen_without_it() -> None:
    world = World()
    world.steps(600, {"BacklogCritical"})
    before = world.memory.alerts["BacklogCritical"]
    tries = world.steps(900, away=True)
    assert {(one.name, one.kind) for one in tries} == {(DOWN.name, Kind.FIRING)}
    assert world.memory.alerts["BacklogCritical"] == before


def test_a_condition_that_nobody_watched_for_a_while_begins_anew() -> None:
    world = World()
    world.step({"Backlog"})
    world.step({"Backlog"}, wait_s=3 * EVERY_S)
    assert world.memory.alerts["Backlog"].since == world.at - 3 * EVERY_S
    world.step({"Backlog"}, wait_s=600)
    assert world.memory.alerts["Backlog"].since == world.at
    assert world.memory.alerts["Backlog"].fired_at is None


@pytest.mark.parametrize(("failures", "count"), [(2, 0), (3, 1)])
def test_a_receiver_is_deaf_from_the_third_try_on(failures: int, count: int) -> None:
    heard = {(name, "a"): Heard(name, "a", None, None, failures) for name in NAMES}
    assert watching.deaf(Memory({}, heard)) == count
