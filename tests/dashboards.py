"""The committed dashboards, as tests read them."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.prometheus_nodes import PrometheusNode, Sample

FOLDER = Path(__file__).parents[1] / "deploy" / "grafana"
VARIABLES = {"$lane": ".+", "$instance": ".+"}


class Target(NamedTuple):
    """One expression of one panel."""

    dashboard: str
    panel: dict[str, Any]
    expr: str
    legend: str

    @property
    def where(self) -> str:
        """Say where it stands."""
        return f"{self.dashboard}: {self.panel['title']}: {self.expr}"


def committed() -> dict[str, dict[str, Any]]:
    """Give each dashboard by the name of its file."""
    return {path.name: json.loads(path.read_text()) for path in sorted((FOLDER / "dashboards").iterdir())}


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    """Give the panels that are no headings of rows."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def targets() -> Iterator[Target]:
    """Give every expression of every panel."""
    for name, dashboard in committed().items():
        for panel in panels(dashboard):
            for target in panel["targets"]:
                yield Target(name, panel, target["expr"], target["legendFormat"])


def plain(expr: str, *, interval: str = "1m") -> str:
    """Put something in the place of Grafana's variables; none may be left."""
    for name, value in {**VARIABLES, "$__rate_interval": interval}.items():
        expr = expr.replace(name, value)
    assert "$" not in expr, expr
    return expr


def legend_labels(legend: str) -> set[str]:
    """Give the labels that a legend names."""
    return set(re.findall(r"{{\s*(\w+)\s*}}", legend))


def wanting(target: Target, samples: list[Sample]) -> str | None:
    """Say what is wrong with an answer: it is empty, not finite, or lacks labels that the legend names."""
    if not samples:
        return f"{target.where}: nothing"
    if not all(math.isfinite(sample.value) for sample in samples):
        return f"{target.where}: {samples}"
    missing = [
        sample.labels for sample in samples if not legend_labels(target.legend) <= sample.labels.keys()
    ]
    return f"{target.where}: {target.legend} of {missing}" if missing else None


def shortcomings(node: PrometheusNode, *, interval: str, at: float | None = None) -> list[str]:
    """Run every expression of every dashboard; say which answers are wanting."""
    found = [wanting(one, node.query(plain(one.expr, interval=interval), at=at)) for one in targets()]
    return [problem for problem in found if problem is not None]
