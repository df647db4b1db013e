"""`alerts render`: without a database from the environment, and with what is set in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from tests.command_line import run
from tests.prometheus.tools import ALERTMANAGER, RULES

if TYPE_CHECKING:
    from pathlib import Path

    from tests.command_line import Place


@pytest.mark.parametrize(("what", "path"), [("rules", RULES), ("alertmanager", ALERTMANAGER)])
def test_without_any_setting_it_renders_what_is_committed(what: str, path: Path) -> None:
    answer = run("alerts", "render", "--what", what)
    assert (answer.status, answer.err) == (0, "")
    assert answer.out == path.read_text()
    same = run("alerts", "render", "--what", what, "--check", path)
    assert (same.status, same.out) == (0, "")


def test_a_file_that_differs_is_shown_in_short_and_is_exit_status_1(tmp_path: Path) -> None:
    path = tmp_path / "rules.yml"
    written = run("alerts", "render", "--output", path, ATUM_ALERT_QUEUE_BACKLOG_THRESHOLD="150")
    assert (written.status, written.out) == (0, "")
    answer = run("alerts", "render", "--check", path)
    assert answer.status == 1
    assert "-#   ATUM_ALERT_QUEUE_BACKLOG_THRESHOLD=150" in answer.out
    assert "+#   ATUM_ALERT_QUEUE_BACKLOG_THRESHOLD=100" in answer.out
    path.write_text("groups: []\n" * 500)
    long = run("alerts", "render", "--check", path)
    assert long.status == 1
    assert len(long.out.splitlines()) <= 41
    assert "lines more" in long.out


def test_live_goes_by_what_is_stored(place: Place) -> None:
    stored = place.run("settings", "set", "alert_queue_backlog_threshold=170", "--yes")
    assert stored.status == 0, stored.err
    live = yaml.safe_load(place.run("alerts", "render", "--live").out)
    plain = yaml.safe_load(place.run("alerts", "render").out)
    found = [
        rule["expr"]
        for rendered in (live, plain)
        for group in rendered["groups"]
        for rule in group["rules"]
        if rule["alert"] == "AtumBacklogHigh"
    ]
    assert [expr.rpartition(" ")[2] for expr in found] == ["170", "100"]


def test_channels_can_be_left_out() -> None:
    answer = run("alerts", "render", "--what", "alertmanager", "--channel", "email")
    kinds = {kind for each in yaml.safe_load(answer.out)["receivers"] for kind in each if kind != "name"}
    assert kinds == {"email_configs"}


def test_wrong_usage_and_a_folder_that_is_not_there_are_said(tmp_path: Path) -> None:
    assert run("alerts", "render", "--channel", "email").status == 2
    assert run("alerts", "render", "--output", tmp_path / "a", "--check", RULES).status == 2
    answer = run("alerts", "render", "--output", tmp_path / "missing" / "rules.yml")
    assert answer.status == 1
    assert "cannot write" in answer.err
    assert "Traceback" not in answer.err


def test_live_without_a_database_is_an_error_of_one_line() -> None:
    answer = run("alerts", "render", "--live")
    assert answer.status == 1
    assert "ATUM_DATABASE_URL" in answer.err
