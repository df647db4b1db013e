"""docs/metrics.md says what the catalogue says: every family of every part, its type, labels and help, and no others."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import promql_parser
import pytest
import yaml

from atum_ops.alerts.of_system import surroundings
from atum_ops.dashboards.queries import JOBS
from atum_schema.metrics_catalogue import FAMILIES, FIXED, OF_DATABASE
from atum_schema.metrics_family import EVERYWHERE, PREFIX, Kind
from atum_schema.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from atum_schema.metrics_family import Family

TEXT = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
SYSTEM = "The whole system, by the exporter"
PARTS = ("worker", "relay", "intake", "api", "webhooks", "exporter")


def table(heading: str) -> list[str]:
    """Give the rows of the first table under a heading."""
    section = TEXT.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    return rows[2:]


def rows(families: Iterable[Family]) -> list[str]:
    return [
        f"| `{family.full_name}` | {family.kind.value} | {labels(family)} | {family.help} |"
        for family in families
    ]


def labels(family: Family) -> str:
    return ", ".join(f"`{label}`" for label in family.labels) or "–"


def of(part: str) -> list[Family]:
    """Give the families of a part that not all have, without those of the database."""
    return [
        family
        for family in FAMILIES
        if part in family.parts and family.parts != EVERYWHERE and family not in OF_DATABASE
    ]


def test_the_page_is_about_all_parts() -> None:
    assert set(PARTS) == EVERYWHERE


def test_families_of_every_part_are_listed_once() -> None:
    assert table("Every part") == rows(family for family in FAMILIES if family.parts == EVERYWHERE)


@pytest.mark.parametrize("part", PARTS)
def test_the_families_of_a_part_are_listed_as_they_are_and_no_others(part: str) -> None:
    assert table(f"`{part}`") == rows(of(part))


def test_the_families_of_the_database_are_listed_as_they_are_and_no_others() -> None:
    assert table(SYSTEM) == rows(OF_DATABASE)


def test_no_family_is_forgotten_and_none_is_named_that_does_not_exist() -> None:
    known = {family.full_name for family in FAMILIES}
    assert set(re.findall(rf"`({PREFIX}[a-z_]+)`", TEXT)) == known
    mentioned = set(re.findall(rf"\b{PREFIX}[a-z_]*[a-z]\b", TEXT))
    assert mentioned - known == set()


def test_the_values_of_fixed_labels_are_those_of_the_catalogue() -> None:
    found = {
        cells[1].strip("` "): tuple(re.findall(r"`([^`]+)`", cells[2]))
        for cells in (row.split("|") for row in table("Values of labels"))
    }
    assert found == FIXED
    used = {label for family in FAMILIES for label in family.labels}
    assert set(FIXED) <= used
    explained = set(re.findall(r"^\* `([a-z_]+)`:", TEXT, re.MULTILINE))
    assert used - set(FIXED) == explained


def test_the_buckets_are_those_of_the_catalogue() -> None:
    assert table("Buckets") == [
        f"| `{family.full_name}` | {', '.join(f'{bound:g}' for bound in family.buckets)} |"
        for family in FAMILIES
        if family.kind is Kind.HISTOGRAM
    ]


def test_every_setting_that_the_page_mentions_exists() -> None:
    named = {name.removesuffix("_FILE") for name in re.findall(r"ATUM_[A-Z_]+", TEXT)}
    assert named <= {f"ATUM_{name.upper()}" for name in Settings.model_fields}


def test_the_questions_of_the_page_are_promql() -> None:
    (sample,) = re.findall(r"^```promql\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
    questions = sample.split("\n\n")
    assert len(questions) >= 4
    for question in questions:
        promql_parser.parse(question)


def test_the_sample_for_prometheus_is_yaml_with_a_job_for_each_part() -> None:
    (sample,) = re.findall(r"^```yaml\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
    jobs = {job["job_name"]: job for job in yaml.safe_load(sample)["scrape_configs"]}
    assert set(jobs) == {f"atum-mailer-{part}" for part in PARTS}
    down = next(alert for alert in surroundings() if alert.name == "AtumTargetDown")
    assert f'job=~"{JOBS}"' in down.expr
    assert all(re.fullmatch(JOBS, job) for job in jobs), "alerts and dashboards see no others"
    port = Settings.model_fields["exporter_port"].default
    assert all(
        target.endswith(f":{port}")
        for config in jobs["atum-mailer-exporter"]["static_configs"]
        for target in config["targets"]
    )
