"""What the tests of a module share is made anew once one of them has failed, and only then."""

from __future__ import annotations

from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from tests.sharing import FAILED, Shared

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_it_is_made_when_it_is_first_lent_and_anew_only_after_a_test_that_failed() -> None:
    said: list[str] = []

    @contextmanager
    def made() -> Iterator[int]:
        number = 1 + said.count("made")
        said.append("made")
        yield number
        said.append("ended")

    tests: list[Any] = [SimpleNamespace(stash=pytest.Stash()) for _ in range(4)]
    with Shared(made) as shared:
        assert said == []
        assert [shared.lend(test) for test in tests[:2]] == [1, 1]
        tests[1].stash[FAILED] = True
        assert [shared.lend(test) for test in tests[2:]] == [2, 2]
        assert said == ["made", "ended", "made"]
    assert said == ["made", "ended", "made", "ended"]
