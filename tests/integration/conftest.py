"""Fixtures that several integration tests share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from atum_ops.simulator.faults import FaultPlan
from atum_ops.simulator.process import SimulatorProcess
from tests.command_line import Place
from tests.no_tls import NO_TLS
from tests.receiving import Receiver, receiver
from tests.simulating import HEADERS

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def place(database_url: str) -> Iterator[Place]:
    """A migrated database, and the steps of relay and worker by hand."""
    place = Place(database_url)
    yield place
    place.close()


@pytest.fixture(scope="module")
def shared() -> Iterator[SimulatorProcess]:
    """A simulator for a whole module; tests ask for `simulator`."""
    with SimulatorProcess() as simulator:
        yield simulator


@pytest.fixture
def simulator(shared: SimulatorProcess) -> SimulatorProcess:
    """The module's simulator without faults and without a past."""
    shared.set_faults(FaultPlan())
    shared.reset()
    return shared


@pytest.fixture
def client(simulator: SimulatorProcess) -> Iterator[httpx.Client]:
    """A client of the simulator with the right token."""
    with httpx.Client(base_url=simulator.url, headers=HEADERS, timeout=60, verify=NO_TLS) as client:
        yield client


@pytest.fixture
def hook() -> Iterator[Receiver]:
    """A receiver of webhooks."""
    with receiver() as one:
        yield one
