"""What every server of ours is made of: errors that become answers, and work without an end."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, TypeAlias

from atum_producers.api.problems import Kind, Problem
from atum_schema import traces

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from contextlib import AsyncExitStack

    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    Worded: TypeAlias = Callable[[Scope, Exception], Response | None]

log = logging.getLogger(__name__)


class Guard:
    """Turns what was raised into an answer; logs what nobody expected without what it says: that may quote a mail.

    `worded` makes the answer: None of what is no way to end a request, never None of a `Problem`.
    """

    def __init__(self, app: ASGIApp, worded: Worded) -> None:
        self._app = app
        self._worded = worded

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except Exception as error:  # noqa: BLE001 (whatever it is, the client gets an answer)
            answer = None if started else self._worded(scope, error)
            if answer is None:
                log.error("an error of ours", extra=traces.where(error))  # noqa: TRY400 (its message may quote a mail)
                answer = None if started else self._worded(scope, _ours())
            if answer is not None:
                await answer(scope, receive, send)


def _ours() -> Problem:
    return Problem(Kind.INTERNAL_ERROR, "an error of ours; the log of the API has it")


def keep_running(stack: AsyncExitStack, work: Coroutine[Any, Any, None], *, name: str) -> None:
    """Run what has no end until the stack is unwound. If it ends by an error, so does the process."""
    stack.push_async_callback(_ended, asyncio.create_task(_watched(work), name=name))


async def _watched(work: Coroutine[Any, Any, None]) -> None:
    # The process must not look alive without it.
    try:
        await work
    except Exception as error:  # noqa: BLE001 (the next line ends the process)
        log.critical("work that must not end has ended", extra=traces.where(error))
        raise SystemExit(1) from None


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
