"""Explorations, each made once, and the tables of the README that are made from them."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Final

from tests.model.case import Case
from tests.model.checker import explore
from tests.model.mutants import MUTANTS, SECOND_GUARDS
from tests.model.promises import Broken
from tests.model.rules import Rules
from tests.model.scopes import BEYOND, SCOPES
from tests.model.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.model.checker import Explored
    from tests.model.mutants import Mutant
    from tests.model.scope import Scope

BEGIN: Final = "<!-- made by `python -m tests.model`: do not edit below -->\n"


def without(*rules: str) -> Rules:
    """Give the rules with these off."""
    return replace(Rules(), **dict.fromkeys(rules, False))


@cache
def explored(scope: Scope, promises: frozenset[Broken], *off: str) -> Explored:
    """Explore a scope with some rules off; the same exploration is made once."""
    return explore(World(Case(rules=without(*off), scope=scope)), promises=promises)


def of_scope(name: str, *off: str) -> Explored:
    """Explore a named scope for all that is promised in it."""
    return explored(SCOPES[name].scope, SCOPES[name].promises, *off)


def of_mutant(mutant: Mutant) -> Explored:
    """Look for the promise that a mutant breaks."""
    return explored(SCOPES[mutant.scope].scope, frozenset({mutant.broken}), mutant.rule)


def beyond(case: str, policy: str) -> Explored:
    """Look for a duplicate beyond the bound, under a policy."""
    return explored(replace(BEYOND[case], policy=policy), frozenset({Broken.DUPLICATE}))


def generated() -> str:
    """Give the tables of the README."""
    return "\n".join(["", *_scopes(), "", *_mutants(), "", *_guards(), "", *_beyond(), ""])


def write(readme: Path) -> None:
    """Replace the tables of the README."""
    kept = readme.read_text().partition(BEGIN)[0]
    readme.write_text(kept + BEGIN + generated())


def _scopes() -> Iterator[str]:
    yield "## All rules on: nothing is broken"
    yield ""
    yield "| scope | what is in it | states | steps |"
    yield "|---|---|--:|--:|"
    for name, exploration in SCOPES.items():
        result = of_scope(name)
        yield f"| {name} | {exploration.about} | {result.states:,} | {result.steps:,} |"


def _mutants() -> Iterator[str]:
    yield "## One rule off: the shortest counterexample"
    yield ""
    yield "| rule off | scope | what breaks | steps | states seen |"
    yield "|---|---|---|--:|--:|"
    for mutant in MUTANTS:
        result = of_mutant(mutant)
        steps = f"{len(result.trace)} | {result.states:,}"
        yield f"| `{mutant.rule}` | {mutant.scope} | {result.wrong} | {steps} |"


def _guards() -> Iterator[str]:
    yield "## Second guards: off alone, nothing is broken"
    yield ""
    yield "| rule off | scope | why | states |"
    yield "|---|---|---|--:|"
    for rule, why in SECOND_GUARDS.items():
        yield f"| `{rule}` | crash | {why} | {of_scope('crash', rule).states:,} |"


def _beyond() -> Iterator[str]:
    yield "## Beyond the bound: is there a duplicate?"
    yield ""
    yield "| taken for granted, and not kept | `resend` | `hold` |"
    yield "|---|---|---|"
    for case in BEYOND:
        yield f"| {case} | {_verdict(beyond(case, 'resend'))} | {_verdict(beyond(case, 'hold'))} |"


def _verdict(result: Explored) -> str:
    return f"after {len(result.trace)} steps" if result.wrong else f"none in {result.states:,} states"
