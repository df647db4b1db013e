"""A system that the tests of a module share until one of them fails: what that one has left behind is not theirs."""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypeVar

import pytest

from tests.system import System

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from tests.nodes import Databases, VirtualHosts

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


@contextmanager
def shared_system(
    databases: Databases, virtual_hosts: VirtualHosts, **fields: Any
) -> Iterator[Shared[System]]:
    """Share a system, made with these fields, on a database and a virtual host of its own each time it is made."""

    @contextmanager
    def made() -> Iterator[System]:
        with (
            databases.fresh() as database_url,
            System(database_url=database_url, amqp_url=virtual_hosts.fresh(), **fields) as system,
        ):
            yield system

    with Shared(made) as one:
        yield one
