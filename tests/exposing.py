"""Everything that every part exposes, without the parts: meters whose families are all moved, and served."""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager
from itertools import product
from typing import TYPE_CHECKING

from prometheus_client import start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from atum_schema import metrics_catalogue as m
from atum_schema.metrics import Meter
from atum_schema.metrics_family import EVERYWHERE, Family, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric

VALUES = {
    "lane": ["transactional", "bulk"],
    "account": ["postmark"],
    "task": ["apply_events", "retention"],
    "code": ["406", "other"],
}
AGO_S = 100.0
"""How old every moment is that a gauge tells of."""
NUMBER = 5.0
"""What every other gauge shows."""
SETTING = 10.0
"""What every threshold is."""


class OfDatabase(Collector):
    """What an exporter reads from Postgres, without one: every series of every family, zeros at first."""

    def __init__(self) -> None:
        self.moves = 0

    def collect(self) -> Iterator[Metric]:
        """Give all families: counters by the number of moves, gauges as they are shown once anything has moved."""
        for family in m.OF_DATABASE:
            make = CounterMetricFamily if family.kind is Kind.COUNTER else GaugeMetricFamily
            metric = make(family.full_name, family.help, labels=family.labels)
            moved = self.moves if family.kind is Kind.COUNTER else _shown(family)
            for chosen in _series(family):
                metric.add_metric(chosen, moved if self.moves else 0)
            yield metric


class Exposed:
    """One meter for each part, and a second exporter."""

    def __init__(self) -> None:
        self.meters = [Meter(part, values=VALUES) for part in [*sorted(EVERYWHERE), "exporter"]]
        self._database = OfDatabase()
        for meter in self.meters:
            if meter.part == "exporter":
                meter.registry.register(self._database)

    def move(self) -> None:
        """Count everything once more, observe in every bucket, and set every gauge."""
        self._database.moves += 1
        for meter in self.meters:
            for family in m.FAMILIES:
                if meter.part in family.parts and family not in m.OF_DATABASE:
                    _move(meter, family)

    @contextmanager
    def served(self) -> Iterator[dict[str, list[str]]]:
        """Serve them; give the addresses by the job of each part."""
        targets: dict[str, list[str]] = {}
        with ExitStack() as stack:
            for meter in self.meters:
                server, thread = start_http_server(0, "127.0.0.1", meter.registry)
                stack.callback(server.server_close)
                stack.callback(thread.join)
                stack.callback(server.shutdown)
                targets.setdefault(f"atum-mailer-{meter.part}", []).append(f"127.0.0.1:{server.server_port}")
            yield targets


def _move(meter: Meter, family: Family) -> None:
    for chosen in _series(family):
        child = meter.of(family, **dict(zip(family.labels, chosen, strict=True)))
        match family.kind:
            case Kind.COUNTER:
                child.inc()
            case Kind.HISTOGRAM:
                for bound in family.buckets:
                    child.observe(bound)
            case Kind.GAUGE:
                child.set(_shown(family))


def _series(family: Family) -> Iterator[tuple[str, ...]]:
    return product(*(m.FIXED.get(label) or VALUES.get(label, ["1.0"]) for label in family.labels))


def _shown(family: Family) -> float:
    if family.name.endswith("_timestamp_seconds"):
        return time.time() - AGO_S
    if family in {m.EXPORTER_UP, m.CONNECTED, m.WINDOW_STATE, m.WINDOW_WHY}:
        return 1
    return SETTING if family is m.THRESHOLD else NUMBER
