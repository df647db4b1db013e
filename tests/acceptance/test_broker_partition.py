"""A bad network between the parts and RabbitMQ while batches are posting: nothing lost, nothing doubled, soon over."""

from __future__ import annotations

import random
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from atum_ops.chaos.faults import Faults, Way
from atum_ops.chaos.proxy import Proxy
from tests.load import Load, without_load
from tests.sharing import Shared

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.nodes import Databases, VirtualHosts

FAULT_S = 5.0
WHOSE = [("relay",), ("worker",), ("relay", "worker")]
NAMES = ["relay", "worker", "both"]


class Lines:
    """The lines to RabbitMQ, by part, each through a proxy of its own."""

    def __init__(self, load: Load, proxies: dict[str, Proxy]) -> None:
        self.load = load
        self._proxies = proxies

    def of(self, whose: tuple[str, ...]) -> list[Proxy]:
        return [self._proxies[name] for name in whose]


@pytest.fixture(scope="module")
def shared(databases: Databases, virtual_hosts: VirtualHosts) -> Iterator[Shared[Lines]]:
    """A system whose parts are behind proxies."""

    @contextmanager
    def made() -> Iterator[Lines]:
        amqp_url = virtual_hosts.fresh()
        port = urlsplit(amqp_url).port or 0
        with (
            databases.fresh() as database_url,
            Proxy(port) as relays,
            Proxy(port) as workers,
            without_load(
                database_url=database_url,
                amqp_url=amqp_url,
                relay={"ATUM_AMQP_URL": relays.url(amqp_url)},
                worker={"ATUM_AMQP_URL": workers.url(amqp_url)},
            ) as load,
        ):
            yield Lines(load, {"relay": relays, "worker": workers})

    with Shared(made) as one:
        yield one


@pytest.fixture
def lines(shared: Shared[Lines], request: pytest.FixtureRequest) -> Lines:
    """A system in the middle of its work."""
    lines = shared.lend(request.node)
    lines.load.begin()
    return lines


@pytest.mark.parametrize("whose", WHOSE, ids=NAMES)
def test_a_frozen_broker_loses_and_doubles_nothing(lines: Lines, whose: tuple[str, ...]) -> None:
    for proxy in lines.of(whose):
        proxy.partition()
    time.sleep(FAULT_S)
    for proxy in lines.of(whose):
        proxy.heal()
    lines.load.finish()


@pytest.mark.parametrize("whose", WHOSE, ids=NAMES)
def test_a_cut_cable_loses_and_doubles_nothing(lines: Lines, whose: tuple[str, ...]) -> None:
    for proxy in lines.of(whose):
        proxy.unplug()
    time.sleep(FAULT_S)
    for proxy in lines.of(whose):
        proxy.heal()
    lines.load.finish()


@pytest.mark.parametrize("way", [Way.UP, Way.DOWN])
def test_a_line_that_carries_one_way_only_loses_and_doubles_nothing(lines: Lines, way: Way) -> None:
    for proxy in lines.of(("relay", "worker")):
        proxy.partition(way)
    time.sleep(FAULT_S)
    for proxy in lines.of(("relay", "worker")):
        proxy.heal()
    lines.load.finish()


def test_connections_that_are_reset_at_random_lose_and_double_nothing(lines: Lines) -> None:
    chance = random.Random(1)  # noqa: S311 - no secret
    begun = time.monotonic()
    number = 0
    # On a busy machine until it has been felt.
    while time.monotonic() < begun + FAULT_S or (number <= 5 and time.monotonic() < begun + 60):
        number += sum(proxy.reset() for proxy in lines.of(("relay", "worker")))
        time.sleep(chance.uniform(0.05, 1.0))
    assert number > 5
    lines.load.finish()


def test_connections_that_break_in_the_middle_of_a_frame_lose_and_double_nothing(lines: Lines) -> None:
    for most in (2_000, 500, 5_000):
        for way in (Way.UP, Way.DOWN):
            for proxy in lines.of(("relay", "worker")):
                proxy.set(Faults(cut_after=most), way=way)
            time.sleep(1)
    for proxy in lines.of(("relay", "worker")):
        proxy.heal()
    lines.load.finish()


def test_a_broker_that_refuses_connections_is_called_again(lines: Lines) -> None:
    for proxy in lines.of(("relay", "worker")):
        proxy.down()
        proxy.reset()
    time.sleep(FAULT_S)
    for proxy in lines.of(("relay", "worker")):
        proxy.heal()
    lines.load.finish()
