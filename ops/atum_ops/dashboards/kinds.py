"""The JSON of each kind of panel, as Grafana 10 and 11 write it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from atum_ops.dashboards.panel import Colour, Kind

if TYPE_CHECKING:
    from atum_ops.dashboards.panel import Panel, Query, State

SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
"""Whatever data source is chosen at the top of the dashboard."""

# What is shown as of now must be of now: a query over the whole time would show the last value of an exporter that died.
_OF_NOW: Final = {Kind.VALUE, Kind.BARS, Kind.TABLE}
_LIMIT_COLOURS: Final = ("orange", "red")


def panel_json(panel: Panel, *, number: int, place: dict[str, int]) -> dict[str, Any]:
    """Give the JSON of a panel at a place of the grid."""
    found: dict[str, Any] = {
        "id": number,
        "type": panel.kind.value,
        "title": panel.title,
        "description": panel.description,
        "datasource": SOURCE,
        "gridPos": place,
        "targets": [_target(panel, query, index) for index, query in enumerate(panel.queries)],
        "fieldConfig": {"defaults": _defaults(panel), "overrides": _overrides(panel)},
        "options": _options(panel),
    }
    if panel.kind is Kind.TABLE:
        found["transformations"] = _columns(panel)
    return found


def _target(panel: Panel, query: Query, index: int) -> dict[str, Any]:
    of_now = panel.kind in _OF_NOW
    formats = {Kind.TABLE: "table", Kind.HEAT: "heatmap"}
    return {
        "refId": _ref(index),
        "datasource": SOURCE,
        "editorMode": "code",
        "expr": query.expr,
        "format": formats.get(panel.kind, "time_series"),
        "instant": of_now,
        "range": not of_now,
        "legendFormat": query.legend,
    }


def _defaults(panel: Panel) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": Colour.GOOD if panel.steps else Colour.NEUTRAL, "value": None}]
    steps += [{"color": step.colour, "value": step.value} for step in panel.steps]
    found: dict[str, Any] = {
        "unit": panel.unit,
        "color": {"mode": "palette-classic" if panel.kind is Kind.LINES else "thresholds"},
        "thresholds": {"mode": "absolute", "steps": steps},
        "mappings": _mappings(panel.states),
        "custom": _custom(panel),
    }
    if panel.kind in {Kind.LINES, Kind.BARS}:
        found["min"] = 0
    if panel.kind is Kind.BARS:
        # A bar that reaches its end is at the threshold.
        found["max"] = panel.steps[-1].value if panel.steps else None
    if panel.nothing:
        found["noValue"] = panel.nothing
    if panel.decimals is not None:
        found["decimals"] = panel.decimals
    return {name: value for name, value in found.items() if value is not None}


def _mappings(states: tuple[State, ...]) -> list[dict[str, Any]]:
    if not states:
        return []
    options = {
        str(state.value): {"text": state.text, "color": state.colour, "index": index}
        for index, state in enumerate(states)
    }
    return [{"type": "value", "options": options}]


def _custom(panel: Panel) -> dict[str, Any]:
    match panel.kind:
        case Kind.LINES:
            return {
                "axisLabel": panel.axis,
                "drawStyle": "line",
                "lineInterpolation": "linear",
                "lineWidth": 1,
                "fillOpacity": 30 if panel.stacked else 8,
                "showPoints": "auto",
                # A gap is a gap: nobody knows what was there.
                "spanNulls": False,
                "stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"},
            }
        case Kind.STATES:
            return {"fillOpacity": 70, "lineWidth": 0}
        case Kind.TABLE:
            return {"align": "auto", "cellOptions": {"type": "auto"}, "inspect": False}
        case Kind.VALUE | Kind.BARS | Kind.HEAT:
            return {}


def _overrides(panel: Panel) -> list[dict[str, Any]]:
    if panel.kind is Kind.TABLE:
        columns = [
            (query.legend, {"unit": query.unit, "mappings": _mappings(query.states)})
            for query in panel.queries
        ]
        set_ones = [(name, {key: value for key, value in of.items() if value}) for name, of in columns]
        return [_override(name, properties) for name, properties in set_ones if properties]
    limits = [query.legend for query in panel.queries if query.limit]
    return [
        _override(
            legend,
            {
                "color": {"mode": "fixed", "fixedColor": colour},
                "custom.lineStyle": {"fill": "dash", "dash": [10, 10]},
                "custom.lineWidth": 2,
                "custom.fillOpacity": 0,
                "custom.stacking": {"mode": "none", "group": "limits"},
            },
        )
        for legend, colour in zip(limits, _LIMIT_COLOURS, strict=False)
    ]


def _override(name: str, properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "matcher": {"id": "byName", "options": name},
        "properties": [{"id": key, "value": value} for key, value in properties.items()],
    }


def _columns(panel: Panel) -> list[dict[str, Any]]:
    """Put several queries side by side, and give columns the names that people read."""
    only = len(panel.queries) == 1
    values = {
        "Value" if only else f"Value #{_ref(index)}": query.legend
        for index, query in enumerate(panel.queries)
    }
    order = [label for label, _ in panel.columns] + list(values)
    return [
        {"id": "merge", "options": {}},
        {
            "id": "organize",
            "options": {
                "excludeByName": {"Time": True},
                "indexByName": {name: index for index, name in enumerate(order)},
                "renameByName": {**dict(panel.columns), **values},
            },
        },
    ]


def _options(panel: Panel) -> dict[str, Any]:
    legend = {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []}
    last = {"calcs": ["lastNotNull"], "fields": "", "values": False}
    match panel.kind:
        case Kind.LINES:
            with_values = {**legend, "displayMode": "table", "calcs": ["lastNotNull", "max"]}
            return {"legend": with_values, "tooltip": {"mode": "multi", "sort": "desc"}}
        case Kind.VALUE:
            return {
                "reduceOptions": last,
                "orientation": "auto",
                "colorMode": "value",
                "graphMode": "none",
                "justifyMode": "auto",
                "textMode": "value_and_name"
                if len(panel.queries) > 1 or "{{" in panel.queries[0].legend
                else "value",
                "wideLayout": True,
                "showPercentChange": False,
                "percentChangeColorMode": "standard",
            }
        case Kind.BARS:
            return {
                "reduceOptions": last,
                "orientation": "horizontal",
                "displayMode": "basic",
                "valueMode": "color",
                "namePlacement": "auto",
                "showUnfilled": True,
                "sizing": "auto",
                "minVizHeight": 16,
                "minVizWidth": 8,
                "maxVizHeight": 300,
                "legend": {**legend, "showLegend": False},
            }
        case Kind.STATES:
            return {
                "alignValue": "left",
                "legend": legend,
                "mergeValues": True,
                "rowHeight": 0.9,
                "showValue": "auto",
                "tooltip": {"mode": "single", "sort": "none"},
            }
        case Kind.TABLE:
            return {
                "cellHeight": "sm",
                "footer": {"show": False, "reducer": [], "countRows": False, "fields": []},
                "frameIndex": 0,
                "showHeader": True,
                # Alphabetically by the first column: "critical" comes before "warning".
                "sortBy": [{"displayName": panel.columns[0][1], "desc": False}],
            }
        case Kind.HEAT:
            return {
                "calculate": False,
                "cellGap": 1,
                "color": {
                    "mode": "scheme",
                    "scheme": "Oranges",
                    "fill": "dark-orange",
                    "scale": "exponential",
                    "exponent": 0.5,
                    "steps": 64,
                    "reverse": False,
                },
                "exemplars": {"color": "rgba(255,0,255,0.7)"},
                "filterValues": {"le": 1e-9},
                "legend": {"show": True},
                "rowsFrame": {"layout": "auto"},
                "showValue": "never",
                "tooltip": {"mode": "single", "showColorScale": False, "yHistogram": False},
                "yAxis": {"axisPlacement": "left", "reverse": False, "unit": panel.unit},
            }


def _ref(index: int) -> str:
    return chr(ord("A") + index)
