"""docs/health.md explains every check, and no other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from atum_ops.health import checks
from atum_ops.health.findings import Verdict

TEXT = (Path(__file__).parents[2] / "docs" / "health.md").read_text()
SECTIONS = dict(
    zip(
        *[iter(re.split(r"^### `(.+)`$", TEXT.partition("## The checks")[2], flags=re.MULTILINE)[1:])] * 2,
        strict=True,
    )
)


def test_every_check_has_a_section_in_the_order_of_the_command() -> None:
    assert list(SECTIONS) == [check.name for check in checks.CHECKS]


@pytest.mark.parametrize("name", [check.name for check in checks.CHECKS])
def test_each_section_says_what_mends_it(name: str) -> None:
    assert "**Remedy**" in SECTIONS[name]


@pytest.mark.parametrize("verdict", Verdict)
def test_every_verdict_is_explained(verdict: Verdict) -> None:
    assert f"| `{verdict.value}` |" in TEXT


def test_names_of_checks_are_unique() -> None:
    names = [check.name for check in checks.CHECKS]
    assert len(set(names)) == len(names)
