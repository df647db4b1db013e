"""Grafana's dashboards: as generated, whole, explained, and placed without overlaps."""

from __future__ import annotations

import json
import re
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from atum_ops.cli import cli
from atum_ops.dashboards.dashboard import COLUMNS, places
from atum_ops.dashboards.files import dashboards, files
from atum_ops.dashboards.panel import Query, lines
from atum_schema.settings import Settings
from tests.dashboards import FOLDER, committed, legend_labels, panels

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "dashboards.md").read_text()
ALL = committed()
# Grafana's ids of units, besides those that are written out as `suffix:mails/s`.
UNITS = {"short", "s", "percent", "percentunit", "bytes", "reqps", "dateTimeAsIso"}
SOURCE = {"type": "prometheus", "uid": "${datasource}"}


def cells(place: dict[str, int]) -> set[tuple[int, int]]:
    return {
        (x, y)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    }


def test_what_is_committed_is_what_is_generated() -> None:
    found = {path.name: path.read_text() for path in (FOLDER / "dashboards").iterdir()}
    assert found == files(), "run `make rendered`"


def test_the_command_writes_the_same_files_and_names_them(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    answer = CliRunner().invoke(cli, ["dashboards", "--output", str(folder)])
    assert answer.exit_code == 0
    assert {path.name: path.read_text() for path in folder.iterdir()} == files()
    assert answer.output.splitlines() == [str(folder / name) for name in files()]


def test_a_folder_that_cannot_be_written_to_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    answer = CliRunner().invoke(cli, ["dashboards", "--output", str(tmp_path / "file" / "below")])
    assert answer.exit_code == 1
    assert str(answer.exception) == f"cannot write to {tmp_path / 'file' / 'below'}: Not a directory"


def test_dashboards_have_uids_and_titles_of_their_own_and_their_files_the_uids_names() -> None:
    assert [f"{dashboard['uid']}.json" for dashboard in ALL.values()] == list(ALL)
    assert max(Counter(dashboard["title"] for dashboard in ALL.values()).values()) == 1
    # Grafana's limit of a uid.
    assert all(re.fullmatch(r"[a-z-]{1,40}", dashboard["uid"]) for dashboard in ALL.values())


@pytest.mark.parametrize("name", ALL)
def test_panels_have_numbers_and_titles_of_their_own_and_do_not_overlap(name: str) -> None:
    found = ALL[name]["panels"]
    for what in ("id", "title"):
        assert max(Counter(panel[what] for panel in found).values()) == 1
    assert all(0 <= one["gridPos"]["x"] <= COLUMNS - one["gridPos"]["w"] for one in found)
    overlaps = [
        (one["title"], other["title"])
        for one, other in combinations(found, 2)
        if cells(one["gridPos"]) & cells(other["gridPos"])
    ]
    assert overlaps == []


@pytest.mark.parametrize("name", ALL)
def test_no_hole_is_left_between_panels(name: str) -> None:
    found = [one["gridPos"] for one in ALL[name]["panels"]]
    bottom = max(place["y"] + place["h"] for place in found)
    assert sum(place["w"] * place["h"] for place in found) == COLUMNS * bottom


def test_a_panel_goes_as_far_up_as_it_fits() -> None:
    def of(width: int, height: int) -> Any:
        return lines("x", "x", Query("x", "x"), width=width, height=height)

    found = places((of(12, 8), of(6, 4), of(6, 4), of(12, 4), of(24, 1)), 3)
    assert [(place["x"], place["y"]) for place in found] == [(0, 3), (12, 3), (18, 3), (12, 7), (0, 11)]
    # Free at its corner is not enough.
    found = places((of(6, 4), of(18, 8), of(12, 4)), 0)
    assert [(place["x"], place["y"]) for place in found] == [(0, 0), (6, 0), (0, 8)]


@pytest.mark.parametrize("name", ALL)
def test_each_panel_explains_itself_and_has_a_unit_and_the_chosen_source(name: str) -> None:
    for panel in panels(ALL[name]):
        assert re.fullmatch(r"[A-Z].{15,}[.)]", panel["description"])
        assert panel["description"] != panel["title"]
        unit = panel["fieldConfig"]["defaults"]["unit"]
        assert unit in UNITS or re.fullmatch(r"suffix:[a-z]+/s", unit)
        assert panel["datasource"] == SOURCE
        assert [target["datasource"] for target in panel["targets"]] == [SOURCE] * len(panel["targets"])
        assert [target["refId"] for target in panel["targets"]] == list("ABCDE"[: len(panel["targets"])])


@pytest.mark.parametrize("name", ALL)
def test_no_two_series_of_a_panel_share_a_name(name: str) -> None:
    for panel in panels(ALL[name]):
        legends = [target["legendFormat"] for target in panel["targets"]]
        assert all(legends)
        assert len(set(legends)) == len(legends)


@pytest.mark.parametrize("name", ALL)
def test_what_is_said_of_now_is_asked_of_now(name: str) -> None:
    for panel in panels(ALL[name]):
        of_now = panel["type"] in {"stat", "bargauge", "table"}
        # Over hours, `lastNotNull` is the last value of an exporter that died.
        assert {(target["instant"], target["range"]) for target in panel["targets"]} == {(of_now, not of_now)}
        # It is also what stands there instead of a number.
        assert not of_now or panel["fieldConfig"]["defaults"]["noValue"]


@pytest.mark.parametrize("name", ALL)
def test_colour_never_says_something_alone(name: str) -> None:
    for panel in panels(ALL[name]):
        mappings = panel["fieldConfig"]["defaults"]["mappings"]
        for mapping in mappings:
            texts = [option["text"] for option in mapping["options"].values()]
            assert all(texts)
            assert len(set(texts)) == len(texts)
        if panel["type"] == "state-timeline":
            assert mappings
            assert panel["options"]["showValue"] == "auto"
        if panel["type"] == "timeseries":
            # Lines that are limits are dashed, and named.
            assert panel["options"]["legend"]["showLegend"]
            dashed = [override["matcher"]["options"] for override in panel["fieldConfig"]["overrides"]]
            assert set(dashed) <= {target["legendFormat"] for target in panel["targets"]}


@pytest.mark.parametrize("name", ALL)
def test_settings_and_pages_that_descriptions_name_exist(name: str) -> None:
    for panel in panels(ALL[name]):
        names = re.findall(r"ATUM_[A-Z0-9_]+", panel["description"])
        assert [
            name for name in names if name.removeprefix("ATUM_").lower() not in Settings.model_fields
        ] == []
        pages = re.findall(r"docs/[a-z-]+\.md", panel["description"])
        assert [page for page in pages if not (ROOT / page).exists()] == []


@pytest.mark.parametrize("name", ALL)
def test_each_dashboard_has_the_data_source_as_a_variable_and_no_variable_that_it_does_not_use(
    name: str,
) -> None:
    dashboard = ALL[name]
    first, *others = dashboard["templating"]["list"]
    assert (first["name"], first["type"], first["query"]) == ("datasource", "datasource", "prometheus")
    text = json.dumps(dashboard["panels"])
    used = set(re.findall(r"\$(?!__)\{?(\w+)\}?", text)) - {"datasource"}
    assert used == {variable["name"] for variable in others}
    assert all(variable["datasource"] == SOURCE for variable in others)


@pytest.mark.parametrize("name", ALL)
def test_each_dashboard_shows_six_hours_anew_every_half_minute_with_one_crosshair(name: str) -> None:
    dashboard = ALL[name]
    assert dashboard["time"] == {"from": "now-6h", "to": "now"}
    assert dashboard["refresh"] == "30s"
    assert dashboard["graphTooltip"] == 1
    assert dashboard["tags"] == ["atum-mailer"]
    assert dashboard["links"][0]["tags"] == dashboard["tags"]


def test_a_legend_names_labels_as_grafana_reads_them() -> None:
    assert legend_labels("{{lane}} {{account}}: in flight") == {"lane", "account"}
    assert legend_labels("in flight") == set()


def test_the_sample_of_provisioning_names_a_folder_and_a_source_of_the_right_type() -> None:
    found = {path.name: yaml.safe_load(path.read_text()) for path in (FOLDER / "provisioning").iterdir()}
    provider = found["dashboards.yml"]["providers"][0]
    assert (provider["type"], bool(provider["options"]["path"])) == ("file", True)
    assert provider["options"]["path"] in PAGE
    assert found["datasources.yml"]["datasources"][0]["type"] == "prometheus"


def test_the_page_names_every_dashboard_and_every_row_and_no_others() -> None:
    parts = re.split(
        r"^### (.+) \(`([\w-]+)`\)$", PAGE.partition("\n## The dashboards\n")[2], flags=re.MULTILINE
    )
    sections = {uid: (title, text) for title, uid, text in zip(*[iter(parts[1:])] * 3, strict=True)}
    assert list(sections) == [one.uid for one in dashboards()]
    for one in dashboards():
        title, text = sections[one.uid]
        assert title == one.title
        rows = re.findall(r"^- \*\*(.+?)\*\*", text, re.MULTILINE)
        assert rows == [row.title for row in one.rows]
