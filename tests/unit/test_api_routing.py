"""Requests find their endpoint by path and method, and what is not there is said in the caller's words."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from starlette.responses import Response

from atum_producers.api.parts import Guard
from atum_producers.api.problems import Kind, Problem, answer
from atum_producers.api.routing import Routes
from tests.logged import said

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request
    from starlette.types import ASGIApp, Scope

LIVED: list[str] = []


@asynccontextmanager
async def life(_app: object) -> AsyncIterator[None]:
    LIVED.append("began")
    yield
    LIVED.append("ended")


async def shown(request: Request) -> Response:
    return Response(f"{request.method} {sorted(request.path_params.items())}")


async def problem(_request: Request) -> Response:
    raise Problem(Kind.IN_PROGRESS, "wait", headers={"Retry-After": "1"})


async def broken(_request: Request) -> Response:
    raise RuntimeError("jane@example.net")


ROUTES = Routes(
    {
        "/mails": {"GET": shown, "POST": shown},
        "/mails/{id}": {"GET": shown, "DELETE": shown},
        "/mails/{id}/{rest:path}": {"PUT": shown},
        "/problem": {"GET": problem},
        "/broken": {"GET": broken},
    },
    lifespan=life,
    spelt=lambda path: path.lower() if path.startswith("/M") else path,
)


def worded(_scope: Scope, error: Exception) -> Response | None:
    return answer(error) if isinstance(error, Problem) else None


def asked(method: str, path: str, app: ASGIApp = ROUTES) -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(Guard(app, worded))
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as http:
            return await http.request(method, path)

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/mails", "GET []"),
        ("POST", "/MAILS", "POST []"),
        ("DELETE", "/mails/4", "DELETE [('id', '4')]"),
        ("GET", "/mails/a%20b", "GET [('id', 'a b')]"),
        ("PUT", "/mails/4/5/6", "PUT [('id', '4'), ('rest', '5/6')]"),
        ("PUT", "/mails/4/", "PUT [('id', '4'), ('rest', '')]"),
    ],
)
def test_a_path_and_a_method_find_their_endpoint(method: str, path: str, expected: str) -> None:
    assert asked(method, path).text == expected


def test_head_is_as_get() -> None:
    assert asked("HEAD", "/mails").status_code == 200


@pytest.mark.parametrize("path", ["/", "/mail", "/mails/", "/mailsx", "//mails", "/%7Bid%7D", "/Problem"])
def test_no_other_path_is_there(path: str) -> None:
    found = asked("GET", path)
    assert (found.status_code, found.json()["detail"]) == (404, "no such path")


def test_who_uses_another_method_is_told_all_that_there_are() -> None:
    refused = asked("PATCH", "/mails")
    assert (refused.status_code, refused.json()["detail"]) == (405, "PATCH is not supported here")
    assert set(refused.headers["allow"].split(", ")) == {"GET", "HEAD", "POST"}
    assert asked("GET", "/mails/4/5").headers["allow"] == "PUT"


def test_a_problem_ends_a_request_and_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    found = asked("GET", "/problem")
    assert (found.status_code, found.headers["retry-after"]) == (409, "1")
    assert said(caplog) == ""


def test_an_error_of_ours_is_answered_and_logged_without_its_words(caplog: pytest.LogCaptureFixture) -> None:
    found = asked("GET", "/broken")
    assert (found.status_code, found.json()["status"]) == (500, 500)
    assert "an error of ours" in said(caplog)
    assert "jane" not in said(caplog) + found.text


def test_what_breaks_after_an_answer_has_begun_is_logged_and_not_answered_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def half(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        raise Problem(Kind.IN_PROGRESS, "too late")

    assert asked("GET", "/", half).status_code == 200
    assert "an error of ours" in said(caplog)


def test_what_lives_as_long_as_the_application_begins_and_ends_with_it() -> None:
    LIVED.clear()
    messages = iter(["lifespan.startup", "lifespan.shutdown"])

    async def receive() -> Any:
        return {"type": next(messages)}

    sent: list[str] = []

    async def send(message: Any) -> None:
        sent.append(message["type"])

    asyncio.run(Guard(ROUTES, worded)({"type": "lifespan", "state": {}}, receive, send))
    assert (LIVED, sent) == (["began", "ended"], ["lifespan.startup.complete", "lifespan.shutdown.complete"])
