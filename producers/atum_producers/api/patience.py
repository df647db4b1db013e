"""Waiting for so long and no longer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from types import TracebackType

_T = TypeVar("_T")


class Line(Generic[_T]):
    """Who waits equally long, longest first. All have one timer of the loop: one each costs as much as parsing a mail.

    `over` is told of whoever has waited for `seconds`, and has left the line then; it must not raise.
    """

    def __init__(self, seconds: float, over: Callable[[_T], None]) -> None:
        self.seconds = seconds
        self._over = over
        self._until: dict[_T, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __contains__(self, one: _T) -> bool:
        return one in self._until

    @property
    def first(self) -> _T | None:
        """Who has been waiting longest."""
        return next(iter(self._until), None)

    def enter(self, one: _T) -> None:
        """Put somebody at the end of the line, whose time begins now."""
        loop = asyncio.get_running_loop()
        self._until.pop(one, None)
        self._until[one] = until = loop.time() + self.seconds
        if self._timer is None:
            self._timer = loop.call_at(until, self._look)

    def leave(self, one: _T) -> None:
        """Take somebody out of the line, if still there."""
        self._until.pop(one, None)

    def _look(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        while (one := self.first) is not None:
            until = self._until[one]
            if until > loop.time():
                self._timer = loop.call_at(until, self._look)
                return
            del self._until[one]
            self._over(one)


class Patience:
    """Bounds how long tasks may take for something, all of them the same time."""

    def __init__(self, seconds: float) -> None:
        self._line = Line(seconds, Limit.expire)

    def limit(self) -> Limit:
        """Begin: `with` it, `TimeoutError` is raised after these seconds, as by `asyncio.timeout`."""
        return Limit(self._line)


class Limit:
    """The time of one task."""

    __slots__ = ("_cancelling", "_expired", "_line", "_task")

    def __init__(self, line: Line[Limit]) -> None:
        self._line = line
        self._expired = False

    def __enter__(self) -> Self:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a limit is for a task")
        self._task = task
        self._cancelling = task.cancelling()
        self._line.enter(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._line.leave(self)
        # Somebody else may want to cancel the task as well.
        if self._expired and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def expire(self) -> None:
        """End what the task is waiting for."""
        self._expired = True
        self._task.cancel()


async def within(seconds: float, work: Coroutine[Any, Any, _T]) -> _T:
    """Give the result of `work`. Raises `TimeoutError` after `seconds`, whatever `work` is still waiting for.

    For the database, where cancelling is not enough: psycopg then asks the server to cancel, and waits for that. A server
    that is frozen answers neither.
    """
    task = asyncio.create_task(work)
    done, _ = await asyncio.wait({task}, timeout=seconds)
    if done:
        return task.result()
    task.add_done_callback(_forgotten)
    task.cancel()
    raise TimeoutError


def _forgotten(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()
