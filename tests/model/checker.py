"""An explicit-state model checker: breadth first, so that a counterexample is a shortest one.

A model is a start, the steps out of a state, and a key under which equal states are the same. A step may breach
promises by itself, a state may break them by what it is, and a state is stuck when no path leads from it to an end.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, NamedTuple, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Iterable

State = TypeVar("State")

STUCK: Final = "stuck"
"""The name of what is wrong with a state from which no path leads to an end."""


class Step(NamedTuple, Generic[State]):
    """One thing that may happen next."""

    #: What happens, as a sentence.
    label: str
    state: State
    #: Names of the promises that the step itself breaches.
    breaches: tuple[str, ...] = ()


class Model(Protocol[State]):
    """What the checker needs to know."""

    def start(self) -> State:
        """Give the state in which all begins."""
        ...

    def steps(self, state: State) -> Iterable[Step[State]]:
        """Give everything that may happen in a state; must be deterministic."""
        ...

    def key(self, state: State) -> Hashable:
        """Give the same value for states that differ by names only."""
        ...

    def broken(self, state: State) -> tuple[str, ...]:
        """Name the promises that a state breaks."""
        ...

    def ended(self, state: State) -> bool:
        """Say whether nothing is left to do."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Explored:
    """What a search came to."""

    #: States seen, equal ones counted once.
    states: int
    #: Steps taken, those into states seen before included.
    steps: int
    #: The promise that was found broken; None if none was and the search was complete.
    wrong: str | None
    #: The steps that lead there, as sentences.
    trace: tuple[str, ...]

    def story(self) -> str:
        """Tell the counterexample, one numbered step per line."""
        if self.wrong is None:
            return f"nothing wrong in {self.states} states, {self.steps} steps"
        lines = [f"{number:3}. {label}" for number, label in enumerate(self.trace, start=1)]
        return "\n".join([f"{self.wrong}, {len(lines)} steps, {self.states} states seen:", *lines])


class TooManyStates(Exception):
    """The search was cut off: its bound says that the model is no longer small."""


class _Search(Generic[State]):
    def __init__(self, model: Model[State], most: int) -> None:
        self.model = model
        self.most = most
        self.states: list[State] = []
        self.numbers: dict[Hashable, int] = {}
        self.origins: list[tuple[int, str]] = []
        self.before: list[list[int]] = []
        self.steps = 0

    def meet(self, state: State, origin: int, label: str) -> bool:
        """Note that `state` follows from state number `origin`; say whether it is new."""
        key = self.model.key(state)
        number = self.numbers.get(key)
        if number is not None:
            self.before[number].append(origin)
            return False
        if len(self.states) >= self.most:
            raise TooManyStates(f"more than {self.most} states")
        self.numbers[key] = len(self.states)
        self.states.append(state)
        self.origins.append((origin, label))
        self.before.append([origin])
        return True

    def trace(self, number: int, *last: str) -> tuple[str, ...]:
        labels = list(last)
        while number:
            number, label = self.origins[number]
            labels.append(label)
        return tuple(reversed(labels))

    def result(self, wrong: str | None, trace: tuple[str, ...] = ()) -> Explored:
        return Explored(states=len(self.states), steps=self.steps, wrong=wrong, trace=trace)

    def dead_end(self) -> int | None:
        """Give the first state from which no end can be reached; None if there is none."""
        alive = {number for number, state in enumerate(self.states) if self.model.ended(state)}
        waiting = deque(alive)
        while waiting:
            for origin in self.before[waiting.popleft()]:
                if origin not in alive:
                    alive.add(origin)
                    waiting.append(origin)
        return next((number for number in range(len(self.states)) if number not in alive), None)


def explore(model: Model[State], *, promises: Collection[str], most: int = 200_000) -> Explored:
    """Search all states, at most so many, for the first of these promises that is broken; others are ignored.

    That no state is stuck is looked at when nothing else was found. Raises `TooManyStates`.
    """
    search = _Search(model, most)

    def first(names: tuple[str, ...]) -> str | None:
        return next((name for name in names if name in promises), None)

    search.meet(model.start(), 0, "")
    number = 0
    while number < len(search.states):
        for label, state, breaches in model.steps(search.states[number]):
            search.steps += 1
            wrong = first(breaches) if breaches else None
            new = search.meet(state, number, label)
            if wrong is None and new:
                wrong = first(model.broken(state))
            if wrong is not None:
                return search.result(wrong, search.trace(number, label))
        number += 1
    stuck = search.dead_end() if STUCK in promises else None
    if stuck is not None:
        return search.result(STUCK, search.trace(stuck))
    return search.result(None)
