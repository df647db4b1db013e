"""What the HTTP processes count agrees with what they answered, request by request and event by event."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import httpx
import pytest

from atum_schema import metrics_catalogue as m
from tests.api import Api, letter
from tests.scraping import Scrape, await_scrape, url_in
from tests.webhooks import BASIC, WebhookEndpoint, counted, delivery

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVED = {"ATUM_METRICS_PORT": "0"}
WRONG = ("postmark", "a wrong password")


@pytest.fixture
def api(database_url: str) -> Iterator[Api]:
    with Api(database_url, settings=SERVED) as api:
        yield api


@pytest.fixture
def endpoint(database_url: str) -> Iterator[WebhookEndpoint]:
    with WebhookEndpoint(database_url, settings={**BASIC, **SERVED}) as endpoint:
        yield endpoint


def test_requests_are_counted_by_endpoint_and_class(api: Api) -> None:
    with api.client() as client, api.http() as stranger:
        asked = [
            (client.post("/v1/mails", json=letter()), "mails"),
            (client.post("/v1/mails", json=letter(to="nobody")), "mails"),
            (stranger.get("/v1/mails"), "mails"),
            (client.get("/v1/suppressions?stream=outbound"), "suppressions"),
            (client.get("/healthz"), "health"),
            (client.get("/readyz"), "health"),
            (client.get("/docs"), "docs"),
            (client.get("/openapi.json"), "docs"),
            (stranger.post("/email", json={}), "postmark"),
            (stranger.get("/Server/"), "postmark"),
            (client.get("/v1/elsewhere"), "other"),
            (client.get("/jane@example.net"), "other"),
            (client.put("/v1/mails"), "mails"),
        ]
    expected: dict[tuple[str, str], int] = {}
    for answer, group in asked:
        key = (group, f"{answer.status_code // 100}xx")
        expected[key] = expected.get(key, 0) + 1

    def found(now: Scrape) -> dict[tuple[str, str], int]:
        return {
            (group, status): number
            for group in m.FIXED["endpoint"]
            for status, number in now.values(m.HTTP_REQUESTS, "http_class", endpoint=group).items()
        }

    # A request is counted when its answer has been sent.
    seen = await_scrape(url_in(api.output()), lambda now: found(now) == expected)
    assert seen.value(m.HTTP_DURATION, "_count", endpoint="mails") == 4
    assert seen.value(m.HTTP_DURATION, "_sum", endpoint="mails") > 0


def test_mails_are_counted_once_each_whatever_way_in_they_took(api: Api, database_url: str) -> None:
    with api.client() as client:
        for _ in range(2):
            taken = client.post("/v1/mails", json=letter(), headers={"Idempotency-Key": "once"})
            assert taken.status_code in {200, 202}
        assert client.post("/v1/mails", json=[letter(), letter()]).status_code == 202
        key = client.headers["authorization"].partition(" ")[2]
        sent = client.post(
            "/email",
            json={"From": "app@example.com", "To": "jane@example.net", "Subject": "s", "TextBody": "t"},
            headers={"X-Postmark-Server-Token": key},
        )
        assert sent.status_code == 200
    seen = await_scrape(url_in(api.output()), lambda now: now.value(m.MAILS_TAKEN) == 4)
    assert seen.value(m.POOL, pool_state="open") >= 1


def test_requests_to_the_webhook_endpoint_are_counted_as_postgres_counts_them(
    endpoint: WebhookEndpoint, database_url: str
) -> None:
    event = delivery()
    now = datetime.now(UTC)
    told = [
        endpoint.tell(event),
        endpoint.tell(event),
        endpoint.tell(delivery(DeliveredAt=(now - timedelta(seconds=100)).isoformat())),
        endpoint.tell(delivery(DeliveredAt=(now + timedelta(hours=1)).isoformat())),
        endpoint.tell(delivery(RecordType="Bounce", ID=7, Type="HardBounce", BouncedAt=now.isoformat())),
        endpoint.tell(delivery(RecordType="Jane@example.net")),
        endpoint.tell(b"no document"),
        endpoint.tell(delivery(), basic=WRONG),
    ]
    assert [answer.status_code for answer in told] == [200] * 7 + [401]
    url = url_in(endpoint.output())
    asked = {"stored": 6, "duplicate": 1, "credentials": 1}
    seen = await_scrape(url, lambda now: now.values(m.WEBHOOK_REQUESTS, "webhook") == asked)
    assert seen.values(m.WEBHOOK_EVENTS, "record_type") == {"Delivery": 3, "Bounce": 1, "other": 2}
    # What has no time that can be read has no lag, and no clock makes one that is negative.
    assert seen.value(m.WEBHOOK_LAG, "_count") == 5
    assert "jane" not in seen.text.lower()
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: endpoint.tell(delivery(), basic=WRONG), range(200)))
    seen = await_scrape(
        url,
        lambda then: (
            then.values(m.WEBHOOK_REQUESTS, "webhook")
            == {
                "stored": 6,
                "duplicate": 1,
                **{
                    name.removeprefix("webhook_refused: ").replace(" ", "_"): number
                    for name, number in counted(database_url).items()
                    if name.startswith("webhook_refused: ")
                },
            }
        ),
        seconds=60,
    )
    assert seen.value(m.WEBHOOK_REQUESTS, webhook="too_many") > 0
    answered = {"2xx": 7, "4xx": 201}
    await_scrape(url, lambda now: now.values(m.HTTP_REQUESTS, "http_class", endpoint="webhook") == answered)


def test_what_the_endpoint_of_webhooks_is_asked_besides_is_counted_apart(endpoint: WebhookEndpoint) -> None:
    for path in ("/healthz", "/readyz", "/elsewhere"):
        httpx.get(endpoint.url + path, timeout=30)
    asked = {"health": 2, "other": 1}
    await_scrape(url_in(endpoint.output()), lambda now: now.values(m.HTTP_REQUESTS, "endpoint") == asked)
