"""Correlation ids: what an application calls its request stands in our log lines, and in our answer."""

from __future__ import annotations

import re
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

import uuid_utils

from atum_schema.log_context import work

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER: Final = b"x-correlation-id"
_ACCEPTED: Final = (HEADER, b"x-request-id")
# No @ and no blank: it is logged as it is, so it must not be able to hold an address or a sentence.
_GOOD: Final = re.compile(rb"[A-Za-z0-9._:/+=~-]{1,128}")


_CARES: Final[ContextVar[bool]] = ContextVar("atum_correlation_cares", default=False)


def caller_cares() -> bool:
    """Whether the caller of the request in hand has given something to find it again by."""
    return _CARES.get()


class Correlated:
    """Gives every request a correlation id: its own, or a new one where it has none that can be logged."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = [(name, value) for name, value in scope["headers"] if name in _ACCEPTED]
        own = correlation_id(given)
        _CARES.set(bool(given))

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                # A new message: the one at hand may be sent for every request.
                message = {**message, "headers": [*message.get("headers", ()), (HEADER, own)]}
            await send(message)

        with work(correlation_id=own.decode()):
            await self._app(scope, receive, sending)


def correlation_id(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Give the first good `X-Correlation-Id`, else `X-Request-Id`, else a new UUID. Names are in lower case."""
    given: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in _ACCEPTED and _GOOD.fullmatch(value):
            given.setdefault(name, value)
    # The standard library's takes thirty times as long.
    return (
        next((given[name] for name in _ACCEPTED if name in given), None) or str(uuid_utils.uuid4()).encode()
    )
