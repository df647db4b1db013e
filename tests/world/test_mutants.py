"""The world can fail: it finds decisions that are made wrong on purpose."""

from __future__ import annotations

from itertools import count, takewhile

import pytest

from tests.world import rows
from tests.world.life import live
from tests.world.mutants import MUTANTS, Mutant
from tests.world.promises import Broken

SEEDS = 2000


def find(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> tuple[int, Broken] | None:
    """Give the first seed that the wrong decision breaks, and how."""
    monkeypatch.setattr(mutant.where, mutant.attribute, mutant.wrong)
    if mutant.attribute == "after" and mutant.where.__name__.endswith("status"):
        monkeypatch.setattr(rows, "after", mutant.wrong)
    for seed in takewhile(lambda number: number < SEEDS, count()):
        try:
            live(seed)
        except Broken as broken:
            return seed, broken
    return None


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_wrong_decision_is_found_within_two_thousand_seeds(
    mutant: Mutant, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = find(mutant, monkeypatch)
    assert found is not None, f"{mutant.name}: {SEEDS} seeds break nothing"
    print(f"{mutant.name}: seed {found[0]}, {found[1]}")  # noqa: T201
