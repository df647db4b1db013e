"""What whole systems need to know of the tests that share them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.sharing import FAILED

if TYPE_CHECKING:
    from collections.abc import Generator


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """Note that a test has failed, for `tests.sharing.Shared`."""
    report = yield
    if report.failed:
        item.stash[FAILED] = True
    return report
