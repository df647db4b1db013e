"""Fixtures for everyone: private servers, a fresh database, a fresh virtual host, and no way out to the network.

Servers start at the first test that asks for one and serve the whole session. A missing server is an error,
never a skip.
"""

from __future__ import annotations

import os
import socket
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

from tests.nodes import Databases, VirtualHosts, private_postgres, private_rabbit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from atum_ops.stack.postgres import PostgresNode
    from atum_ops.stack.rabbit import RabbitNode


_UNIT = Path(__file__).parent / "unit"

# An example that stood still for a fifth of a second, because the machine did other things, is no finding.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")

# Seventy runs of a whole system, several at a time, want the machine for themselves: `make matrix`.
collect_ignore = [] if "ATUM_MATRIX" in os.environ else ["matrix"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that need servers come first: the thousands of short tests then keep all processes busy to the end."""
    items.sort(key=lambda item: item.path.is_relative_to(_UNIT))


class ConnectionToTheOutside(BaseException):
    """A test tried to connect beyond this machine. No `except Exception` may hide that."""


@pytest.fixture(scope="session", autouse=True)
def _loopback_only() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for method in ("connect", "connect_ex"):
            patch.setattr(socket.socket, method, _guarded(getattr(socket.socket, method)))
        yield


def _guarded(connect: Callable[[socket.socket, Any], Any]) -> Callable[[socket.socket, Any], Any]:
    def guarded(self: socket.socket, address: Any) -> Any:
        if self.family in {socket.AF_INET, socket.AF_INET6} and not _is_loopback(str(address[0])):
            raise ConnectionToTheOutside(address)
        return connect(self, address)

    return guarded


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host == "localhost"


@pytest.fixture(scope="session")
def postgres_node() -> Iterator[PostgresNode]:
    """The session's PostgreSQL. Do not stop or wipe it: that is what `own_postgres` is for."""
    with private_postgres() as node:
        yield node


@pytest.fixture(scope="session")
def rabbit_node() -> Iterator[RabbitNode]:
    """The session's RabbitMQ. Do not stop or wipe it: that is what `own_rabbit` is for."""
    with private_rabbit() as node:
        yield node


@pytest.fixture(scope="session")
def databases(postgres_node: PostgresNode) -> Databases:
    return Databases(postgres_node)


@pytest.fixture(scope="session")
def virtual_hosts(rabbit_node: RabbitNode) -> VirtualHosts:
    return VirtualHosts(rabbit_node)


@pytest.fixture
def database_url(databases: Databases) -> Iterator[str]:
    """URL of a migrated, empty database of this test's own."""
    with databases.fresh() as url:
        yield url


@pytest.fixture
def amqp_url(virtual_hosts: VirtualHosts) -> str:
    """URL of an empty virtual host of this test's own."""
    return virtual_hosts.fresh()


@pytest.fixture
def own_postgres(postgres_node: PostgresNode) -> Iterator[PostgresNode]:
    """A PostgreSQL of this test's own, to kill, freeze, restart and wipe; not migrated."""
    with private_postgres(postgres_node.pristine) as node:
        yield node


@pytest.fixture
def own_rabbit() -> Iterator[RabbitNode]:
    """A RabbitMQ of this test's own, to kill, freeze, restart and wipe."""
    with private_rabbit() as node:
        yield node
