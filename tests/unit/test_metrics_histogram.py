"""Our histogram says what the client library's says of the same values, one at a time or many at once."""

from __future__ import annotations

from collections import Counter

import prometheus_client
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest

from atum_schema.metrics_histogram import Histogram

BOUNDS = (0.0, 0.125, 1.0, 60.0)
VALUES = st.lists(st.one_of(st.sampled_from(BOUNDS), st.integers(0, 1000).map(lambda n: n / 8)), max_size=50)


def lines(registry: CollectorRegistry) -> list[str]:
    return generate_latest(registry).decode().splitlines()


@given(one_by_one=VALUES, at_once=VALUES)
def test_it_counts_as_the_library_does(one_by_one: list[float], at_once: list[float]) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
    histogram = Histogram("h_seconds", "Text.", labels=("lane",), bounds=BOUNDS)
    ours.register(histogram)
    model = prometheus_client.Histogram("h_seconds", "Text.", ["lane"], buckets=BOUNDS, registry=theirs)
    for lane in ("a", 'b"\\'):
        child, expected = histogram.labels(lane), model.labels(lane)
        for value in one_by_one:
            child.observe(value)
        child.observe_many(Counter(at_once))
        for value in [*one_by_one, *at_once]:
            expected.observe(value)
    assert lines(ours) == lines(theirs)


def test_a_series_is_there_before_its_first_value_and_is_always_the_same() -> None:
    histogram = Histogram("h_seconds", "Text.", labels=(), bounds=BOUNDS)
    registry = CollectorRegistry()
    registry.register(histogram)
    assert histogram.labels() is histogram.labels()
    assert "h_seconds_count 0.0" in lines(registry)
