"""Every expression of every dashboard, run against a real Prometheus: without any traffic, and with it."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from atum_schema import metrics_catalogue as m
from tests.command_line import DEAD, SENT
from tests.dashboards import plain, shortcomings, targets, wanting
from tests.exporting import loaded, serving
from tests.exposing import AGO_S, NUMBER, SETTING, VALUES, Exposed
from tests.nodes import eventually
from tests.prometheus_nodes import PrometheusNode, private_prometheus
from tests.promql import families, selectors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.command_line import Place
    from tests.dashboards import Target

OURS = families()
INTERVAL = "5s"
# Scrapes that began so long ago have ended.
SETTLED_S = 1.0
# All targets have answered all scrapes of late, and there were enough for a rate.
SCRAPED = f"min(min_over_time(up[{INTERVAL}])) == 1 and min(count_over_time(up[{INTERVAL}])) > 4"
# One alert, under the labels that ours have, from the moment on that there is traffic.
RULES = """\
groups:
- name: test
  rules:
  - alert: AtumBacklogHigh
    expr: sum(atum_mailer_backlog_mails) > 0
    labels: {severity: critical, area: backlog}
"""
LANES = len(VALUES["lane"])
# What the exporter knows only once something has happened; the panel says so instead.
NOTHING_YET = {
    "Alerts that fire",
    "Since a mail was accepted",
    "Why windows stopped",
    "Last outages of the provider",
    "Since the last event",
    "Since the database was read",
    "Tasks",
}
# Lines that begin with the first event: there is no duration, age or limit before.
NO_LINE_YET = {
    "Duration of requests",
    "Until the first answer",
    "Until the first answer, by lane",
    "Since a window changed its state",
    "Duration of requests to the API",
    "Duration of the intake's transactions",
    "How late events come",
    "Duration of webhook requests",
    "Since work came through",
    "Since a relay looked for due mail",
    "How near to an alert",
}


# Of the exporter, where mail was sent and nothing went wrong; no task, relay or webhook has ever run.
NEVER = {
    "Why windows stopped",
    "Last outages of the provider",
    "Since the last event",
    "Since work came through",
    "Tasks",
}


class Live(NamedTuple):
    """A Prometheus that has seen a system at rest, and then one at work."""

    node: PrometheusNode
    at_rest: float
    at_work: float


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    exposed = Exposed()
    with (
        exposed.served() as addresses,
        private_prometheus(targets=addresses, interval_s=0.5) as node,
    ):
        node.rules = [node.directory / "rules.yml"]
        node.rules[0].write_text(RULES)
        node.reload()
        node.wait_for_scrapes(seconds=60)
        at_rest = 0.0

        def rested() -> bool:
            nonlocal at_rest
            at_rest = time.time() - SETTLED_S
            return bool(node.query(SCRAPED, at=at_rest))

        assert eventually(rested, seconds=60)
        # A scrape has the time of its beginning: what was begun at rest must not see what moves.
        assert eventually(lambda: bool(node.query(f"min(timestamp(up)) > {at_rest}")))

        at_work = at_rest

        def moves_until_nothing_is_wanting() -> bool:
            nonlocal at_work
            exposed.move()
            at_work = time.time() - SETTLED_S
            return not shortcomings(node, interval=INTERVAL, at=at_work)

        # Whether it did is what the tests say.
        eventually(moves_until_nothing_is_wanting, seconds=60)
        yield Live(node, at_rest, at_work)


def empty(found: list[Target], node: PrometheusNode, *, at: float | None = None) -> dict[str, str | None]:
    """Give the panels that show nothing, or no number, each with the words that stand there instead."""
    return {
        target.panel["title"]: target.panel["fieldConfig"]["defaults"].get("noValue")
        for target in found
        if wanting(target, node.query(plain(target.expr, interval=INTERVAL), at=at))
    }


def shown(live: Live, panel: str) -> list[dict[str, Any]]:
    """Give what a panel shows at work, as labels and value."""
    return [
        {**sample.labels, "value": sample.value}
        for target in targets()
        if target.panel["title"] == panel
        for sample in live.node.query(plain(target.expr, interval=INTERVAL), at=live.at_work)
    ]


def test_at_work_every_expression_gives_finite_numbers_under_the_labels_that_its_legend_names(
    live: Live,
) -> None:
    assert shortcomings(live.node, interval=INTERVAL, at=live.at_work) == []


def test_at_rest_every_panel_shows_zeros_or_says_in_words_that_there_is_nothing(live: Live) -> None:
    found = empty(list(targets()), live.node, at=live.at_rest)
    assert found.keys() == NOTHING_YET | NO_LINE_YET
    assert all(found[title] for title in NOTHING_YET)


def test_what_the_real_exporter_says_fills_its_panels_before_the_first_mail_and_after(place: Place) -> None:
    of_exporter = [
        target
        for target in targets()
        if {OURS[one.name][0].parts for one in selectors(plain(target.expr)) if one.name in OURS}
        == {m.EXPORTER}
    ]
    assert len(of_exporter) > 40
    configured = loaded(place.url)
    address = f"127.0.0.1:{configured.exporter_port}"
    before = NEVER | {"Since a mail was accepted", "Since a window changed its state"}
    with serving(configured) as served, ExitStack() as undo:
        # Prometheus must not have seen it without what it reads.
        served.await_up()
        node = undo.enter_context(
            private_prometheus(targets={"atum-mailer-exporter": [address]}, interval_s=0.5)
        )
        node.wait_for_scrapes(seconds=60)
        assert eventually(lambda: bool(node.query(SCRAPED)), seconds=60)
        # A scrape that failed meanwhile empties them all until the next one.
        assert eventually(lambda: empty(of_exporter, node).keys() == before), empty(of_exporter, node)
        place.ended(SENT, 3)
        place.ended(DEAD)
        assert eventually(lambda: served.scrape().value(m.DEAD) == 1)
        assert eventually(lambda: dead_letters(node) == [1])
        assert eventually(lambda: empty(of_exporter, node).keys() == NEVER), empty(of_exporter, node)


def dead_letters(node: PrometheusNode) -> list[float]:
    return [sample.value for sample in node.query("max(atum_mailer_dead_letters)")]


def test_two_exporters_show_the_numbers_of_one(live: Live) -> None:
    assert shown(live, "Backlog now") == [{"value": NUMBER * LANES}]
    assert shown(live, "Dead letters") == [{"value": NUMBER}]
    assert {one["value"] for one in shown(live, "Results of 24 hours")} == {NUMBER * LANES}
    assert {one["value"] for one in shown(live, "Relays and workers")} == {NUMBER}
    assert shown(live, "Windows that stopped") == [{"value": 2.0 * LANES}]
    assert shown(live, "Exporter") == [{"value": 1}]


def test_numbers_mean_what_their_panels_say(live: Live) -> None:
    # Dead, expired and bounced are 15 of a lane, and 5 finished: the larger one is the whole.
    assert shown(live, "Failed in 24 hours") == [{"value": 100}]
    assert [round(one["value"]) for one in shown(live, "Oldest mail now")] == [pytest.approx(AGO_S, abs=30)]
    shares = [round(one["value"], 1) for one in shown(live, "How near to an alert")]
    assert shares == [100 / SETTING, NUMBER * LANES / SETTING, pytest.approx(AGO_S / SETTING, abs=3), 1.0]
    assert [one["alertname"] for one in shown(live, "Alerts that fire")] == ["AtumBacklogHigh"]
    # Closed is graver than paused and open, which all three are 1 here.
    assert {one["value"] for one in shown(live, "Windows")} == {2}
