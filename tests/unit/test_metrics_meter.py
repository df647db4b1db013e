"""The registry of a process: what it refuses, what is always the same, and how it fails to be served."""

from __future__ import annotations

import socket

import pytest
from prometheus_client import generate_latest

from atum_schema import metrics_catalogue as m
from atum_schema import settings
from atum_schema.encryption import new_key
from atum_schema.errors import SettingsError
from atum_schema.metrics import Meter, serving, url
from tests.scraping import Scrape, scrape


def loaded(**overrides: object) -> settings.Settings:
    environment = {"ATUM_DATABASE_URL": "postgresql://nowhere", "ATUM_CONTENT_KEYS": new_key("test")}
    return settings.load_from(environment, **overrides)


def test_a_meter_refuses_a_family_of_another_part() -> None:
    with pytest.raises(KeyError):
        Meter("api").of(m.TICKETS, ticket="posted")


def test_the_series_of_a_label_are_one_object() -> None:
    meter = Meter("relay", values={"lane": ["transactional"]})
    one = meter.of(m.BATCHES_ISSUED, lane="transactional")
    assert meter.of(m.BATCHES_ISSUED, lane="transactional") is one
    one.inc(3)
    assert Scrape(generate_latest(meter.registry).decode()).value(m.BATCHES_ISSUED, lane="transactional") == 3


def test_a_gauge_that_is_asked_shows_what_is_true_at_the_scrape() -> None:
    meter = Meter("relay")
    answers = iter([1.0, 0.0])
    meter.ask(m.CONNECTED, lambda: next(answers))
    seen = [Scrape(generate_latest(meter.registry).decode()).value(m.CONNECTED) for _ in range(2)]
    assert seen == [1, 0]


@pytest.mark.parametrize("part", ["relay", "intake", "worker", "api", "webhooks", "exporter"])
def test_no_family_of_any_part_has_a_name_that_no_catalogue_has(part: str) -> None:
    text = generate_latest(Meter(part).registry).decode()
    assert "_created" not in text
    # Those of the database are shown by the exporter's own collector, all or none.
    expected = {family.name for family in m.FAMILIES if part in family.parts and family not in m.OF_DATABASE}
    assert Scrape(text).families == expected


def test_metrics_are_served_where_the_settings_say_and_nowhere_without_a_port() -> None:
    meter = Meter("relay")
    assert serving(meter, loaded()) is None
    port = serving(meter, loaded(metrics_port=0))
    assert scrape(f"http://127.0.0.1:{port}/metrics").has(m.CONNECTED)


def test_a_port_that_is_taken_is_an_error_of_the_settings() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            SettingsError, match=rf"^ATUM_METRICS_PORT: .*127\.0\.0\.1:{port}: Address already in use"
        ):
            serving(Meter("relay"), loaded(metrics_port=port))


def test_an_address_that_is_not_this_machines_is_an_error_of_the_settings() -> None:
    with pytest.raises(SettingsError, match=r"192\.0\.2\.1"):
        serving(Meter("relay"), loaded(metrics_port=0, metrics_host="192.0.2.1"))


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", "http://127.0.0.1:8027/metrics"), ("2001:db8::5", "http://[2001:db8::5]:8027/metrics")],
)
def test_where_metrics_are_is_said_as_a_url_that_can_be_asked(host: str, expected: str) -> None:
    assert url(host, 8027) == expected
