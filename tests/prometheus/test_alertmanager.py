"""The configuration of Alertmanager: committed as rendered, sound for amtool, and telling the right people the right words."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from atum_ops.alerts import alertmanager
from atum_ops.alerts.alertmanager_receivers import CHANNELS
from atum_ops.alerts.catalogue import alerts
from tests.prometheus.tools import ALERTMANAGER, made_with, run, said

if TYPE_CHECKING:
    from pathlib import Path

TEMPLATES = ALERTMANAGER.parent / "templates"


def config(**values: Any) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(alertmanager.configuration(made_with(**values)))
    return loaded


def test_the_committed_configuration_is_what_the_defaults_say() -> None:
    assert ALERTMANAGER.read_text() == alertmanager.configuration(made_with()), "run: make rendered"


def test_amtool_finds_nothing_to_complain_about() -> None:
    done = run("amtool", "check-config", ALERTMANAGER)
    assert done.returncode == 0, said(done)
    assert "1 templates" in said(done)


@pytest.mark.parametrize("channels", [(), *[(name,) for name in CHANNELS]])
def test_it_is_sound_with_any_channel_alone_and_with_none(tmp_path: Path, channels: tuple[str, ...]) -> None:
    (tmp_path / "templates").symlink_to(TEMPLATES)
    path = tmp_path / "alertmanager.yml"
    path.write_text(alertmanager.configuration(made_with(), channels=channels))
    done = run("amtool", "check-config", path)
    assert done.returncode == 0, said(done)
    kinds = [key for each in yaml.safe_load(path.read_text())["receivers"] for key in each if key != "name"]
    assert bool(kinds) == bool(channels)


@pytest.mark.parametrize("alert", alerts(made_with()), ids=lambda alert: alert.name)
def test_each_alert_goes_where_its_severity_says(alert: Any) -> None:
    labels = [f"alertname={alert.name}", f"severity={alert.severity.value}", f"area={alert.area.value}"]
    done = run("amtool", "config", "routes", "test", f"--config.file={ALERTMANAGER}", *labels)
    expected = {"critical": "page", "warning": "ticket", "none": "watchdog"}[alert.severity.value]
    assert done.stdout.strip() == f"atum-mailer-{expected}"


def test_what_mutes_others_goes_to_nobody() -> None:
    labels = ["alertname=AtumMuting", "severity=none", "area=alerting", "source=AtumDatabaseDown"]
    done = run("amtool", "config", "routes", "test", f"--config.file={ALERTMANAGER}", *labels)
    assert done.stdout.strip() == "atum-mailer-nobody"


@pytest.mark.parametrize("cooldown_s", [60, 61, 90, 1800, 2700, 3600, 3607, 86_400])
def test_the_cooldown_is_a_multiple_of_the_group_interval(cooldown_s: int) -> None:
    interval = alertmanager.group_interval_s(cooldown_s)
    assert cooldown_s % interval == 0
    assert 0 < interval <= min(300, cooldown_s / 4)
    assert config(alert_cooldown_seconds=cooldown_s)["route"]["group_by"] == ["alertname"]


def test_the_cooldown_is_when_an_alert_is_repeated() -> None:
    route = config(alert_cooldown_seconds=2700)["route"]
    assert (route["group_wait"], route["group_interval"], route["repeat_interval"]) == ("30s", "5m", "45m")
    assert not any("repeat_interval" in each for each in route["routes"] if "Watchdog" not in str(each))


def test_everybody_who_is_told_is_told_of_the_end_but_the_watchdog() -> None:
    told = {
        (receiver["name"], kind, each["send_resolved"])
        for receiver in config()["receivers"]
        for kind, some in receiver.items()
        if kind != "name"
        for each in some
    }
    kinds = ("slack_configs", "email_configs", "webhook_configs")
    assert told == {
        *((f"atum-mailer-{name}", kind, True) for name in ("page", "ticket") for kind in kinds),
        ("atum-mailer-watchdog", "webhook_configs", False),
    }


def test_secrets_stay_in_their_files() -> None:
    text = alertmanager.configuration(
        made_with(
            alert_slack_url="https://hooks.example.com/canary-slack",
            alert_webhook_url="https://example.com/canary-webhook",
            alert_webhook_token="canary-token",
            alert_email_url="smtps://watch%40example.com:canary-password@mail.example.com",
            alert_email_to="ops@example.com",
            alert_email_from="atum@example.com",
        )
    )
    assert "canary" not in text
    (email,) = yaml.safe_load(text)["receivers"][0]["email_configs"]
    assert email["smarthost"] == "mail.example.com:465"
    assert email["auth_username"] == "watch@example.com"
    assert (email["to"], email["from"]) == ("ops@example.com", "atum@example.com")


@pytest.mark.parametrize(
    ("url", "smarthost", "user", "over_tls"),
    [
        ("smtp://u@[2001:db8::1]", "[2001:db8::1]:587", "u", True),
        ("smtp://relay.example.com:25", "relay.example.com:25", None, True),
        ("smtp://localhost:25", "localhost:25", None, False),
        ("smtp://u:secret@127.0.0.1:25", "127.0.0.1:25", "u", True),
    ],
)
def test_mail_goes_through_the_server_that_is_set_as_alerts_watch_would_send_it(
    tmp_path: Path, url: str, smarthost: str, user: str | None, *, over_tls: bool
) -> None:
    made = made_with(
        alert_email_url=url, alert_email_to="ops@example.com", alert_email_from="atum@example.com"
    )
    text = alertmanager.configuration(made)
    (email,) = yaml.safe_load(text)["receivers"][0]["email_configs"]
    assert (email["smarthost"], email.get("auth_username"), email["require_tls"]) == (
        smarthost,
        user,
        over_tls,
    )
    assert ("auth_password_file" in email) is (user is not None)
    (tmp_path / "templates").symlink_to(TEMPLATES)
    path = tmp_path / "alertmanager.yml"
    path.write_text(text)
    done = run("amtool", "check-config", path)
    assert done.returncode == 0, said(done)


DATA = {
    "receiver": "atum-mailer-page",
    "status": "firing",
    "alerts": [
        {
            "status": "firing",
            "annotations": {"description": "150 mails are due <or> sending."},
            "startsAt": "2026-11-28T10:00:00Z",
        },
        {"status": "resolved", "startsAt": "2026-11-28T09:00:00Z", "endsAt": "2026-11-28T09:30:00Z"},
    ],
    "groupLabels": {"alertname": "AtumBacklogHigh"},
    "commonLabels": {"alertname": "AtumBacklogHigh", "severity": "warning"},
    "commonAnnotations": {
        "summary": "Mail piles up.",
        "runbook_url": "https://wiki.example.com/AtumBacklogHigh.md",
        "dashboard_url": "https://grafana.example.com/d/atum",
    },
}


def rendered(name: str, folder: Path, *, kind: str = "text", **changes: Any) -> str:
    path = folder / "data.json"
    path.write_text(json.dumps({**DATA, **changes}))
    done = run(
        "amtool",
        "template",
        "render",
        f"--template.glob={TEMPLATES}/*.tmpl",
        f'--template.text={{{{ template "atum_mailer.{name}" . }}}}',
        f"--template.data={path}",
        f"--template.type={kind}",
    )
    assert done.returncode == 0, said(done)
    return done.stdout


def test_every_template_that_the_configuration_names_is_there(tmp_path: Path) -> None:
    names = {
        value.split('"')[1].removeprefix("atum_mailer.")
        for line in ALERTMANAGER.read_text().splitlines()
        if "{{ template" in line
        for value in [line]
    }
    assert names == {
        "slack.title",
        "slack.title_link",
        "slack.color",
        "slack.text",
        "email.subject",
        "email.html",
        "email.text",
    }
    assert all(rendered(name, tmp_path).strip() for name in names)


@pytest.mark.parametrize("name", ["slack.text", "email.text"])
def test_a_notice_says_what_is_since_when_and_what_to_do(tmp_path: Path, name: str) -> None:
    assert rendered(name, tmp_path).splitlines() == [
        "150 mails are due <or> sending. Since 2026-11-28 10:00:00 UTC.",
        "Over since 2026-11-28 09:30:00 UTC; it began 2026-11-28 09:00:00 UTC.",
        "Runbook: https://wiki.example.com/AtumBacklogHigh.md",
        "Dashboard: https://grafana.example.com/d/atum",
    ]


def test_html_is_escaped_and_links_to_the_runbook(tmp_path: Path) -> None:
    text = rendered("email.html", tmp_path, kind="html")
    assert "150 mails are due &lt;or&gt; sending." in text
    assert '<a href="https://wiki.example.com/AtumBacklogHigh.md">' in text


@pytest.mark.parametrize(
    ("status", "severity", "subject", "color"),
    [
        ("firing", "critical", "[CRITICAL] AtumBacklogHigh: Mail piles up.", "danger"),
        ("firing", "warning", "[WARNING] AtumBacklogHigh: Mail piles up.", "warning"),
        ("resolved", "critical", "[RESOLVED] AtumBacklogHigh: Mail piles up.", "good"),
    ],
)
def test_the_subject_and_the_colour_say_how_urgent_it_is(
    tmp_path: Path, status: str, severity: str, subject: str, color: str
) -> None:
    changes: dict[str, Any] = {"status": status, "commonLabels": {"severity": severity}}
    assert rendered("email.subject", tmp_path, **changes) == subject
    assert rendered("slack.title", tmp_path, **changes) == subject
    assert rendered("slack.color", tmp_path, **changes) == color
