"""Counting requests, as the outermost ASGI application: how many, how they were answered, how long they took.

What is refused before it is a request (a head that is too slow or too large, one connection too many) does not come here.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from atum_producers.api.postmark import dialect
from atum_schema import metrics_catalogue as catalogue
from atum_schema.metrics_harmless import Harmless, harmless

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from atum_schema.metrics import Child, Meter

_OURS: Final = "v1"
_GROUPS: Final = {"healthz": "health", "readyz": "health", "docs": "docs", "openapi.json": "docs"}
_RESOURCES: Final = frozenset({"mails", "suppressions"})


def endpoint_of(path: str) -> str:
    """Say which group of the API's endpoints a path belongs to: one of few, whatever is asked for."""
    first, second, *_ = [*path.removeprefix("/").split("/", 2), ""]
    if first == _OURS:
        return second if second in _RESOURCES else "other"
    return _GROUPS.get(first) or ("postmark" if dialect.is_path(path) else "other")


class HttpMetering(Harmless):
    """Counts what goes through it. `group` gives the endpoint of a path, a value of the label."""

    def __init__(self, app: ASGIApp, meter: Meter, group: Callable[[str], str]) -> None:
        super().__init__()
        self._app = app
        self._group = group
        names = catalogue.FIXED["endpoint"]
        self._durations: dict[str, Child] = {
            name: meter.of(catalogue.HTTP_DURATION, endpoint=name) for name in names
        }
        self._requests: dict[tuple[str, int], Child] = {
            (name, int(status[0])): meter.of(catalogue.HTTP_REQUESTS, endpoint=name, http_class=status)
            for name in names
            for status in catalogue.FIXED["http_class"]
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status = 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, sending)
        finally:
            self._count(scope["path"], status, time.perf_counter() - began)

    @harmless
    def _count(self, path: str, status: int, seconds: float) -> None:
        # Who was not answered has hung up.
        if status:
            name = self._group(path)
            self._requests[name, status // 100].inc()
            self._durations[name].observe(seconds)
