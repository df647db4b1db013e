"""The files that Grafana reads."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from atum_ops.dashboards.dashboard import dashboard_json
from atum_ops.dashboards.delivery import delivery
from atum_ops.dashboards.overview import overview
from atum_ops.dashboards.processes import processes
from atum_ops.dashboards.ways import ways

if TYPE_CHECKING:
    from pathlib import Path

    from atum_ops.dashboards.panel import Dashboard


def dashboards() -> tuple[Dashboard, ...]:
    """Give all dashboards, the first one first."""
    return (overview(), delivery(), ways(), processes())


def files() -> dict[str, str]:
    """Give the text of each file by its name."""
    return {
        f"{one.uid}.json": json.dumps(dashboard_json(one), indent=2, ensure_ascii=False) + "\n"
        for one in dashboards()
    }


def write(directory: Path) -> list[Path]:
    """Write the files into a directory, which is made where it is missing; give their paths. Raises `OSError`."""
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    for name, text in files().items():
        (directory / name).write_text(text, encoding="utf-8")
        written.append(directory / name)
    return written
