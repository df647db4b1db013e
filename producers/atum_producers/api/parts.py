"""What every server of ours is made of: routes that say what they take, errors that become answers, work without an end."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, TypeAlias

from starlette.routing import Route

from atum_producers.api.problems import Kind, Problem
from atum_schema import traces

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from contextlib import AsyncExitStack

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]
    Worded: TypeAlias = Callable[[Scope, Problem], Response]

log = logging.getLogger(__name__)


def route(path: str, **methods: Endpoint) -> Route:
    """Make one route of all the methods of a path, so that whoever uses another one is told all that there are."""

    async def endpoint(request: Request) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        return await methods[method](request)

    return Route(path, endpoint, methods=list(methods))


class Guard:
    """Turns an error of ours into an answer, and logs it without what it says: that may quote a mail.

    `worded` makes the answer.
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
            log.error("an error of ours", extra=traces.where(error))  # noqa: TRY400 (its message may quote a mail)
            if not started:
                problem = Problem(Kind.INTERNAL_ERROR, "an error of ours; the log of the API has it")
                await self._worded(scope, problem)(scope, receive, send)


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
