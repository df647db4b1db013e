"""An error of ours is answered so that the event comes again, and says nothing of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import httpx
import orjson

from atum_producers.api.parts import Guard
from atum_producers.webhooks import app
from tests.logged import said

if TYPE_CHECKING:
    import pytest
    from starlette.types import Receive, Scope, Send


QUOTED = "jane@example.net"


async def broken(scope: Scope, receive: Receive, send: Send) -> None:
    del scope, receive, send
    raise RuntimeError(QUOTED)


async def told() -> httpx.Response:
    guarded = Guard(broken, app._worded)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(guarded), base_url="http://x") as http:
        return await http.post("/webhooks/postmark", content=b"{}")


def test_an_error_of_ours_is_told_again_and_shows_nothing(caplog: pytest.LogCaptureFixture) -> None:
    answer = asyncio.run(told())
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    line = orjson.loads(said(caplog))
    assert (line["event"], line["error"]) == ("an error of ours", "RuntimeError")
    assert "broken" in line["exception"]
    assert QUOTED not in caplog.text + said(caplog) + answer.text
