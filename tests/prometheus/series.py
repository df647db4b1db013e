"""What the exporter shows of a snapshot, as promtool takes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from atum_ops.exporter.families import Known, families
from atum_schema.metrics_catalogue import EXPORTER_UP

if TYPE_CHECKING:
    from atum_ops.signals.snapshot import Snapshot


class Series(NamedTuple):
    """One series as it is now."""

    name: str
    value: float


def shown(now: Snapshot) -> list[Series]:
    """Give all series that the exporter has while the database can be read."""
    return [
        *(
            Series(_named(sample.name, sample.labels), sample.value)
            for metric in families(now, Known())
            for sample in metric.samples
        ),
        Series(EXPORTER_UP.full_name, 1),
    ]


def _named(name: str, labels: dict[str, str]) -> str:
    inside = ",".join(f'{label}="{value}"' for label, value in labels.items())
    return f"{name}{{{inside}}}" if inside else name
