"""Waiting for so long and no longer: one timer for all who wait equally long."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from atum_producers.api.patience import Line, Patience

if TYPE_CHECKING:
    from collections.abc import Awaitable

SECONDS = 0.05


def test_who_waits_too_long_is_told_in_order_and_has_left() -> None:
    async def waiting() -> None:
        told: asyncio.Queue[tuple[str, bool]] = asyncio.Queue()
        line: Line[str] = Line(SECONDS, lambda one: told.put_nowait((one, one in line)))
        began = time.monotonic()
        for one in ("a", "b", "c", "d"):
            line.enter(one)
        # Who enters again waits from now on.
        line.enter("a")
        line.leave("c")
        line.leave("nobody")
        assert line.first == "b"
        async with asyncio.timeout(10):
            heard = [await told.get() for _ in range(3)]
        assert heard == [("b", False), ("d", False), ("a", False)]
        assert time.monotonic() - began >= SECONDS * 0.9
        assert line.first is None

    asyncio.run(waiting())


def test_who_comes_when_others_have_left_is_told_as_well_and_not_early() -> None:
    async def waiting() -> None:
        told: asyncio.Queue[tuple[str, float]] = asyncio.Queue()
        line: Line[str] = Line(SECONDS, lambda one: told.put_nowait((one, time.monotonic())))
        line.enter("a")
        line.leave("a")
        await asyncio.sleep(SECONDS / 2)
        began = time.monotonic()
        line.enter("b")
        async with asyncio.timeout(10):
            one, at = await told.get()
        assert one == "b"
        assert at - began >= SECONDS * 0.9

    asyncio.run(waiting())


def ended(work: Awaitable[object]) -> float:
    async def limited() -> float:
        began = time.monotonic()
        with pytest.raises(TimeoutError), Patience(SECONDS).limit():
            await work
        current = asyncio.current_task()
        assert current is not None
        assert current.cancelling() == 0
        return time.monotonic() - began

    return asyncio.run(limited())


def test_a_task_that_takes_too_long_is_ended_and_goes_on() -> None:
    assert SECONDS * 0.9 <= ended(asyncio.sleep(60)) < 30


def test_what_is_done_in_time_is_not_ended_afterwards() -> None:
    async def limited() -> str:
        # Long enough for a machine that stands still in between.
        with Patience(1.0).limit():
            await asyncio.sleep(0)
        await asyncio.sleep(1.2)
        return "done"

    assert asyncio.run(limited()) == "done"


def test_who_is_cancelled_by_somebody_else_is_cancelled() -> None:
    async def cancelled() -> bool:
        async def limited() -> None:
            with Patience(60).limit():
                await asyncio.sleep(60)

        task = asyncio.create_task(limited())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return task.cancelled()

    assert asyncio.run(cancelled())


def test_an_error_inside_stays_what_it_is() -> None:
    async def limited() -> None:
        with Patience(SECONDS).limit():
            raise KeyError

    with pytest.raises(KeyError):
        asyncio.run(limited())
