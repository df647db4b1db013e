"""What pages say about alerts, as the catalogue has it: the tests of the pages compare with these words."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import SecretStr

from atum_ops.alerts import catalogue
from atum_ops.alerts.alert import Area
from atum_ops.alerts.inhibition import INHIBITIONS
from atum_schema.encryption import new_key
from atum_schema.settings import Settings
from atum_schema.settings_alerts import LESS, AlertSettings

if TYPE_CHECKING:
    from collections.abc import Collection

    from atum_ops.alerts.alert import Alert

DOCS: Final = Path(__file__).parents[1] / "docs"
NAMED: Final = {"percent": " %", "seconds": " s"}
_KEY: Final = new_key("a")


def settings(**changed: float) -> Settings:
    """Give settings that only differ from the defaults in these."""
    values: dict[str, object] = {
        "database_url": SecretStr("postgresql:///x"),
        "content_keys": SecretStr(_KEY),
    }
    return Settings.model_validate(values | changed)


@functools.cache
def alerts() -> tuple[Alert, ...]:
    """Give all alerts with the default thresholds."""
    return catalogue.alerts(settings())


@functools.cache
def changed_by(name: str) -> dict[str, tuple[bool, bool]]:
    """Say of each alert whether this setting changes its threshold, and its condition."""
    default = AlertSettings.model_fields[name].default
    after = catalogue.alerts(settings(**{name: default * 2 if name in LESS else default / 2}))
    return {
        old.name: (old.threshold != new.threshold, old.expr != new.expr)
        for old, new in zip(alerts(), after, strict=True)
    }


def numbers() -> list[str]:
    """Name the settings of alerts that are numbers."""
    fields = AlertSettings.model_fields.items()
    return [name for name, field in fields if isinstance(field.default, int | float)]


def threshold(alert: Alert) -> str:
    """Say the threshold of an alert: by which setting, and what it is by default; a dash where it compares with nothing."""
    if alert.threshold is None or alert.threshold in {0, 1}:
        return "–"
    value = f"{alert.threshold:g}{NAMED.get(alert.unit, f' {alert.unit}')}"
    names = [name for name in numbers() if changed_by(name)[alert.name][0]]
    if not names:
        return f"{value}, fixed"
    (name,) = names
    times = alert.threshold / AlertSettings.model_fields[name].default
    factor = "" if times == 1 else f"{times:g} × "
    return f"{factor}`ATUM_{name.upper()}`, {value}"


def lasting(alert: Alert) -> str:
    """Say how long its condition has to be met."""
    if not alert.for_s:
        return "at once"
    hours, minutes = divmod(alert.for_s // 60, 60)
    return f"{hours} h" if hours and not minutes else f"{alert.for_s // 60} min"


def fact(alert: Alert) -> str:
    """Give the first line of an alert's page."""
    parts = [
        f"Severity **{alert.severity.value}**",
        f"for {lasting(alert)}" if alert.for_s else lasting(alert),
    ]
    if threshold(alert) != "–":
        parts.append(f"threshold {threshold(alert)}")
    return " · ".join(parts)


def row(alert: Alert, words: str) -> str:
    """Give an alert's row of the table of all alerts; `words` say when it fires."""
    page = f"[{alert.name}](runbooks/{alert.name}.md)"
    return f"| {page} | {alert.severity.value} | {words} | {threshold(alert)} | {lasting(alert)} |"


def inhibitions() -> list[str]:
    """Give the rows of the table of what mutes what."""
    return [f"| {', '.join(one.sources)} | {_areas(one.areas)} |" for one in INHIBITIONS]


def areas() -> list[str]:
    """Give the rows of the table of areas."""
    return [
        f"| `{area.value}` | {', '.join(alert.name for alert in alerts() if alert.area is area)} |"
        for area in Area
    ]


def _areas(areas: Collection[Area]) -> str:
    if len(areas) * 2 <= len(Area):
        return ", ".join(f"`{area.value}`" for area in areas)
    left = ", ".join(f"`{area.value}`" for area in Area if area not in areas)
    return f"all areas but {left}"


def guards(alert: Alert) -> list[str]:
    """Name the settings that change the condition and not the threshold."""
    return [f"ATUM_{name.upper()}" for name in numbers() if changed_by(name)[alert.name] == (False, True)]
