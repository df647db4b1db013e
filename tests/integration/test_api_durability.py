"""The database goes away, the connection dies at its commit, the API is killed: what was answered is true."""

from __future__ import annotations

import signal
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx
import psycopg
import pytest

from atum_schema.migrate import migrate
from tests.api import Api, add_client, letter
from tests.integration.test_mailer_uncertain import CuttingProxy
from tests.nodes import eventually
from tests.steady import Steady

if TYPE_CHECKING:
    from collections.abc import Iterator

    from atum_ops.stack.postgres import PostgresNode

QUICK = {"ATUM_API_STORE_TIMEOUT_S": "1.5"}


def subjects(url: str) -> list[str]:
    """List what is stored, complete with content and a place to wait."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT subject FROM atum.mail m JOIN atum.ready r ON r.mail_id = m.id"
            " JOIN atum.content c ON c.mail_id = m.id ORDER BY subject"
        )
        return [subject for (subject,) in rows]


def takes(shop: httpx.Client, subject: str) -> bool:
    """Whether a mail is taken, once however often it is handed over: the time that is set may be too short for once."""
    answer = shop.post("/v1/mails", json=letter(subject=subject), headers={"Idempotency-Key": subject})
    return answer.status_code == 202


def test_while_the_database_is_away_nothing_is_taken_and_afterwards_it_goes_on(
    own_postgres: PostgresNode,
) -> None:
    migrate(own_postgres.url)
    with Api(own_postgres.url, settings=QUICK) as api, api.client() as shop:
        assert eventually(lambda: takes(shop, "before"))
        own_postgres.stop()
        refused = shop.post("/v1/mails", json=letter(subject="during"))
        assert (refused.status_code, refused.json()["type"]) == (503, "/docs#unavailable")
        assert int(refused.headers["retry-after"]) > 0
        assert shop.get("/v1/mails").status_code == 503
        ready = shop.get("/readyz")
        assert (ready.status_code, ready.json()["status"]) == (503, "unavailable")
        assert shop.get("/healthz").status_code == 200
        # A key that nobody has ever heard of may be a new one: it is not called wrong while nobody can look.
        with api.http("atum_0123456789abcdef_" + "x" * 43) as stranger:
            assert stranger.get("/v1/mails").status_code == 503
        own_postgres.start()
        assert eventually(lambda: shop.get("/readyz").status_code == 200, seconds=60)
        assert eventually(lambda: takes(shop, "after"))
        assert subjects(own_postgres.url) == ["after", "before"]
        assert api.process.running


def test_a_database_that_is_frozen_costs_nobody_more_than_the_time_that_is_set(
    own_postgres: PostgresNode,
) -> None:
    migrate(own_postgres.url)
    with Api(own_postgres.url, settings=QUICK) as api, api.client() as shop:
        assert eventually(lambda: takes(shop, "before"))
        own_postgres.freeze()
        try:
            begun = time.monotonic()
            assert shop.get("/readyz").status_code == 503
            assert shop.get("/v1/mails").status_code == 503
            assert shop.post("/v1/mails", json=letter()).status_code == 503
            with api.http("atum_0123456789abcdef_" + "x" * 43) as stranger:
                assert stranger.get("/v1/mails").status_code == 503
            # Two seconds for the check, 1.5 for each request, twice three to ask for the key, and the machine's own.
            assert time.monotonic() - begun < 30
            assert shop.get("/healthz").status_code == 200
        finally:
            own_postgres.resume()
        assert eventually(lambda: shop.get("/readyz").status_code == 200, seconds=30)
        assert eventually(lambda: shop.post("/v1/mails", json=letter()).status_code == 202, seconds=30)


def test_a_restart_of_the_database_under_load_loses_and_doubles_nothing(own_postgres: PostgresNode) -> None:
    migrate(own_postgres.url)
    with Api(own_postgres.url) as api:
        key = add_client(own_postgres.url)
        with Load(api, key) as load:
            load.await_answers(50)
            own_postgres.kill()
            own_postgres.start()
            load.await_answers(100)
        load.check(own_postgres.url)


def test_an_api_that_is_killed_under_load_has_kept_what_it_answered(database_url: str) -> None:
    with Api(database_url) as api:
        key = add_client(database_url)
        with Load(api, key) as load:
            for number in (50, 100, 150):
                load.await_answers(number)
                api.process.kill()
                api.start_again()
            load.await_answers(200)
        load.check(database_url)


def test_an_api_that_is_told_to_stop_answers_what_it_has_taken(database_url: str) -> None:
    with Api(database_url) as api:
        key = add_client(database_url)
        with Load(api, key, again=False) as load:
            load.await_answers(100)
            api.process.signal(signal.SIGTERM)
            assert eventually(lambda: not api.process.running)
            assert api.process.stop() == 0
        assert load.broken == 0
        load.check(database_url)


@pytest.mark.parametrize("reaches", [True, False], ids=["after it was stored", "before it was stored"])
@pytest.mark.parametrize("key", [None, "order-1"], ids=["without a key", "with a key"])
def test_a_commit_that_breaks_is_repeated_until_it_is_certain(
    database_url: str, reaches: bool, key: str | None
) -> None:
    with cutting(database_url) as proxy, Api(proxy.url) as api, api.client() as shop:
        for place in range(5):
            # The mail itself, which every connection sends, whether the statement is prepared or not.
            proxy.arm(b"COMMIT" if key else f"mail-{place}".encode(), reaches=reaches)
            answer = shop.post(
                "/v1/mails",
                json=letter(subject=f"mail-{place}"),
                headers={"Idempotency-Key": f"{key}-{place}"} if key else {},
            )
            assert answer.status_code == 202
            assert "idempotency-replayed" not in answer.headers
            assert proxy.cuts == place + 1
    assert subjects(database_url) == [f"mail-{place}" for place in range(5)]


def test_a_commit_that_breaks_and_then_meets_a_lock_is_still_not_repeated_blindly(database_url: str) -> None:
    with (
        cutting(database_url) as proxy,
        Api(proxy.url) as api,
        api.client() as shop,
        psycopg.connect(database_url) as stranger,
    ):
        # Longer than the API waits for a lock, so that it is refused when it looks whether the mail is there.
        unlocking = threading.Timer(1.0, stranger.rollback)

        def lock() -> None:
            stranger.execute("LOCK TABLE atum.mail IN ACCESS EXCLUSIVE MODE")
            unlocking.start()

        proxy.arm(b"the mail", reaches=True, then=lock)
        answer = shop.post("/v1/mails", json=letter(subject="the mail"))
        assert proxy.cuts == 1
        unlocking.join()
        assert answer.status_code == 202
    assert subjects(database_url) == ["the mail"]


def test_a_mail_that_the_database_refuses_harms_only_its_own_request(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("ALTER TABLE atum.mail ADD CONSTRAINT no_poison CHECK (subject <> 'poison')")
    with Api(database_url) as api, api.client() as shop, ThreadPoolExecutor(16) as threads:
        asked = ["poison" if place % 20 == 7 else f"good {place}" for place in range(200)]
        answers = threads.map(lambda subject: shop.post("/v1/mails", json=letter(subject=subject)), asked)
        statuses = [answer.status_code for answer in answers]
        log = api.output()
    assert statuses == [500 if subject == "poison" else 202 for subject in asked]
    assert subjects(database_url) == sorted(subject for subject in asked if subject != "poison")
    # What the database says of it quotes the mail.
    assert "poison" not in log
    assert "jane@example.net" not in log


@contextmanager
def cutting(database_url: str) -> Iterator[CuttingProxy]:
    proxy = CuttingProxy(database_url)
    try:
        yield proxy
    finally:
        proxy.close()


class Load(Steady):
    """Eight threads that hand over mails, each again and again under its own key until it is answered."""

    def __init__(self, api: Api, key: str, *, again: bool = True) -> None:
        super().__init__(8)
        self._api, self._key, self._again = api, key, again
        self._tried: set[str] = set()
        self.answered: dict[str, str] = {}

    def check(self, url: str) -> None:
        """What was answered is there once, under the id that was answered."""
        stored = subjects(url)
        assert len(stored) == len(set(stored))
        assert set(self.answered) <= set(stored) <= self._tried
        with psycopg.connect(url) as connection:
            ids: dict[str, str] = dict(
                connection.execute("SELECT subject, id::text FROM atum.mail").fetchall()
            )
        assert {subject: ids[subject] for subject in self.answered} == self.answered

    def go_on(self) -> None:
        with self._api.http(self._key) as http:
            while not self.stop.is_set():
                subject = uuid.uuid4().hex
                self._tried.add(subject)
                while subject not in self.answered and not self.stop.is_set():
                    self._hand_over(http, subject)
                    if not self._again and subject not in self.answered:
                        return

    def _hand_over(self, http: httpx.Client, subject: str) -> None:
        try:
            answer = http.post(
                "/v1/mails", json=letter(subject=subject), headers={"Idempotency-Key": subject}
            )
        except httpx.ConnectError:
            self.stop.wait(0.05)
            return
        except httpx.TransportError:
            self.note_broken()
            return
        if answer.status_code == 202:
            self.answered[subject] = answer.json()["id"]
        else:
            assert answer.status_code in {409, 503}, answer.text
            self.stop.wait(0.05)
