"""Ten thousand small worlds in which everything goes wrong, and every promise is kept."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.world.life import live
from tests.world.promises import Broken

CHUNKS, CHUNK = 20, 500


def trace_of(seed: int) -> list[str]:
    """Live through a seed and give its trace."""
    trace: list[str] = []
    live(seed, trace)
    return trace


def check(seed: int) -> None:
    """Live through a seed; fail with the way to see it."""
    try:
        live(seed)
    except Broken as broken:
        pytest.fail(f"seed {seed}: {broken}\nsee it: python -m tests.world {seed}", pytrace=False)


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_every_promise_is_kept_whatever_goes_wrong(chunk: int) -> None:
    for seed in range(chunk * CHUNK, (chunk + 1) * CHUNK):
        check(seed)


def test_the_same_seed_lives_the_same_life() -> None:
    assert all(trace_of(seed) == trace_of(seed) for seed in range(20))


def test_a_life_does_not_depend_on_how_python_hashes() -> None:
    lives = {
        subprocess.run(
            [sys.executable, "-m", "tests.world", "27"],
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
            check=True,
            capture_output=True,
        ).stdout
        for seed in (1, 2)
    }
    assert len(lives) == 1


def test_the_cases_of_the_honest_bound_happen_and_are_named() -> None:
    named = set[str]()
    for seed in range(3000):
        named.update(case[0] for case in live(seed).excused)
        if len(named) == 3:
            break
    assert named == {"a", "b", "c"}
