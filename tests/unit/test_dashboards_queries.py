"""The expressions of the dashboards ask for what is exposed, by labels that it has, and show all of it."""

from __future__ import annotations

import re

import promql_parser as promql
import pytest

from atum_schema import metrics_catalogue as m
from atum_schema.metrics_family import Kind
from tests.dashboards import committed, legend_labels, plain, targets
from tests.promql import OF_SCRAPE, Selector, families, selectors

OURS = families()
#: What Prometheus makes itself, and what its client adds to every process; with the labels of each.
OTHERS = {
    "ALERTS": frozenset({"alertname", "alertstate", "severity", "area"}),
    "ALERTS_FOR_STATE": frozenset({"alertname", "severity", "area"}),
    "up": OF_SCRAPE,
    "scrape_duration_seconds": OF_SCRAPE,
    "scrape_samples_scraped": OF_SCRAPE,
    "process_resident_memory_bytes": OF_SCRAPE,
    "process_cpu_seconds_total": OF_SCRAPE,
    "process_open_fds": OF_SCRAPE,
    "process_max_fds": OF_SCRAPE,
    "process_start_time_seconds": OF_SCRAPE,
}
TARGETS = list(targets())


def labels_of(name: str) -> frozenset[str]:
    return OURS[name][1] if name in OURS else OTHERS[name]


def wrong_values(selector: Selector) -> list[str]:
    """Give the patterns and values that no series can have, as a misspelled result."""
    found = []
    for matcher in selector.matchers:
        known = m.FIXED.get(matcher.name)
        if known is None or matcher.value == ".+":
            continue
        found += [
            one for one in matcher.value.split("|") if not any(re.fullmatch(one, value) for value in known)
        ]
    return found


def test_each_expression_parses_and_asks_for_names_and_labels_that_are_exposed() -> None:
    for target in TARGETS:
        found = selectors(plain(target.expr))
        assert found or target.expr.startswith("vector(")
        assert [one.name for one in found if one.name not in OURS and one.name not in OTHERS] == []
        for one in found:
            has = labels_of(one.name)
            assert {matcher.name for matcher in one.matchers} <= has
            assert wrong_values(one) == []
            # Of what is around, the innermost aggregation decides what is left.
            assert all(kept <= has for kept in one.kept[:1])


def test_each_legend_names_labels_that_the_expression_keeps() -> None:
    for target in TARGETS:
        assert all(
            legend_labels(target.legend) <= (one.kept[-1] if one.kept else labels_of(one.name))
            for one in selectors(plain(target.expr))
        )


def test_a_second_exporter_changes_no_number() -> None:
    for target in TARGETS:
        for one in selectors(plain(target.expr)):
            family = OURS[one.name][0] if one.name in OURS else None
            if family is None or family.parts != m.EXPORTER:
                continue
            aggregations = [word for word in one.around if word in {"sum", "max", "min", "count", "avg"}]
            # The earliest of some times is the same, however often each is told.
            assert aggregations[:1] in (["max"], ["min"]), one


def test_counters_are_shown_as_rates_and_those_of_processes_are_summed() -> None:
    for target in TARGETS:
        for one in selectors(plain(target.expr)):
            family = OURS[one.name][0] if one.name in OURS else None
            if family is None or family.kind is Kind.GAUGE or family is m.DUPLICATES_TOTAL:
                continue
            assert one.around[0] in {"rate", "increase"}, one
            assert one.around[1] == ("max" if family.parts == m.EXPORTER else "sum"), one


def test_no_label_of_ours_is_one_that_prometheus_gives_itself() -> None:
    # It would rename ours to `exported_job`, and `sum by (job)` would sum by something else.
    assert [f.name for f in m.FAMILIES if set(f.labels) & (OF_SCRAPE | {"le", "quantile"})] == []


def test_everything_that_is_exposed_is_shown_on_a_dashboard() -> None:
    shown = {one.name for target in TARGETS for one in selectors(plain(target.expr))}
    assert {family.name for name, (family, _) in OURS.items() if name in shown} == {
        f.name for f in m.FAMILIES
    }


def test_marks_and_variables_ask_for_what_there_is() -> None:
    for dashboard in committed().values():
        marks = [one["expr"] for one in dashboard["annotations"]["list"] if "expr" in one]
        assert [one.name for expr in marks for one in selectors(expr)] == ["ALERTS"]
        for variable in dashboard["templating"]["list"][1:]:
            query = variable["query"]["query"]
            assert query == variable["definition"]
            name, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", query).groups()  # type: ignore[union-attr]
            assert label in labels_of(name)
            assert label == variable["name"]


def test_an_expression_that_is_wrong_is_found() -> None:
    # What the tests above stand on.
    with pytest.raises(ValueError, match="unclosed left parenthesis"):
        selectors("sum by (lane) (rate(x[1m])")
    (one,) = selectors(
        'sum by (lane) (max by (lane, result) (rate(atum_mailer_mails_total{result="snet|dead"}[1m])))'
    )
    assert one.around == ("rate", "max", "sum")
    assert one.kept == (frozenset({"lane", "result"}), frozenset({"lane"}))
    assert wrong_values(one) == ["snet"]
    assert one.matchers[0].op == promql.MatchOp.Equal
