"""A system that the tests of a module share until one of them fails: what that one has left behind is not theirs."""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack
from typing import TYPE_CHECKING, Final, Generic, Self, TypeVar

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

T = TypeVar("T")

#: Set in the stash of a test, by tests/acceptance/conftest.py, once any phase of it has failed.
FAILED: Final = pytest.StashKey[bool]()


class Shared(Generic[T]):
    """Context manager around what `make` gives: entered when it is first lent, and anew after a test that failed."""

    def __init__(self, make: Callable[[], AbstractContextManager[T]]) -> None:
        self._make = make
        self._undo = ExitStack()
        self._lent: tuple[T, pytest.Item] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._undo.close()

    def lend(self, test: pytest.Item) -> T:
        """Give it to a test."""
        if self._lent is not None and self._lent[1].stash.get(FAILED, False):
            self._lent = None
            self._undo.close()
        one = self._lent[0] if self._lent is not None else self._undo.enter_context(self._make())
        self._lent = (one, test)
        return one
