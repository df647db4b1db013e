"""docs/statuses.md says what the machine does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from atum_schema.status import BIRTH, ENDED, PROVEN, TRANSITIONS, WAITING, Cause, Status

TEXT: Final = (Path(__file__).parents[2] / "docs" / "statuses.md").read_text()
WORD: Final = re.compile(r"`([a-z_]+)`")


def rows(heading: str) -> list[list[str]]:
    section = TEXT.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def words(cell: str) -> set[Status]:
    return {Status(word) for word in WORD.findall(cell)}


def documented() -> dict[Cause, dict[Status, Status]]:
    moves: dict[Cause, dict[Status, Status]] = {}
    for cause, _, origins, target in rows("Causes and transitions"):
        (name,) = WORD.findall(cause)
        to = words(target)
        moves[Cause(name)] = {origin: status for origin in words(origins) for status in to}
    return moves


def test_every_status_has_a_row_with_its_meaning_and_no_other_has() -> None:
    found = [WORD.findall(row[0]) for row in rows("Statuses")]
    assert sorted(found) == sorted([status.value] for status in Status)
    assert all(len(row[1]) > 20 for row in rows("Statuses"))


def test_the_groups_are_those_of_the_code() -> None:
    groups = {WORD.sub(r"\1", row[0]): row[2] for row in rows("Statuses")}
    for status in Status:
        ended = "proven" if status in PROVEN else "ended"
        expected = "waiting" if status in WAITING else ended if status in ENDED else "unsettled"
        assert groups[status.value] == expected


def test_every_cause_has_a_row_with_its_meaning_and_no_other_has() -> None:
    table = rows("Causes and transitions")
    assert sorted(WORD.findall(row[0])[0] for row in table) == sorted(cause.value for cause in Cause)
    assert all(len(row[1]) > 10 for row in table)


def test_the_transitions_are_those_of_the_machine() -> None:
    moving = {
        cause: {
            status: target
            for (status, known), target in TRANSITIONS.items()
            if known is cause and target is not status
        }
        for cause in Cause
    }
    assert documented() == moving


def test_the_births_are_those_of_the_machine() -> None:
    births = {
        Cause(WORD.findall(row[0])[0]): words(row[3])
        for row in rows("Causes and transitions")
        if row[2] == "birth"
    }
    assert births == {cause: {status} for cause, status in BIRTH.items()}
