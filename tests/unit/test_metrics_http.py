"""Which endpoint a path belongs to, whatever is asked for; and how a request is counted that ends in another way."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest

from atum_producers.api.metering import HttpMetering, endpoint_of
from atum_producers.webhooks.metering import group
from atum_schema import metrics_catalogue as m
from atum_schema.metrics import Meter
from tests.scraping import Scrape

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

PATHS = {
    "/v1/mails": "mails",
    "/v1/mails/0192": "mails",
    "/v1/suppressions": "suppressions",
    "/v1/suppressions/outbound/jane@example.net": "suppressions",
    "/v1": "other",
    "/v1/": "other",
    "/v1/mailsx": "other",
    "/email": "postmark",
    "/Email/Batch/": "postmark",
    "/messages/outbound/1/details": "postmark",
    "/healthz": "health",
    "/readyz": "health",
    "/docs": "docs",
    "/openapi.json": "docs",
    "/": "other",
    "": "other",
    "*": "other",
}


@pytest.mark.parametrize(("path", "expected"), PATHS.items())
def test_a_path_of_the_api_belongs_to_its_endpoint(path: str, expected: str) -> None:
    assert endpoint_of(path) == expected


@given(st.text())
def test_no_path_makes_an_endpoint_of_its_own(path: str) -> None:
    assert endpoint_of(path) in m.FIXED["endpoint"]
    assert group("/webhooks/postmark")(path) in m.FIXED["endpoint"]


def test_the_path_of_the_webhooks_is_the_one_that_is_set() -> None:
    of = group("/told")
    assert [of("/told"), of("/webhooks/postmark"), of("/readyz")] == ["webhook", "other", "health"]


async def answering(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 202, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def failing(scope: Scope, receive: Receive, send: Send) -> None:
    raise RuntimeError


async def hung_up(scope: Scope, receive: Receive, send: Send) -> None:
    """Say nothing, as to somebody who has gone."""


def counted(app: ASGIApp, kind: str = "http") -> Scrape:
    meter = Meter("api")

    async def nothing(*_message: Any) -> Any:
        return None

    async def ask() -> None:
        await HttpMetering(app, meter, endpoint_of)({"type": kind, "path": "/v1/mails"}, nothing, nothing)

    try:
        asyncio.run(ask())
    except RuntimeError:
        assert app is failing
    return Scrape(generate_latest(meter.registry).decode())


def test_an_answer_is_counted_with_its_class() -> None:
    seen = counted(answering)
    assert seen.values(m.HTTP_REQUESTS, "http_class", endpoint="mails") == {"2xx": 1}
    assert seen.value(m.HTTP_DURATION, "_count", endpoint="mails") == 1


@pytest.mark.parametrize("app", [failing, hung_up])
def test_who_was_not_answered_is_not_counted(app: ASGIApp) -> None:
    assert counted(app).values(m.HTTP_REQUESTS, "http_class") == {}


def test_what_is_no_request_is_passed_on_and_not_counted() -> None:
    assert counted(answering, kind="lifespan").values(m.HTTP_REQUESTS, "http_class") == {}
