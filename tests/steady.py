"""Requests that do not stop while servers fail: threads that go on until they are told to end."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Self

from tests.nodes import eventually

if TYPE_CHECKING:
    from collections.abc import Collection
    from types import TracebackType


class Steady:
    """Context manager: `threads` threads run `go_on`, which looks at `stop` and fills `answered`."""

    answered: Collection[str]

    def __init__(self, threads: int) -> None:
        self.stop = threading.Event()
        self.broken = 0
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self.go_on) for _ in range(threads)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop.set()
        for thread in self._threads:
            thread.join()

    def go_on(self) -> None:
        """Make requests until `stop` is set."""
        raise NotImplementedError

    def note_broken(self) -> None:
        """Count a request whose connection broke before its answer."""
        with self._lock:
            self.broken += 1

    def await_answers(self, number: int) -> None:
        """Wait until so many requests were answered."""
        assert eventually(lambda: len(self.answered) >= number, seconds=30), len(self.answered)
