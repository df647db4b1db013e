"""Which endpoint a request is for: by its path and method, nothing else.

Our own, since a framework's general one costs as much as reading and encrypting a mail.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from starlette.requests import Request
from starlette.routing import Router, compile_path

from atum_producers.api.problems import Kind, Problem

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.responses import Response
    from starlette.types import Lifespan, Receive, Scope, Send

    Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]
    Methods: TypeAlias = Mapping[str, Endpoint]

_GAP: Final = "{"


class Routes:
    """Endpoints as an ASGI application. Raises the `Problem` of a path or a method that is not there, and what they raise.

    `endpoints` are by path, as Starlette writes them, and method; HEAD is as GET. `lifespan` is what lives as long as the
    application. `spelt` writes an asked path as those are written. Paths without a gap are found at once.
    """

    def __init__(
        self,
        endpoints: Mapping[str, Methods],
        *,
        lifespan: Lifespan[Any],
        spelt: Callable[[str], str] = str,
    ) -> None:
        self._life = Router(lifespan=lifespan)
        self._spelt = spelt
        every = {path: _with_head(methods) for path, methods in endpoints.items()}
        self._plain = {path: methods for path, methods in every.items() if _GAP not in path}
        self._gapped = [(compile_path(path)[0], methods) for path, methods in every.items() if _GAP in path]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._life(scope, receive, send)
            return
        endpoint = self._find(scope)
        response = await endpoint(Request(scope, receive))
        await response(scope, receive, send)

    def _find(self, scope: Scope) -> Endpoint:
        methods = self._methods(scope)
        method = scope["method"]
        endpoint = methods.get(method)
        if endpoint is None:
            raise Problem(
                Kind.METHOD_NOT_ALLOWED,
                f"{method} is not supported here",
                headers={"Allow": ", ".join(methods)},
            )
        return endpoint

    def _methods(self, scope: Scope) -> Methods:
        path = self._spelt(scope["path"])
        plain = self._plain.get(path)
        if plain is not None:
            return plain
        for pattern, methods in self._gapped:
            match = pattern.match(path)
            if match is not None:
                scope["path_params"] = match.groupdict()
                return methods
        raise Problem(Kind.NOT_FOUND, "no such path")


def _with_head(methods: Methods) -> Methods:
    return {**methods, "HEAD": methods["GET"]} if "GET" in methods else methods
