"""Every rule is tested so well that nothing in it can be changed unnoticed: each mutant makes a test fail.

A rule is changed in one place at a time (`tests.prometheus.mutating`), and promtool runs the tests that name its alert.
"""

from __future__ import annotations

import json
import os
import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import yaml

from tests.prometheus.mutating import Mutant, mutants
from tests.prometheus.tools import TESTS, groups, run, said

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

_ALL_ZERO = "a sum is 0 exactly where the largest is"
_ANY = "only whether there is any counts, not how many"

EQUIVALENT = {
    r"AtumNo(Relay|Worker): max → sum": _ALL_ZERO,
    r"AtumMuting of AtumNo(Relay|Worker): max → sum": _ALL_ZERO,
    r"(AtumMuting of )?AtumDatabaseDown: max → sum": _ALL_ZERO,
    r"AtumWebhookRejecting: \+ → -": "half or more: refused / (refused - stored) is above 0 in the same cases",
    r"AtumTaskFailing: max → sum": _ALL_ZERO,
    r"AtumBrokerDown: max → sum in `and": _ALL_ZERO,
    r"AtumNoIntake: max → sum in `and": _ALL_ZERO,
    r'AtumBrokerDown: without broker_state of "away"': "where none is connected or blocked, all are away",
    r"AtumAlertDeliveryFailing: sum → max": _ANY,
    r"AtumMuting of AtumProvider\w+: (sum → max|max → sum|by without)": _ANY,
    r"AtumWatchdog: 1 → ": "its value is not told",
    r"AtumWatchdog: keep_firing_for": "its condition never ends",
    r"AtumFailure\w+: >= → > in `\)\s+>= sum": "where as many failed as finished, either of them is the base",
}
"""Mutants that say the same as their rule, by the beginning of their names, with the reason."""


class Case(NamedTuple):
    """The tests of one alert, one to a file, and all rules of its name."""

    alert: str
    rules: Sequence[dict[str, Any]]
    tests: Sequence[dict[str, Any]]


def cases() -> list[Case]:
    """Give each alert with its rules and those of its tests that name it."""
    rules = [rule for group in groups() for rule in group["rules"]]
    files = [yaml.safe_load(path.read_text()) for path in TESTS]
    names = dict.fromkeys(rule["alert"] for rule in rules)
    return [
        Case(name, [rule for rule in rules if rule["alert"] == name], [*_about(files, name)])
        for name in names
    ]


def _about(files: Sequence[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """Give a file for each test that names an alert, without what it says of others."""
    found = []
    for file in files:
        for test in file["tests"]:
            looks = [look for look in test["alert_rule_test"] if look["alertname"] == name]
            if looks:
                found.append({**file, "tests": [{**test, "alert_rule_test": looks}]})
    # Those that say least come last.
    return sorted(found, key=lambda file: not file["tests"][0]["input_series"])


def survivors(case: Case, folder: Path) -> tuple[int, list[str]]:
    """Give how many mutants of an alert there are, and the names of those that no test notices."""
    made = [
        (mutant, [*case.rules[:place], mutant.rule, *case.rules[place + 1 :]])
        for place, rule in enumerate(case.rules)
        for mutant in mutants(rule)
    ]
    for number, (_, rules) in enumerate(made):
        _write(folder / f"{number}.rules.yml", {"groups": [{"name": "mutated", "rules": rules}]})
    alive = list(range(len(made)))
    # What one test has killed need not be shown to the next.
    for test in case.tests:
        alive = _passing(alive, test, folder)
    return len(made), [_name(case, made[number][0]) for number in alive]


def _passing(numbers: Sequence[int], test: dict[str, Any], folder: Path) -> list[int]:
    """Give those of the numbered rules that pass a test; a process of promtool for each core."""
    for number in numbers:
        _write(folder / f"{number}.test.yml", {**test, "rule_files": [f"{number}.rules.yml"]})
    cores = os.cpu_count() or 1
    with ThreadPoolExecutor(cores) as pool:
        passed = pool.map(lambda some: _passed(some, folder), [numbers[core::cores] for core in range(cores)])
        return sorted(number for some in passed for number in some)


def _passed(numbers: Sequence[int], folder: Path) -> list[int]:
    if not numbers:
        return []
    done = run("promtool", "test", "rules", *(folder / f"{number}.test.yml" for number in numbers))
    # A mutant that Prometheus does not take is not one that a test has killed.
    assert not re.search("parse|yaml:", said(done)), said(done)
    verdicts = re.findall(r"(\d+)\.test\.yml\n( *SUCCESS)?", done.stdout)
    assert [int(number) for number, _ in verdicts] == [*numbers], said(done)
    return [int(number) for number, success in verdicts if success]


def _write(path: Path, document: object) -> None:
    """Write it as JSON, which is YAML."""
    path.write_text(json.dumps(document))


def _name(case: Case, mutant: Mutant) -> str:
    source = mutant.rule["labels"].get("source", "")
    return f"{case.alert}{source and f' of {source}'}: {mutant.name}"


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.alert)
def test_every_mutant_of_a_rule_makes_a_test_fail(
    case: Case, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    total, alive = survivors(case, tmp_path)
    record_property("mutants", total)
    assert total > 0
    assert "\n".join(name for name in alive if not any(re.match(same, name) for same in EQUIVALENT)) == ""
