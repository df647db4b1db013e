"""What an application calls its request is what our lines call it, if it can be logged."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import httpx
import pytest

from atum_producers.api.correlation import Correlated, correlation_id
from atum_schema import log_context

CORRELATION, REQUEST = b"x-correlation-id", b"x-request-id"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([(CORRELATION, b"order-4711")], b"order-4711"),
        ([(REQUEST, b"req_1"), (CORRELATION, b"order-4711")], b"order-4711"),
        ([(REQUEST, b"req_1")], b"req_1"),
        ([(CORRELATION, b"jane@example.com"), (REQUEST, b"req_1")], b"req_1"),
        ([(CORRELATION, b"a"), (CORRELATION, b"b")], b"a"),
        ([(CORRELATION, b"x" * 128)], b"x" * 128),
    ],
)
def test_the_first_good_id_is_taken(headers: list[tuple[bytes, bytes]], expected: bytes) -> None:
    assert correlation_id(headers) == expected


@pytest.mark.parametrize(
    "value", [b"", b"a b", b"jane@example.com", b"x" * 129, "ü".encode(), b"a\tb", b"{}", b"a%40b"]
)
def test_what_cannot_be_logged_as_it_is_gets_a_new_id(value: bytes) -> None:
    one, other = (correlation_id([(CORRELATION, value)]) for _ in range(2))
    assert UUID(one.decode()) != UUID(other.decode())


def test_the_answer_and_the_lines_have_it_and_nothing_stays() -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        del scope, receive
        seen.append(log_context.bound()["correlation_id"])
        await send({"type": "http.response.start", "status": 204, "headers": [(b"x-own", b"1")]})
        await send({"type": "http.response.body", "body": b""})

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(Correlated(app))
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as http:
            answer = await http.get("/", headers={"X-Correlation-Id": "order-4711"})
        assert log_context.bound() == {}
        return answer

    answer = asyncio.run(ask())
    assert (answer.headers["x-correlation-id"], answer.headers["x-own"]) == ("order-4711", "1")
    assert seen == ["order-4711"]


def test_an_answer_that_is_made_once_for_all_has_the_id_of_its_own_request_alone() -> None:
    start = {"type": "http.response.start", "status": 204, "headers": [(b"x-own", b"1")]}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        del scope, receive
        await send(start)
        await send({"type": "http.response.body", "body": b""})

    async def ask() -> list[list[str]]:
        transport = httpx.ASGITransport(Correlated(app))
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as http:
            answers = [await http.get("/", headers={"X-Correlation-Id": one}) for one in ("a", "b", "c")]
        return [answer.headers.get_list("x-correlation-id") for answer in answers]

    assert asyncio.run(ask()) == [["a"], ["b"], ["c"]]
    assert start["headers"] == [(b"x-own", b"1")]
