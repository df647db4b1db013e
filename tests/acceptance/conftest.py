"""Which process runs which test, and what whole systems need to know of the tests that share them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.sharing import FAILED, Shared

if TYPE_CHECKING:
    from collections.abc import Generator

    from tests.system import System

#: Modules whose tests share what is costly to start: one process runs all of them.
TOGETHER: Final = frozenset(
    f"tests/acceptance/test_{name}.py"
    for name in (
        "alerting",
        "broker_away",
        "broker_partition",
        "database_locks",
        "database_network",
        "intake",
        "killed_workers",
        "poison",
        "settling",
    )
)


#: Modules with single tests that take a minute: they begin, so that nobody waits for them at the end.
LONG: Final = frozenset({"test_canary", "test_chaos", "test_settling_lag", "test_way_back"})


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long, whatever the order of the rest."""
    items.sort(key=lambda item: item.path.stem not in LONG)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give each test to the process that is free first, and those that belong together, which are many, before all others.

    Files are too coarse: the longest takes longer than a quarter of all.
    """
    from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

    class Scheduling(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            module = nodeid.partition("::")[0]
            return module if module in TOGETHER else nodeid

    return Scheduling(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """Note that a test has failed, for `tests.sharing.Shared`."""
    report = yield
    if report.failed:
        item.stash[FAILED] = True
    return report


@pytest.fixture
def system(shared: Shared[System], request: pytest.FixtureRequest) -> System:
    """Give the system that a module shares, where it has a fixture `shared`."""
    return shared.lend(request.node)
