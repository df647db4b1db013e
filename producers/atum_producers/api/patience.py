"""Waiting for the database for so long and no longer.

Cancelling is not enough: psycopg then asks the server to cancel, and waits for that. A server that is frozen answers neither.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

_T = TypeVar("_T")


async def within(seconds: float, work: Coroutine[Any, Any, _T]) -> _T:
    """Give the result of `work`. Raises `TimeoutError` after `seconds`, whatever `work` is still waiting for."""
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
