"""What the endpoint answers: one small document, the same words each time, never anything of the request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson
from starlette.responses import Response

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import ASGIApp, Receive, Scope, Send

_TYPE: Final = "application/json"


class _Ready:
    """An answer that is always the same, as an ASGI application: the hot path makes it only once."""

    def __init__(self, document: object) -> None:
        response = Response(orjson.dumps(document), media_type=_TYPE)
        self._start = {"type": "http.response.start", "status": 200, "headers": response.raw_headers}
        self._body = {"type": "http.response.body", "body": response.body}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        await send(self._start)
        await send(self._body)


_NEW: Final = _Ready({"ok": True, "duplicate": False})
_KNOWN: Final = _Ready({"ok": True, "duplicate": True})


def stored(*, duplicate: bool) -> ASGIApp:
    """Say that the event is stored, and whether it was before."""
    return _KNOWN if duplicate else _NEW


def refusal(status: int, error: str, *, headers: Mapping[str, str] | None = None) -> Response:
    """Say why nothing was taken."""
    body = orjson.dumps({"ok": False, "error": error})
    return Response(body, status_code=status, headers=headers, media_type=_TYPE)
