"""A dashboard as JSON: its panels placed on Grafana's grid, with variables, links and marks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from atum_ops.dashboards.kinds import SOURCE, panel_json
from atum_schema import metrics_catalogue as m

if TYPE_CHECKING:
    from atum_ops.dashboards.panel import Dashboard, Panel

TAG: Final = "atum-mailer"
COLUMNS: Final = 24
# Of Grafana 10.3 to 11; later ones read it and bring it up to date themselves.
_SCHEMA: Final = 39
_VARIABLES: Final = {
    "lane": ("Lane", f"label_values({m.BACKLOG.full_name}, lane)"),
    "instance": ("Process", f"label_values({m.BUILD_INFO.full_name}, instance)"),
}
_CRITICAL: Final = 'ALERTS{alertname=~"Atum.*",alertstate="firing",severity="critical"}'


def dashboard_json(dashboard: Dashboard) -> dict[str, Any]:
    """Give what Grafana imports."""
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "description": dashboard.description,
        "tags": [TAG],
        "schemaVersion": _SCHEMA,
        "editable": True,
        # All panels show the moment that the mouse points at in one.
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "browser",
        "annotations": {"list": [_own_marks(), _critical_alerts()]},
        "links": [_links()],
        "templating": {
            "list": [_source(), *(_variable(name, *_VARIABLES[name]) for name in dashboard.variables)]
        },
        "panels": _panels(dashboard),
    }


def places(panels: tuple[Panel, ...], top: int) -> list[dict[str, int]]:
    """Place panels, in their order, each where it fits: as far up as it goes, then as far left."""
    taken: set[tuple[int, int]] = set()
    found = []
    for panel in panels:
        x, y = _free(panel, taken, top)
        taken |= _cells(panel, x, y)
        found.append({"x": x, "y": y, "w": panel.width, "h": panel.height})
    return found


def _free(panel: Panel, taken: set[tuple[int, int]], top: int) -> tuple[int, int]:
    bottom = max((y + 1 for _, y in taken), default=top)
    return next(
        (x, y)
        for y in range(top, bottom + 1)
        for x in range(COLUMNS - panel.width + 1)
        if not taken & _cells(panel, x, y)
    )


def _cells(panel: Panel, x: int, y: int) -> set[tuple[int, int]]:
    return {(x + column, y + line) for column in range(panel.width) for line in range(panel.height)}


def _panels(dashboard: Dashboard) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    top = 0
    for row in dashboard.rows:
        found.append(
            {
                "id": len(found) + 1,
                "type": "row",
                "title": row.title,
                "collapsed": False,
                "gridPos": {"x": 0, "y": top, "w": COLUMNS, "h": 1},
                "panels": [],
            }
        )
        placed = places(row.panels, top + 1)
        for panel, place in zip(row.panels, placed, strict=True):
            found.append(panel_json(panel, number=len(found) + 1, place=place))
        top = max(place["y"] + place["h"] for place in placed)
    return found


def _source() -> dict[str, Any]:
    return {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "current": {"selected": False, "text": "default", "value": "default"},
        "hide": 0,
        "includeAll": False,
        "multi": False,
        "options": [],
        "refresh": 1,
        "regex": "",
        "skipUrlSync": False,
    }


def _variable(name: str, label: str, query: str) -> dict[str, Any]:
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": SOURCE,
        "definition": query,
        "query": {"qryType": 1, "query": query, "refId": "PrometheusVariableQueryEditor-VariableQuery"},
        "includeAll": True,
        "allValue": ".+",
        "multi": True,
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "hide": 0,
        "options": [],
        # When the time range changes, too: processes come and go.
        "refresh": 2,
        "regex": "",
        "skipUrlSync": False,
        "sort": 1,
    }


def _links() -> dict[str, Any]:
    return {
        "title": TAG,
        "type": "dashboards",
        "tags": [TAG],
        "asDropdown": False,
        "icon": "external link",
        "includeVars": True,
        "keepTime": True,
        "targetBlank": False,
        "tooltip": "",
        "url": "",
    }


def _own_marks() -> dict[str, Any]:
    """Give the entry that Grafana makes itself where it is missing: what people mark by hand."""
    return {
        "name": "Annotations & Alerts",
        "type": "dashboard",
        "builtIn": 1,
        "datasource": {"type": "grafana", "uid": "-- Grafana --"},
        "enable": True,
        "hide": True,
        "iconColor": "rgba(0, 211, 255, 1)",
    }


def _critical_alerts() -> dict[str, Any]:
    return {
        "name": "Critical alerts",
        "datasource": SOURCE,
        "enable": True,
        "hide": False,
        "expr": _CRITICAL,
        "iconColor": "red",
        "step": "30s",
        "titleFormat": "{{alertname}}",
        "tagKeys": "area",
    }
