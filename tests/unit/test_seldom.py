"""The same thing is said seldom."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from atum_schema.seldom import Seldom, SeldomFilter

if TYPE_CHECKING:
    import pytest


def test_it_is_said_at_once_and_then_not_again_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    seldom = Seldom(10)
    assert seldom.due()
    now = 109.9
    assert not seldom.due()
    now = 110.0
    assert seldom.due()
    assert not seldom.due()


def test_each_message_of_a_library_has_its_own_turn(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("test.seldom")
    seldom = SeldomFilter(3600)
    logger.addFilter(seldom)
    for number in range(5):
        logger.warning("error connecting: %s", number)
    logger.warning("something else")
    logger.removeFilter(seldom)
    assert [record.getMessage() for record in caplog.records] == ["error connecting: 0", "something else"]
