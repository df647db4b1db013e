"""The alerts as a file of rules for Prometheus, which is committed as deploy/prometheus/atum-mailer.rules.yml. Pure.

What `atum_ops.alerts.catalogue` says is all that stands in it; who wants other thresholds sets them and renders it again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from atum_ops.alerts.alert import Area, Severity
from atum_ops.alerts.catalogue import alerts
from atum_ops.alerts.inhibition import MUTING, sources
from atum_ops.alerts.promql import number
from atum_ops.alerts.promql_layout import folded
from atum_ops.alerts.rule_file import comment, dumped, duration
from atum_schema.settings_alerts import AlertSettings
from atum_schema.settings_fields import LIVE_NAMES, variable

if TYPE_CHECKING:
    from atum_ops.alerts.alert import Alert
    from atum_schema.settings import Settings

_HEAD = (
    "The alerts of atum-mailer, for Prometheus 2.42 and newer: older ones know no keep_firing_for.",
    "Made by `atum-mailer alerts render`. Do not change it: change the settings and make it again.",
    "An alert stays for the cooldown after its condition has ended (keep_firing_for), so that a flap tells nobody anything.",
    "",
    "Made with:",
)


def rules(settings: Settings) -> str:
    """Render the rules file with the thresholds of these settings: one group for each area."""
    all_alerts = alerts(settings)
    groups = [
        {
            "name": f"atum-mailer-{area.value.replace('_', '-')}",
            "rules": [rule(alert, settings) for alert in all_alerts if alert.area is area],
        }
        for area in Area
    ]
    groups.append({"name": "atum-mailer-muting", "rules": [*map(_muting, sources(all_alerts))]})
    return comment([*_HEAD, *map(_indented, settings_of_alerts(settings))]) + dumped({"groups": groups})


def rule(alert: Alert, settings: Settings) -> dict[str, Any]:
    """Render one alert, as Prometheus reads it."""
    base = literal(settings.alert_runbook_url.rstrip("/"))
    annotations = {
        "summary": alert.summary,
        "description": alert.description,
        "runbook_url": f"{base}/{alert.name}.md",
    }
    if settings.alert_dashboard_url is not None:
        annotations["dashboard_url"] = literal(settings.alert_dashboard_url)
    made: dict[str, Any] = {"alert": alert.name, "expr": folded(alert.expr)}
    if alert.for_s:
        made["for"] = duration(alert.for_s)
    if alert.keeps:
        made["keep_firing_for"] = duration(settings.alert_cooldown_seconds)
    return made | {
        "labels": {"severity": alert.severity.value, "area": alert.area.value},
        "annotations": annotations,
    }


def literal(text: str) -> str:
    """Write a text so that Prometheus, for which annotations are templates, shows it as it is."""
    return text.replace("{{", '{{ "{{" }}')


def _muting(alert: Alert) -> dict[str, Any]:
    """Render what mutes others while the condition of an alert is met, and no longer.

    The alert itself stays for the cooldown. Muted by it, nobody would hear of anything else for so long after the end.
    """
    made: dict[str, Any] = {"alert": MUTING, "expr": folded(alert.expr)}
    if alert.for_s:
        made["for"] = duration(alert.for_s)
    return made | {
        "labels": {"severity": Severity.NONE.value, "area": Area.ALERTING.value, "source": alert.name},
        "annotations": {
            "summary": f"{alert.name} mutes others.",
            "description": "Nobody is told: it is there for Alertmanager, which mutes what follows from it.",
        },
    }


def settings_of_alerts(settings: Settings) -> list[str]:
    """Name the settings that the rules depend on, as variables with their values; none of them is a secret."""
    return [
        f"{variable(name)}={number(getattr(settings, name))}"
        for name in LIVE_NAMES
        if name in AlertSettings.model_fields
    ]


def _indented(line: str) -> str:
    return f"  {line}"
