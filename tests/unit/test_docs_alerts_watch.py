"""docs/alerts-without-prometheus.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import orjson
import pytest

from atum_ops.alerts import catalogue, watching
from atum_ops.alerts.breach import Breach, Kind, Metrics, Times, breach, document
from atum_ops.alerts.receivers import entry_points
from atum_schema.settings_fields import NAMES, variable
from tests.alerting import load

TEXT = (Path(__file__).parents[2] / "docs" / "alerts-without-prometheus.md").read_text()
SETTINGS = load("postgresql://nowhere", alert_dashboard_url="https://grafana.example.com/d/atum")


def block(language: str) -> str:
    found = re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
    assert len(found) == 1
    return str(found[0])


def notice(kind: Kind = Kind.FIRING, **how: Any) -> Breach:
    alert = next(one for one in catalogue.alerts(SETTINGS) if one.name == "AtumBacklogHigh")
    return breach(
        alert,
        kind,
        id="0b5c8f6e-4e5f-5d0e-9d3a-6d9b6f0a8c11",
        value=412.0,
        metrics=Metrics(1.25, 5, 400, 412, 95.5, 3, 2, 1),
        times=Times(1_795_871_700.0, 1_795_872_300.0, None, 1_795_876_000.25),
        settings=SETTINGS,
        **how,
    )


def test_the_document_is_that_of_the_page() -> None:
    assert orjson.loads(block("json")) == document(notice())
    assert list(orjson.loads(block("json"))) == list(document(notice()))


def test_the_example_of_an_entry_point_does_what_it_says() -> None:
    module: dict[str, Any] = {}
    exec(compile(block("python"), "our_alerts.py", "exec"), module)  # noqa: S102  our own page
    scale_up = module["scale_up"]
    scale_up(notice(is_test=True))
    assert module["wanted_workers"] == 2
    scale_up(notice())
    assert module["wanted_workers"] == 6
    scale_up(notice(Kind.RESOLVED))
    assert module["wanted_workers"] == 2


def test_the_groups_of_entry_points_and_their_alerts_are_those_of_the_code() -> None:
    rows = dict(re.findall(r"^\| `(atum_mailer\.alert\.\w+)` \| (.*) \|$", TEXT, re.MULTILINE))
    assert rows.keys() == entry_points.GROUPS.keys()
    for group, areas in entry_points.GROUPS.items():
        named = set(re.findall(r"`(Atum\w+)`", rows[group]))
        wanted = {one.name for one in catalogue.alerts(SETTINGS) if areas is not None and one.area in areas}
        assert named == wanted
    assert set(re.findall(r'entry-points\."([\w.]+)"', TEXT)) <= entry_points.GROUPS.keys()


def test_every_setting_of_receivers_is_named_and_no_other_exists() -> None:
    named = {name.removesuffix("_FILE") for name in re.findall(r"ATUM_[A-Z_]+[A-Z]", TEXT)}
    known = {variable(name) for name in NAMES}
    assert named <= known
    receivers = {
        name
        for name in known
        if name.startswith(
            (
                "ATUM_ALERT_WEBHOOK_U",
                "ATUM_ALERT_WEBHOOK_T",
                "ATUM_ALERT_SLACK",
                "ATUM_ALERT_EMAIL",
                "ATUM_ALERT_COMMAND",
            )
        )
    }
    assert receivers <= named


def test_the_waits_of_the_page_are_those_of_the_code() -> None:
    waits = [f"{wait:g}" for wait in watching._BACK_OFF_S]
    assert f"{', '.join(waits[:-1])} and then every {waits[-1]} seconds" in TEXT
    assert watching.DEAF_AFTER == 3
    assert watching.MUTE_S == 300


@pytest.mark.parametrize("name", re.findall(r"`(Atum\w+)`", TEXT))
def test_alerts_that_are_named_exist(name: str) -> None:
    assert name in {alert.name for alert in catalogue.alerts(SETTINGS)}
