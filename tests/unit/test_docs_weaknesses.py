"""docs/weaknesses.md has a row for every weakness, with tests that exist or the reason why it cannot happen."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
TEXT: Final = (ROOT / "docs" / "weaknesses.md").read_text()
TESTS: Final = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
IDS: Final = [
    *(f"A{number}" for number in range(1, 19)),
    *(f"B{number}" for number in range(1, 18)),
    *(f"C{number}" for number in range(6, 21)),
    *(f"E{number}" for number in range(1, 8)),
    *("F2", "F3", "F4", "F6"),
    *(f"G{number}" for number in range(1, 8)),
    *(f"H{number}" for number in range(6, 10)),
    *(f"I{number}" for number in range(1, 7)),
]
REASON: Final = "cannot happen: "
WORDS: Final = 6


def rows() -> list[list[str]]:
    lines = [line for line in TEXT.splitlines() if re.match(r"\| [A-I][0-9]+ \|", line)]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_every_weakness_has_its_row_and_its_answer() -> None:
    assert [row[0] for row in rows()] == IDS
    assert all(len(it) > 10 and len(here) > 10 for _, it, here, _ in rows())


def test_every_row_names_tests_that_exist_or_says_why_it_cannot_happen() -> None:
    for name, _, _, proof in rows():
        named = re.findall(r"`(test_\w+)`", proof)
        impossible = proof.startswith(REASON) and len(proof.split()) > WORDS
        assert named or impossible, name
        assert [one for one in named if f"def {one}(" not in TESTS] == [], name
