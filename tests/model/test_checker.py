"""The checker finds what is wrong in models whose answers are known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.model.checker import STUCK, Step, TooManyStates, explore

if TYPE_CHECKING:
    from collections.abc import Iterator


class Counter:
    """Counts up by one or two to a limit, and falls into a pit at one number."""

    def __init__(self, *, limit: int, bad: int = -1, pit: int = -1) -> None:
        self.limit, self.bad, self.pit = limit, bad, pit

    def start(self) -> int:
        return 0

    def steps(self, state: int) -> Iterator[Step[int]]:
        if state == self.pit:
            return
        for by in (1, 2):
            if state + by <= self.limit:
                over = ("over",) if state + by == self.limit else ()
                yield Step(f"add {by}", state + by, over)

    def key(self, state: int) -> int:
        return state

    def broken(self, state: int) -> tuple[str, ...]:
        return ("bad",) if state == self.bad else ()

    def ended(self, state: int) -> bool:
        return state == self.limit


def test_a_search_without_a_find_sees_every_state_and_step_once() -> None:
    result = explore(Counter(limit=10), promises={"bad", STUCK})
    assert (result.wrong, result.states, result.steps) == (None, 11, 19)


def test_a_broken_state_is_found_by_a_shortest_way() -> None:
    result = explore(Counter(limit=10, bad=7), promises={"bad"})
    assert result.wrong == "bad"
    assert len(result.trace) == 4
    assert sum(int(label.removeprefix("add ")) for label in result.trace) == 7


def test_a_step_that_breaks_a_promise_is_found_though_its_state_is_known() -> None:
    result = explore(Counter(limit=3), promises={"over"})
    assert result.wrong == "over"
    assert sum(int(label.removeprefix("add ")) for label in result.trace) == 3


def test_promises_that_nobody_asked_for_are_ignored() -> None:
    assert explore(Counter(limit=10, bad=7), promises={"over"}).wrong == "over"
    assert explore(Counter(limit=10, bad=7), promises={STUCK}).wrong is None


def test_a_state_without_a_way_to_an_end_is_stuck() -> None:
    result = explore(Counter(limit=10, pit=4), promises={STUCK})
    assert result.wrong == STUCK
    assert result.trace == ("add 2", "add 2")


def test_a_story_numbers_the_steps() -> None:
    story = explore(Counter(limit=10, bad=2), promises={"bad"}).story()
    assert story == "bad, 1 steps, 3 states seen:\n  1. add 2"


def test_a_search_that_grows_too_large_is_an_error() -> None:
    with pytest.raises(TooManyStates, match="more than 5 states"):
        explore(Counter(limit=10), promises=set(), most=5)
