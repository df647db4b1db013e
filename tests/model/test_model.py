"""With all rules on nothing is broken; each rule off, something is; beyond the bound there are duplicates."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.model import tables
from tests.model.case import Case
from tests.model.checker import explore
from tests.model.mutants import MUTANTS, SECOND_GUARDS
from tests.model.promises import Broken
from tests.model.rules import Rules
from tests.model.scope import Scope
from tests.model.scopes import BEYOND, SCOPES
from tests.model.state import Budget
from tests.model.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.model.mutants import Mutant
    from tests.model.state import Step
    from tests.model.state import World as State


@pytest.mark.parametrize("name", SCOPES)
def test_with_all_rules_on_nothing_is_broken(name: str) -> None:
    result = tables.of_scope(name)
    assert result.wrong is None, result.story()


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: f"{mutant.rule}-{mutant.broken}")
def test_without_a_rule_its_promise_is_broken(mutant: Mutant) -> None:
    result = tables.of_mutant(mutant)
    assert result.wrong == mutant.broken, result.story()


@pytest.mark.parametrize("rule", SECOND_GUARDS)
def test_without_a_second_guard_nothing_is_broken(rule: str) -> None:
    result = tables.of_scope("crash", rule)
    assert result.wrong is None, result.story()


def test_every_rule_has_its_mutant_and_every_promise_can_be_broken() -> None:
    assert {mutant.rule for mutant in MUTANTS} | SECOND_GUARDS.keys() == {rule.name for rule in fields(Rules)}
    assert {mutant.broken for mutant in MUTANTS} == set(Broken)


@pytest.mark.parametrize("case", BEYOND)
def test_beyond_the_bound_resend_makes_a_duplicate(case: str) -> None:
    result = tables.beyond(case, "resend")
    assert result.wrong == Broken.DUPLICATE, result.story()


@pytest.mark.parametrize("case", [case for case in BEYOND if case[:3] in {"(a)", "(b)", "(c)"}])
def test_hold_excludes_the_first_three_cases(case: str) -> None:
    result = tables.beyond(case, "hold")
    assert result.wrong is None, result.story()


@pytest.mark.parametrize("case", [case for case in BEYOND if case[:3] in {"(d)", "(e)"}])
def test_hold_does_not_exclude_the_last_two_cases(case: str) -> None:
    result = tables.beyond(case, "hold")
    assert result.wrong == Broken.DUPLICATE, result.story()


def test_the_schedule_of_searches_is_as_short_as_it_can_be() -> None:
    shorter = Scope(workers=2, search_after=(1, 1))
    result = tables.explored(shorter, frozenset({Broken.DUPLICATE}))
    assert result.wrong == Broken.DUPLICATE, result.story()


class Reaching(World):
    """Takes a resend that ends well for broken: to see that it happens. Nobody gives a batch back, which is shorter."""

    def steps(self, state: State) -> Iterator[Step]:
        return (step for step in super().steps(state) if "gives batch" not in step.label)

    def broken(self, state: State) -> tuple[str, ...]:
        resent = any(mail.status == "sent" and mail.tries == 2 for mail in state.db.mails)
        return ("resent and sent",) if resent and not super().broken(state) else ()


def test_a_lost_post_is_resent_and_ends_as_sent_once() -> None:
    model = Reaching(Case(rules=Rules(), scope=Scope()))
    result = explore(model, promises={"resent and sent"})
    assert result.wrong == "resent and sent"
    assert any("resend" in label for label in result.trace)


# The schedule covers this freeze and this lag, if the index does not stop.
STALLED_AND_FROZEN = replace(SCOPES["stalled index"].scope, reconcilers=1, freeze=2, lag=1)


def test_a_control_does_not_cover_what_is_accepted_after_it() -> None:
    # Why a stalled index together with a frozen last write counts as case (a).
    unstalled = tables.explored(replace(STALLED_AND_FROZEN, left=Budget()), frozenset({Broken.DUPLICATE}))
    assert unstalled.wrong is None, unstalled.story()
    result = tables.explored(STALLED_AND_FROZEN, frozenset({Broken.DUPLICATE}))
    assert result.wrong == Broken.DUPLICATE, result.story()


def test_a_control_of_its_own_for_each_round_covers_nearly_the_whole_settling() -> None:
    fresh = replace(STALLED_AND_FROZEN, fresh_control=True)
    result = tables.explored(fresh, frozenset({Broken.DUPLICATE}))
    assert result.wrong is None, result.story()


def test_the_tables_of_the_readme_are_those_of_the_model() -> None:
    readme = Path(__file__).with_name("README.md").read_text()
    assert readme.partition(tables.BEGIN)[2] == tables.generated(), "run `python -m tests.model`"
