"""A bad network between the parts and Postgres while batches are posting: nothing lost, nothing doubled, soon over."""

from __future__ import annotations

import random
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from atum_ops.chaos.faults import Faults, Way
from atum_ops.chaos.proxy import Proxy
from tests.load import Load, under_load, without_load
from tests.sharing import Shared

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.nodes import Databases, VirtualHosts

FAULT_S = 4.0


@pytest.fixture(scope="module")
def shared(databases: Databases, virtual_hosts: VirtualHosts) -> Iterator[Shared[tuple[Load, Proxy]]]:
    """A system, and the way of its parts to Postgres; the tests have their own."""

    @contextmanager
    def made() -> Iterator[tuple[Load, Proxy]]:
        with databases.fresh() as database_url, Proxy(urlsplit(database_url).port or 0) as proxy:
            address = {"ATUM_DATABASE_URL": proxy.url(database_url)}
            with without_load(
                database_url=database_url, amqp_url=virtual_hosts.fresh(), relay=address, worker=address
            ) as load:
                yield load, proxy

    with Shared(made) as one:
        yield one


@pytest.fixture
def load(shared: Shared[tuple[Load, Proxy]], request: pytest.FixtureRequest) -> Load:
    """A system in the middle of its work, behind the proxy."""
    load, _ = shared.lend(request.node)
    load.begin()
    return load


@pytest.fixture
def proxy(shared: Shared[tuple[Load, Proxy]], request: pytest.FixtureRequest) -> Proxy:
    return shared.lend(request.node)[1]


@pytest.mark.parametrize("way", Way)
def test_a_database_that_freezes_is_waited_for(load: Load, proxy: Proxy, way: Way) -> None:
    proxy.partition(way)
    load.add(10)
    time.sleep(FAULT_S)
    assert load.system.waiting() >= 10
    proxy.heal()
    load.finish()


def test_a_frozen_database_that_is_gone_when_it_thaws_is_called_again(load: Load, proxy: Proxy) -> None:
    proxy.partition()
    time.sleep(FAULT_S)
    proxy.reset()
    proxy.heal()
    load.finish()


def test_a_cut_cable_that_is_mended_soon_costs_seconds(load: Load, proxy: Proxy) -> None:
    proxy.unplug()
    time.sleep(FAULT_S)
    proxy.heal()
    load.finish()


def test_a_cut_cable_is_given_up_and_other_connections_are_made(load: Load, proxy: Proxy) -> None:
    # Answers are under way for so long that the cut loses some of what was committed, posting marks among it.
    proxy.set(Faults(latency_ms=200), way=Way.DOWN)
    time.sleep(1)
    # Longer than TCP_USER_TIMEOUT and one more keepalive: the old connections are dead, the server does not know it, and
    # a first attempt at new ones has failed.
    proxy.unplug()
    time.sleep(32)
    proxy.heal()
    load.finish()


def test_connections_that_are_reset_at_random_are_made_again(load: Load, proxy: Proxy) -> None:
    chance = random.Random(1)  # noqa: S311 - no secret
    begun = time.monotonic()
    number = 0
    # On a busy machine until it has been felt.
    while time.monotonic() < begun + FAULT_S or (number <= 10 and time.monotonic() < begun + 60):
        number += proxy.reset()
        time.sleep(chance.uniform(0.02, 0.4))
    assert number > 10
    load.finish()


def test_connections_that_break_in_the_middle_of_an_answer_are_made_again(load: Load, proxy: Proxy) -> None:
    for most in (3_000, 1_000, 10_000, 30_000, 2_000, 20_000):
        proxy.set(Faults(cut_after=most), way=Way.DOWN)
        time.sleep(0.5)
        proxy.set(Faults(cut_after=most), way=Way.UP)
        time.sleep(0.5)
    proxy.heal()
    load.finish()


def test_a_slow_line_only_takes_longer(database_url: str, amqp_url: str) -> None:
    with Proxy(urlsplit(database_url).port or 0) as proxy:
        address = {"ATUM_DATABASE_URL": proxy.url(database_url)}
        with under_load(
            database_url=database_url, amqp_url=amqp_url, mails=100, relay=address, worker=address
        ) as load:
            proxy.set(Faults(latency_ms=50, jitter_ms=20, slice_bytes=2_000, bandwidth=2_000_000))
            load.finish()
            for part in (load.relay, load.worker):
                assert "again" not in part.output(), part.output()
