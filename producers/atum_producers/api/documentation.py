"""`/openapi.json` and `/docs`: what the API says of itself, to everybody, without a word about clients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from starlette.responses import Response

from atum_producers.api import documentation_page

if TYPE_CHECKING:
    from starlette.requests import Request

_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "max-age=300",
}


class Documentation:
    """Both endpoints, made once: they cost no more than sending them."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = orjson.dumps(document)
        self._page = documentation_page.page(document).encode()
        # No script, no picture, nothing from elsewhere; the one style sheet is known by its hash.
        self._policy = (
            f"default-src 'none'; style-src '{documentation_page.style_hash()}'; base-uri 'none'; "
            "form-action 'none'; frame-ancestors 'none'"
        )

    async def openapi(self, request: Request) -> Response:
        """Give the OpenAPI document."""
        del request
        return Response(self._document, headers=_ALWAYS, media_type="application/json")

    async def page(self, request: Request) -> Response:
        """Give the page for people."""
        del request
        return Response(
            self._page,
            headers={**_ALWAYS, "Content-Security-Policy": self._policy},
            media_type="text/html",
        )
