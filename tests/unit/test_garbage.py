"""When processes of ours look for garbage."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest

from atum_schema.garbage import look_for_garbage_seldom

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def as_before() -> Iterator[None]:
    threshold = gc.get_threshold()
    yield
    gc.set_threshold(*threshold)
    gc.unfreeze()


@pytest.mark.usefixtures("as_before")
def test_what_was_loaded_is_in_no_search_for_garbage_and_much_work_is_between_two() -> None:
    kept: list[list[int]] = [[]]
    look_for_garbage_seldom()
    assert not any(one is kept for one in gc.get_objects())
    assert gc.get_freeze_count() > 10_000
    assert gc.isenabled()
    assert gc.get_threshold()[0] == 20_000
