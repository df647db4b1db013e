"""Metrics of a process: one registry that holds the families of its part, and serves them.

The families are listed in `atum_schema.metrics_catalogue`, and nowhere else: a meter refuses what is not there.

Not multiprocess mode: its files outlive their processes, grow without end, and know no gauges of the moment. Each process
has a registry and a port of its own (docs/decisions.md).
"""

from __future__ import annotations

import logging
from importlib.metadata import version
from itertools import product
from typing import TYPE_CHECKING, Any, Final, Protocol

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

from atum_schema import metrics_catalogue as catalogue
from atum_schema import metrics_server
from atum_schema.errors import SettingsError
from atum_schema.metrics_family import Family, Kind
from atum_schema.metrics_histogram import Histogram

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from atum_schema.settings import Settings

log = logging.getLogger(__name__)

MOST_SERIES: Final = 1000
"""Series that a process may expose, fewer than that: a scrape holds the interpreter's lock."""


class Child(Protocol):
    """One series, or one histogram: what is moved on hot paths."""

    def inc(self, amount: float = 1) -> None:
        """Count more."""

    def dec(self, amount: float = 1) -> None:
        """Count less; gauges only."""

    def set(self, value: float) -> None:
        """Set; gauges only."""

    def observe(self, amount: float) -> None:
        """Note a value; histograms only."""

    def observe_many(self, values: Mapping[float, int]) -> None:
        """Note values, each so many times; histograms only."""


class Meter:
    """The registry of one process. Thread-safe. Raises `KeyError` for a family that its part does not expose.

    `values` names the values of labels that are known at the start: their series are there from the beginning, at 0, since
    a rate over a series that appears with its first event misses that event. Labels: `{"lane": ["transactional"]}`.
    """

    def __init__(self, part: str, *, values: Mapping[str, Iterable[str]] | None = None) -> None:
        self.part = part
        # Twice the series, and names that no catalogue has: when a counter began is of no use to Prometheus.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry(auto_describe=False)
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        self._metrics: dict[str, Any] = {}
        self._children: dict[tuple[str, tuple[str, ...]], Child] = {}
        self._values = {label: tuple(names) for label, names in (values or {}).items()}
        for family in catalogue.FAMILIES:
            if part in family.parts and family not in catalogue.OF_DATABASE:
                self._metrics[family.name] = self._make(family)
                self._begin(family)
        self.of(catalogue.BUILD_INFO, version=version("atum-mailer")).set(1)

    def of(self, family: Family, **labels: str) -> Child:
        """Give the series with these labels; always the same object, so it may be kept."""
        key = (family.name, tuple(labels[name] for name in family.labels))
        child = self._children.get(key)
        if child is None:
            metric = self._metrics[family.name]
            labelled = family.labels or family.kind is Kind.HISTOGRAM
            child = self._children.setdefault(key, metric.labels(*key[1]) if labelled else metric)
        return child

    def ask(self, family: Family, read: Callable[[], float], **labels: str) -> None:
        """Have a gauge read at each scrape. `read` must be quick, and safe from any thread."""
        gauge: Any = self.of(family, **labels)
        gauge.set_function(read)

    def serve(self, host: str, port: int) -> int:
        """Serve the metrics on daemon threads for as long as the process lives; give the port. Raises `OSError`."""
        return metrics_server.serve(self.registry, host, port)

    def _make(self, family: Family) -> Any:
        if family.kind is Kind.HISTOGRAM:
            histogram = Histogram(family.full_name, family.help, labels=family.labels, bounds=family.buckets)
            self.registry.register(histogram)
            return histogram
        options: dict[str, Any] = {"labelnames": family.labels, "registry": self.registry}
        make = Counter if family.kind is Kind.COUNTER else Gauge
        return make(family.full_name, family.help, **options)

    def _begin(self, family: Family) -> None:
        """Make the series whose labels are all known."""
        known = [catalogue.FIXED.get(label) or self._values.get(label, ()) for label in family.labels]
        for chosen in product(*known):
            self.of(family, **dict(zip(family.labels, chosen, strict=True)))


def serving(meter: Meter, settings: Settings) -> int | None:
    """Serve the metrics of a part where the settings say so, and say where; give the port, None if they are served nowhere.

    Raises `SettingsError` when the port is taken or the address is not this machine's.
    """
    if settings.metrics_port is None:
        return None
    host = settings.metrics_host
    try:
        port = meter.serve(host, settings.metrics_port)
    except OSError as error:
        place = f"{host}:{settings.metrics_port}"
        raise SettingsError(f"ATUM_METRICS_PORT: cannot serve metrics on {place}: {error.strerror}") from None
    log.info("metrics: exposed", extra={"url": url(host, port)})
    return port


def url(host: str, port: int) -> str:
    """Say where metrics are served, as Prometheus asks for them."""
    place = f"[{host}]" if ":" in host else host
    return f"http://{place}:{port}/metrics"
