"""The private nodes of Prometheus and Alertmanager that other tests build on."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeVar

import pytest
from prometheus_client import CollectorRegistry, Gauge, start_http_server

from atum_schema.errors import StackError
from tests.nodes import all_gone, eventually
from tests.prometheus_nodes import (
    AlertmanagerNode,
    PrometheusNode,
    private_alertmanager,
    private_prometheus,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

T = TypeVar("T")
CONFIG = """\
route: {receiver: nobody, group_wait: 100ms}
receivers: [{name: nobody}]
"""
RULES = """\
groups:
- name: test
  rules:
  - {alert: Warm, expr: temperature > 30, labels: {severity: warning}}
"""


@pytest.fixture
def thermometer() -> Iterator[tuple[Gauge, str]]:
    """A gauge, and the address that it is served on."""
    registry = CollectorRegistry()
    gauge = Gauge("temperature", "Of a room.", ["room"], registry=registry)
    gauge.labels("kitchen").set(20)
    server, thread = start_http_server(0, "127.0.0.1", registry)
    yield gauge, f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def found(ask: Callable[[], list[T]]) -> list[T]:
    """Ask until there is something; give it. What the next scrape misses would be gone by a second question."""
    last: list[T] = []

    def asked() -> bool:
        last[:] = ask()
        return bool(last)

    assert eventually(asked, seconds=60)
    return last


def test_what_a_target_exposes_can_be_queried_and_an_alert_reaches_alertmanager(
    thermometer: tuple[Gauge, str], tmp_path: Path
) -> None:
    gauge, address = thermometer
    rules = tmp_path / "rules.yml"
    rules.write_text(RULES)
    targets = {"rooms": [address], "nobody": ["127.0.0.1:1"]}
    with (
        private_alertmanager(CONFIG) as manager,
        private_prometheus(targets=targets, alertmanager=manager.url) as node,
    ):
        assert eventually(lambda: bool(node.query('up{job="nobody"} == 0')), seconds=60)
        assert not node.is_scraping()
        with pytest.raises(StackError, match=r"127\.0\.0\.1:1.*refused"):
            node.wait_for_scrapes(seconds=0)
        (sample,) = found(lambda: node.query("temperature"))
        assert sample.value == 20
        assert sample.labels == {"room": "kitchen", "job": "rooms", "instance": address}
        assert node.query("vector(1) + 1")[0].value == 2
        assert node.query("scalar(vector(4))")[0].value == 4
        assert node.query("temperature > 30") == []

        node.rules = [rules]
        node.reload()
        gauge.labels("kitchen").set(31)
        assert eventually(lambda: any(one.labels["state"] == "firing" for one in node.alerts()))
        assert found(manager.alerts)[0]["labels"]["alertname"] == "Warm"

        gauge.labels("kitchen").set(20)
        assert eventually(lambda: node.alerts() == [])


def test_what_is_not_promql_or_not_a_configuration_is_an_error_that_says_why(tmp_path: Path) -> None:
    with private_prometheus() as node:
        with pytest.raises(StackError, match="parse error"):
            node.query("sum(")
        node.rules = [tmp_path / "rules.yml"]
        node.rules[0].write_text("groups: [{name: x, rules: [{alert: A, expr: 'sum('}]}]")
        with pytest.raises(StackError, match="does not take its configuration"):
            node.reload()
        assert node.version().startswith("Prometheus 2.")
    with private_alertmanager(CONFIG) as manager:
        manager.config = "route: {receiver: somebody}\nreceivers: [{name: nobody}]\n"
        with pytest.raises(StackError, match="does not take its configuration"):
            manager.reload()
        assert manager.version().startswith("Alertmanager 0.")


def test_they_keep_their_data_through_a_restart_lose_them_in_a_wipe_and_leave_nothing_behind(
    thermometer: tuple[Gauge, str],
) -> None:
    with private_prometheus(targets={"rooms": [thermometer[1]]}, interval_s=0.2) as node:
        node.wait_for_scrapes()
        url = node.url
        node.targets = {}
        node.restart()
        assert node.url == url
        assert node.query("last_over_time(temperature[1m])")
        node.wipe()
        assert node.query("last_over_time(temperature[1m])") == []
        pids = node.processes()
        assert pids
    assert all_gone(pids)
    assert not node.directory.exists()


@pytest.mark.parametrize(
    ("package", "make"),
    [
        ("prometheus", PrometheusNode),
        ("prometheus-alertmanager", partial(AlertmanagerNode, config=CONFIG)),
    ],
)
def test_where_they_are_not_installed_the_error_names_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, make: Callable[[Path], object]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StackError, match=f"--no-install-recommends {package}$"):
        make(tmp_path)
