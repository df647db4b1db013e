"""A snapshot as Prometheus has it: every family of the database, with zeros where nothing is. Pure."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from atum_ops.exporter.values import LOOKS
from atum_schema.maintenance import Task
from atum_schema.metrics_catalogue import FIXED, OF_DATABASE
from atum_schema.metrics_family import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric

    from atum_ops.signals.snapshot import Snapshot
    from atum_schema.metrics_family import Family
    from atum_schema.settings import Settings


class Known(NamedTuple):
    """Whose series are there even if the database knows nothing of them."""

    #: Lanes, each with the provider account that it uses.
    windows: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, settings: Settings) -> Known:
        """Give those of the settings."""
        return cls(tuple((lane, settings.account) for lane in settings.lane_names))


def families(snapshot: Snapshot, known: Known) -> list[Metric]:
    """Give every family of the database with all its series."""
    windows = {*known.windows, *((window.lane, window.account) for window in snapshot.windows)}
    lanes = {lane for lane, _ in windows} | _lanes(snapshot)
    tasks = {task.value for task in Task} | {task.name for task in snapshot.tasks}
    firsts: dict[str, list[tuple[str, ...]]] = {
        "lane": [(lane,) for lane in sorted(lanes)],
        "task": [(task,) for task in sorted(tasks)],
        "window": [(lane, account) for lane, account in sorted(windows)],
    }
    return [_metric(family, snapshot, firsts) for family in OF_DATABASE]


def _lanes(snapshot: Snapshot) -> set[str]:
    """Name all lanes that anything is known of, removed ones too: their counters stay."""
    return (
        {lane.lane for lane in snapshot.lanes}
        | {lane for lane, _, _ in snapshot.recent}
        | {lane for lane, _ in snapshot.totals}
    )


def _metric(family: Family, snapshot: Snapshot, firsts: dict[str, list[tuple[str, ...]]]) -> Metric:
    make = CounterMetricFamily if family.kind is Kind.COUNTER else GaugeMetricFamily
    metric = make(family.full_name, family.help, labels=family.labels)
    series = {**dict.fromkeys(_expected(family, firsts), 0.0), **LOOKS[family](snapshot)}
    for labels, value in series.items():
        metric.add_metric(labels, value)
    return metric


def _expected(family: Family, firsts: dict[str, list[tuple[str, ...]]]) -> Iterator[tuple[str, ...]]:
    """Give the labels of all series that are there in any case."""
    if family.labels[:2] == ("lane", "account"):
        begins, rest = firsts["window"], family.labels[2:]
    elif family.labels[:1] in {("lane",), ("task",)}:
        begins, rest = firsts[family.labels[0]], family.labels[1:]
    else:
        begins, rest = [()], family.labels
    words = list(product(*(FIXED[label] for label in rest)))
    return (begin + end for begin in begins for end in words)
