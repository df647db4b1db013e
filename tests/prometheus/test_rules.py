"""The committed rules are what the settings say, are sound, and pass all their tests."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import promql_parser
import pytest
import yaml

from atum_ops.alerts import rendering
from atum_ops.alerts.catalogue import alerts
from atum_ops.alerts.inhibition import MUTING, sources
from atum_ops.alerts.promql_layout import WIDTH, folded
from atum_ops.alerts.rule_file import duration
from atum_schema.metrics_catalogue import FAMILIES
from tests.prometheus.tools import PROMETHEUS, RULES, TESTS, groups, made_with, run, said

if TYPE_CHECKING:
    from pathlib import Path

    from atum_ops.alerts.alert import Alert

_ALL = alerts(made_with())


def test_the_committed_rules_are_what_the_defaults_say() -> None:
    assert RULES.read_text() == rendering.rules(made_with()), "run: make rendered"


def test_promtool_finds_nothing_to_complain_about() -> None:
    done = run("promtool", "check", "rules", "--lint=all", "--lint-fatal", RULES)
    assert done.returncode == 0, said(done)
    assert f"{len(_ALL) + len(sources(_ALL))} rules found" in said(done)


def test_the_sample_of_prometheus_is_sound_and_names_these_rules() -> None:
    done = run("promtool", "check", "config", PROMETHEUS)
    assert done.returncode == 0, said(done)
    jobs = [each["job_name"] for each in yaml.safe_load(PROMETHEUS.read_text())["scrape_configs"]]
    parts = sorted({part for family in FAMILIES for part in family.parts})
    assert sorted(jobs) == ["alertmanager", *(f"atum-mailer-{part}" for part in parts)]


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_the_rules_pass(path: Path) -> None:
    done = run("promtool", "test", "rules", path)
    assert done.returncode == 0, said(done)


def test_every_alert_is_tested_before_it_fires_while_it_does_and_after() -> None:
    looks = [
        look
        for path in TESTS
        for test in yaml.safe_load(path.read_text())["tests"]
        for look in test["alert_rule_test"]
    ]
    silent = {look["alertname"] for look in looks if not look["exp_alerts"]}
    fires = {look["alertname"] for look in looks if look["exp_alerts"]}
    names = {alert.name for alert in _ALL} | {MUTING}
    assert fires == names
    assert silent == names - {"AtumWatchdog"}


def test_each_alert_of_the_catalogue_is_one_rule_with_its_area_severity_and_runbook() -> None:
    found = {rule["alert"]: rule for group in groups() for rule in group["rules"] if rule["alert"] != MUTING}
    assert found.keys() == {alert.name for alert in _ALL}
    for alert in _ALL:
        rule = found[alert.name]
        assert rule["labels"] == {"severity": alert.severity.value, "area": alert.area.value}
        assert rule["annotations"]["runbook_url"] == f"docs/runbooks/{alert.name}.md"
        assert rule.get("for", "0s") == duration(alert.for_s)
        assert rule.get("keep_firing_for") == ("1h" if alert.keeps else None)


def test_what_mutes_others_has_the_condition_of_its_source_and_does_not_stay() -> None:
    rules = {
        rule["labels"].get("source", rule["alert"]): rule
        for group in groups()
        for rule in group["rules"]
        if rule["alert"] == MUTING
    }
    assert rules.keys() == {source.name for source in sources(_ALL)}
    for source in sources(_ALL):
        rule = rules[source.name]
        assert _one_line(rule["expr"]) == _one_line(folded(source.expr))
        assert rule.get("for", "0s") == duration(source.for_s)
        assert "keep_firing_for" not in rule


def test_settings_are_in_the_rules() -> None:
    made = made_with(
        alert_failure_rate_threshold=7.5,
        alert_queue_backlog_threshold=77,
        alert_cooldown_seconds=2700,
        alert_runbook_url="https://wiki.example.com/atum/",
        alert_dashboard_url="https://grafana.example.com/d/atum",
    )
    rules = {
        rule["alert"]: rule
        for group in yaml.safe_load(rendering.rules(made))["groups"]
        for rule in group["rules"]
    }
    assert rules["AtumFailureRateHigh"]["expr"].endswith(">= 7.5")
    assert ">= 45" in rules["AtumFailureBurnFast"]["expr"]
    backlog = rules["AtumBacklogHigh"]
    assert backlog["expr"].endswith(">= 77")
    assert backlog["keep_firing_for"] == "45m"
    assert backlog["annotations"]["runbook_url"] == "https://wiki.example.com/atum/AtumBacklogHigh.md"
    assert backlog["annotations"]["dashboard_url"] == "https://grafana.example.com/d/atum"


def test_a_url_in_the_rules_is_no_template(tmp_path: Path) -> None:
    url = "https://grafana.example.com/d/{{ atum"
    path = tmp_path / "rules.yml"
    path.write_text(rendering.rules(made_with(alert_dashboard_url=url, alert_runbook_url=url)))
    done = run("promtool", "check", "rules", path)
    assert done.returncode == 0, said(done)


def test_the_rules_never_show_a_secret() -> None:
    made = made_with(
        alert_slack_url="https://hooks.example.com/canary", alert_webhook_url="https://example.com/canary"
    )
    assert "canary" not in rendering.rules(made)


@pytest.mark.parametrize("alert", _ALL, ids=lambda alert: alert.name)
@pytest.mark.parametrize("width", [20, WIDTH])
def test_folding_changes_nothing_but_white_space(alert: Alert, width: int) -> None:
    text = folded(alert.expr, width=width)
    assert "".join(text.split()) == "".join(alert.expr.split())
    assert str(promql_parser.parse(text)) == str(promql_parser.parse(alert.expr))


def test_lines_of_the_committed_expressions_are_not_longer_than_can_be_read() -> None:
    lines = [line for group in groups() for rule in group["rules"] for line in rule["expr"].splitlines()]
    assert max(map(len, lines)) <= WIDTH + 10


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (60, "1m"), (90, "90s"), (2700, "45m"), (3600, "1h"), (86_400, "24h")]
)
def test_durations_are_written_in_the_largest_unit_that_divides_them(seconds: int, text: str) -> None:
    assert duration(seconds) == text


def test_make_rendered_writes_the_committed_files() -> None:
    done = subprocess.run(["make", "--dry-run", "rendered"], capture_output=True, text=True, check=True)
    assert re.findall(r"--output (\S+)", done.stdout) == [
        "deploy/prometheus/atum-mailer.rules.yml",
        "deploy/alertmanager/alertmanager.yml",
        "deploy/grafana/dashboards",
    ]


def _one_line(text: str) -> str:
    return " ".join(text.split())
