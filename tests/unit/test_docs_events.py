"""docs/events.md says what the code says, and names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from atum_schema.webhook import RANK, Kind

ROOT: Final = Path(__file__).parents[2]
TEXT: Final = (ROOT / "docs" / "events.md").read_text()
TESTS: Final = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
WEAKNESSES: Final = [*(f"D{number}" for number in range(1, 16)), *(f"C{number}" for number in range(1, 6))]


def rows(heading: str) -> list[list[str]]:
    section = TEXT.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


def test_every_kind_has_its_rank_and_its_meaning() -> None:
    documented = {row[0].strip("`"): (row[1], row[2]) for row in rows("Facts about recipients")}
    assert documented == {
        kind.value: (str(RANK[kind]) if kind in RANK else "–", meaning(kind)) for kind in Kind
    }


def meaning(kind: Kind) -> str:
    source = (ROOT / "schema" / "atum_schema" / "webhook.py").read_text()
    found = re.search(rf'{kind.name} = "{kind.value}"\n    """(.+)"""', source)
    assert found is not None
    return found[1]


def test_every_weakness_of_the_predecessor_has_tests_that_exist() -> None:
    table = rows("What the predecessor got wrong")
    assert [row[0] for row in table] == WEAKNESSES
    for name, _, _, tests in table:
        named = re.findall(r"`(test_\w+)`", tests)
        assert named, name
        missing = [one for one in named if f"def {one}(" not in TESTS]
        assert missing == [], name


def test_the_states_of_an_event_are_those_of_the_table() -> None:
    sql = (ROOT / "schema" / "atum_schema" / "migrations" / "0004_way_back.sql").read_text()
    known = re.search(r"webhook_inbox_state_known CHECK \(state IN \((.+)\)\)", sql)
    assert known is not None
    assert [row[0].strip("`") for row in rows("What becomes of an event")] == re.findall(r"'(\w+)'", known[1])
