"""The database goes away, a commit breaks, the endpoint is told to stop or killed: what was acknowledged is stored."""

from __future__ import annotations

import signal
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import httpx
import orjson
import psycopg
import pytest

from atum_schema.migrate import migrate
from tests.integration.test_api_durability import cutting
from tests.integration.test_api_slow_clients import PATIENT, crowd
from tests.nodes import eventually
from tests.steady import Steady
from tests.webhooks import BASIC, PASSWORD, PATH, USER, WebhookEndpoint, counted, delivery, stored

if TYPE_CHECKING:
    from atum_ops.stack.postgres import PostgresNode

QUICK = {**BASIC, "ATUM_API_STORE_TIMEOUT_S": "5"}


def test_while_the_database_is_away_everybody_is_told_to_come_again(own_postgres: PostgresNode) -> None:
    """D3: nothing is remembered of an event that was not stored, so it is taken when it is told again."""
    migrate(own_postgres.url)
    during = delivery()
    with WebhookEndpoint(own_postgres.url, settings=QUICK) as endpoint:
        assert endpoint.tell(delivery()).status_code == 200
        own_postgres.stop()
        refused = endpoint.tell(during, trace="during")
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) > 0
        assert httpx.get(endpoint.url + "/readyz", timeout=30).status_code == 503
        assert httpx.get(endpoint.url + "/healthz", timeout=30).status_code == 200
        own_postgres.start()
        assert eventually(
            lambda: httpx.get(endpoint.url + "/readyz", timeout=30).status_code == 200, seconds=60
        )
        assert endpoint.tell(during, trace="during").json() == {"ok": True, "duplicate": False}
        assert eventually(lambda: counted(own_postgres.url).get("webhook_refused: not stored") == 1)


def test_a_frozen_database_costs_nobody_more_than_the_time_that_is_set(own_postgres: PostgresNode) -> None:
    migrate(own_postgres.url)
    with WebhookEndpoint(own_postgres.url, settings=QUICK) as endpoint:
        assert endpoint.tell(delivery()).status_code == 200
        own_postgres.freeze()
        try:
            begun = time.monotonic()
            assert [endpoint.tell(delivery()).status_code for _ in range(2)] == [503] * 2
            assert time.monotonic() - begun < 25
            assert endpoint.tell(delivery(), basic=None).status_code == 401
        finally:
            own_postgres.resume()
        assert eventually(lambda: endpoint.tell(delivery()).status_code == 200, seconds=30)


@pytest.mark.parametrize("reaches", [True, False], ids=["after it was stored", "before it was stored"])
def test_a_commit_that_breaks_is_repeated_and_the_event_is_new_all_the_same(
    database_url: str, reaches: bool
) -> None:
    with cutting(database_url) as proxy, WebhookEndpoint(proxy.url) as endpoint:
        for place in range(3):
            proxy.arm(b"COMMIT", reaches=reaches)
            assert endpoint.tell(delivery()).json() == {"ok": True, "duplicate": False}
            assert proxy.cuts == place + 1
    assert len(stored(database_url)) == 3
    assert counted(database_url) == {"webhook_accepted": 3}


def test_events_that_another_holds_back_do_not_hold_back_those_that_come_with_them(database_url: str) -> None:
    held = ["one", "two"]
    with (
        WebhookEndpoint(database_url) as endpoint,
        psycopg.connect(database_url) as stranger,
        ThreadPoolExecutor(20) as threads,
    ):
        event = delivery()
        for trace in held:
            assert endpoint.tell(event, trace=trace).status_code == 200
        # Whoever stores them again has to wait for the end of this transaction.
        stranger.execute("DELETE FROM atum.webhook_inbox")
        waiting = [threads.submit(endpoint.tell, event, trace=trace) for trace in held * 2]
        others = [threads.submit(endpoint.tell, delivery()) for _ in range(12)]
        assert [other.result().status_code for other in others] == [200] * 12
        assert not any(one.done() for one in waiting)
        stranger.rollback()
        assert {one.result().status_code for one in waiting} == {200}


def test_an_endpoint_that_is_told_to_stop_answers_what_it_has_taken(database_url: str) -> None:
    with WebhookEndpoint(database_url) as endpoint, Load(endpoint) as load:
        load.await_answers(100)
        endpoint.process.signal(signal.SIGTERM)
        assert eventually(lambda: not endpoint.process.running)
        assert endpoint.process.stop() == 0
    assert load.broken == 0
    load.check(database_url)


def test_an_endpoint_that_is_killed_has_kept_what_it_acknowledged(database_url: str) -> None:
    with WebhookEndpoint(database_url) as endpoint:
        with Load(endpoint) as load:
            load.await_answers(50)
            endpoint.process.kill()
            endpoint.start_again()
            load.await_answers(100)
        load.check(database_url)


def test_what_was_refused_is_counted_when_the_endpoint_ends(database_url: str) -> None:
    with WebhookEndpoint(database_url) as endpoint:
        assert endpoint.tell(delivery(), basic=None).status_code == 401
        assert endpoint.process.stop() == 0
    assert counted(database_url) == {"webhook_refused: credentials": 1}


@pytest.mark.parametrize(
    "said",
    [b"", b"POST /webhooks/postmark HTTP/1.1\r\nHost: x\r\nX-Slow: "],
    ids=["silent", "half a head"],
)
def test_a_thousand_half_open_connections_do_not_stop_genuine_events(database_url: str, said: bytes) -> None:
    with (
        WebhookEndpoint(database_url, settings={**BASIC, **PATIENT}) as endpoint,
        crowd(endpoint, 1000, said),
    ):
        assert [endpoint.tell(delivery()).status_code for _ in range(20)] == [200] * 20


def test_an_event_that_the_database_refuses_is_told_again_and_not_lost(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("ALTER TABLE atum.webhook_inbox ADD CONSTRAINT nothing CHECK (false) NOT VALID")
    with WebhookEndpoint(database_url) as endpoint:
        answer = endpoint.tell(delivery(Recipient="jane@example.net"))
        assert answer.status_code == 503
        assert "jane" not in endpoint.output()


class Load(Steady):
    """Four threads that tell events one after the other."""

    def __init__(self, endpoint: WebhookEndpoint) -> None:
        super().__init__(4)
        self._endpoint = endpoint
        self.answered: set[str] = set()

    def check(self, url: str) -> None:
        """What was acknowledged is stored, once."""
        found = [orjson.loads(body)["MessageID"] for body in stored(url)]
        assert len(found) == len(set(found))
        assert self.answered <= set(found)

    def go_on(self) -> None:
        with httpx.Client(base_url=self._endpoint.url, auth=(USER, PASSWORD), timeout=30) as http:
            while not self.stop.is_set():
                message = str(uuid.uuid4())
                try:
                    answer = http.post(PATH, json=delivery(MessageID=message))
                except httpx.ConnectError:
                    self.stop.wait(0.05)
                except httpx.TransportError:
                    self.note_broken()
                else:
                    assert answer.status_code in {200, 503}
                    if answer.status_code == 200:
                        self.answered.add(message)
