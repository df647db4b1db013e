"""`/v1/mails`: what is taken is durable, what is refused is nowhere, and each client sees its own."""

from __future__ import annotations

import socket
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx
import psycopg
import pytest

from atum_producers.api.clients_store import Scope
from tests.api import Api, letter
from tests.nodes import Databases

if TYPE_CHECKING:
    from collections.abc import Iterator

    from atum_ops.stack.postgres import PostgresNode


@pytest.fixture(scope="module")
def api(postgres_node: PostgresNode) -> Iterator[Api]:
    with Databases(postgres_node).fresh() as url, Api(url) as running:
        yield running


@pytest.fixture
def shop(api: Api) -> Iterator[httpx.Client]:
    """A client that no other test shares."""
    with api.client(f"shop-{uuid.uuid4().hex[:12]}") as http:
        yield http


def stored(api: Api, ids: list[str]) -> list[tuple[str, str]]:
    """Give status and subject of the mails, in order of the ids."""
    with psycopg.connect(api.database_url) as connection:
        rows = connection.execute(
            "SELECT id::text, status, subject FROM atum.mail WHERE id = ANY(%s::uuid[])", (ids,)
        ).fetchall()
    found = {row[0]: row[1:] for row in rows}
    return [found[one] for one in ids if one in found]


def count(api: Api) -> int:
    with psycopg.connect(api.database_url) as connection:
        row = connection.execute("SELECT count(*) FROM atum.mail").fetchone()
    assert row is not None
    return int(row[0])


def test_a_mail_is_in_the_log_when_its_id_is_answered(api: Api, shop: httpx.Client) -> None:
    answer = shop.post("/v1/mails", json=letter(subject="One"))
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/v1/mails/{answer.json()['id']}"
    assert stored(api, [answer.json()["id"]]) == [("queued", "One")]


def test_an_array_is_stored_in_its_order(api: Api, shop: httpx.Client) -> None:
    answer = shop.post("/v1/mails", json=[letter(subject=f"No. {place}") for place in range(500)])
    assert answer.status_code == 202
    ids = [one["id"] for one in answer.json()]
    assert stored(api, ids) == [("queued", f"No. {place}") for place in range(500)]


def test_an_array_with_bad_mails_is_refused_as_a_whole_and_names_each(api: Api, shop: httpx.Client) -> None:
    before = count(api)
    answer = shop.post("/v1/mails", json=[letter(), letter(to="nobody"), letter(), letter(colour="red")])
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["type"] == "/docs#mail-rejected"
    assert [(error["index"], error["field"]) for error in problem["errors"]] == [(1, "to[0]"), (3, "colour")]
    assert count(api) == before


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"{", 400, "not JSON"),
        (b"[]", 400, "the array has 0 mails, must have from 1 to 500"),
        (b"[" + b",".join([b"{}"] * 501) + b"]", 400, "the array has 501 mails"),
        (b'"mail"', 422, "must be a JSON object"),
        (b'{"id": "x"}', 422, "is assigned here"),
        (b'{"version": 2}', 422, "from"),
        (b"\xff", 400, "not JSON"),
        (b"", 400, "not JSON"),
    ],
)
def test_what_is_no_mail_is_refused_in_words(
    shop: httpx.Client, body: bytes, status: int, words: str
) -> None:
    answer = shop.post("/v1/mails", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status
    assert words in answer.json()["detail"]


def test_a_body_of_another_type_is_refused(shop: httpx.Client) -> None:
    answer = shop.post("/v1/mails", content=b"a=b", headers={"Content-Type": "text/plain"})
    assert (answer.status_code, answer.json()["type"]) == (415, "/docs#not-json")


def test_a_body_that_declares_too_much_is_refused_before_it_is_sent(api: Api, shop: httpx.Client) -> None:
    key = shop.headers["authorization"]
    with socket.create_connection(("127.0.0.1", api.port), timeout=30) as raw:
        raw.sendall(
            f"POST /v1/mails HTTP/1.1\r\nHost: x\r\nAuthorization: {key}\r\nContent-Type: application/json\r\n"
            "Content-Length: 50000001\r\n\r\n".encode()
        )
        answer = b"".join(iter(lambda: raw.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"/docs#too-large" in answer


def test_a_body_that_grows_beyond_the_limit_is_refused(api: Api, shop: httpx.Client) -> None:
    def much() -> Iterator[bytes]:
        for _ in range(60):
            yield b" " * 1_000_000

    with suppress(httpx.TransportError):
        # The end of the connection may overtake the answer while the client still writes.
        answer = shop.post("/v1/mails", content=much(), headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.json()["type"]) == (413, "/docs#too-large")
    with api.http() as other:
        assert other.get("/healthz").status_code == 200


def test_the_same_key_and_content_gives_the_same_answer_and_one_mail(api: Api, shop: httpx.Client) -> None:
    before = count(api)
    head = {"Idempotency-Key": "order-1"}
    first, again = [shop.post("/v1/mails", json=letter(), headers=head) for _ in range(2)]
    assert first.json() == again.json()
    assert (first.status_code, again.status_code) == (202, 202)
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert count(api) == before + 1


def test_an_array_is_replayed_as_a_whole(api: Api, shop: httpx.Client) -> None:
    before = count(api)
    head = {"Idempotency-Key": "orders"}
    mails = [letter(subject=f"{place}") for place in range(3)]
    first, again = [shop.post("/v1/mails", json=mails, headers=head) for _ in range(2)]
    assert first.json() == again.json()
    assert again.headers["idempotency-replayed"] == "true"
    assert count(api) == before + 3


@pytest.mark.parametrize(
    "other",
    [
        [letter()],
        [letter(), letter(), letter()],
        [letter(), letter(subject="Other")],
        [letter(subject="Other"), letter()],
        letter(),
    ],
    ids=["shorter", "longer", "changed at its end", "changed at its beginning", "single"],
)
def test_a_key_with_other_content_is_refused_and_leaves_nothing(
    api: Api, shop: httpx.Client, other: Any
) -> None:
    head = {"Idempotency-Key": "orders"}
    first = shop.post("/v1/mails", json=[letter(), letter()], headers=head)
    before = count(api)
    refused = shop.post("/v1/mails", json=other, headers=head)
    assert (refused.status_code, refused.json()["type"]) == (422, "/docs#key-reused")
    assert count(api) == before
    # A key that only the refused request had is free again.
    assert shop.post("/v1/mails", json=[letter(), letter()], headers=head).json() == first.json()


def test_keys_in_the_documents_work_as_for_other_ways_in(api: Api, shop: httpx.Client) -> None:
    before = count(api)
    mails = [letter(idempotency_key="a"), letter(idempotency_key="b")]
    first = shop.post("/v1/mails", json=mails).json()
    # The key beside the mail and the key within it are the same key.
    again = shop.post("/v1/mails", json=letter(), headers={"Idempotency-Key": "a"})
    assert again.json() == first[0]
    assert count(api) == before + 2
    both = shop.post("/v1/mails", json=mails, headers={"Idempotency-Key": "c"})
    assert both.status_code == 422
    assert "keep one" in both.json()["detail"]


def test_a_bad_key_is_refused_by_name(shop: httpx.Client) -> None:
    answer = shop.post("/v1/mails", json=letter(), headers={"Idempotency-Key": "x" * 256})
    assert answer.status_code == 400
    assert "Idempotency-Key" in answer.json()["detail"]


def test_a_key_that_is_being_worked_on_is_in_progress_and_then_replayed(api: Api, shop: httpx.Client) -> None:
    with psycopg.connect(api.database_url) as other:
        # Another process is storing under the same key and has not committed.
        client = other.execute("SELECT name FROM atum.api_client ORDER BY created_at DESC LIMIT 1").fetchone()
        assert client is not None
        other.execute(
            "INSERT INTO atum.idempotency (client, key, fingerprint, mail_id) VALUES (%s, 'k', '', gen_random_uuid())",
            client,
        )
        refused = shop.post("/v1/mails", json=letter(), headers={"Idempotency-Key": "k"})
        assert (refused.status_code, refused.json()["type"]) == (409, "/docs#in-progress")
        # Nobody else has to wait for it.
        assert shop.post("/v1/mails", json=letter()).status_code == 202
        other.rollback()
    assert shop.post("/v1/mails", json=letter(), headers={"Idempotency-Key": "k"}).status_code == 202


def test_many_requests_with_one_key_at_once_store_one_mail(api: Api, shop: httpx.Client) -> None:
    before = count(api)
    with ThreadPoolExecutor(16) as threads:
        answers = list(
            threads.map(
                lambda _: shop.post("/v1/mails", json=letter(), headers={"Idempotency-Key": "once"}),
                range(64),
            )
        )
    assert {answer.status_code for answer in answers} <= {202, 409}
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 202}) == 1
    assert count(api) == before + 1


def test_clients_do_not_share_keys(api: Api, shop: httpx.Client) -> None:
    head = {"Idempotency-Key": "same"}
    with api.client(f"other-{uuid.uuid4().hex[:8]}") as other:
        ids = {http.post("/v1/mails", json=letter(), headers=head).json()["id"] for http in (shop, other)}
    assert len(ids) == 2


def test_a_mail_is_shown_with_its_story(shop: httpx.Client) -> None:
    sent = letter(
        to=["jane@example.net", "Joe <joe@example.net>"], cc="c@example.net", metadata={"order": "7"}
    )
    mail_id = shop.post("/v1/mails", json=sent).json()["id"]
    shown = shop.get(f"/v1/mails/{mail_id}").json()
    assert (shown["id"], shown["status"], shown["lane"]) == (mail_id, "queued", "transactional")
    assert (shown["from"], shown["to"], shown["cc"]) == (
        "App <app@example.com>",
        "jane@example.net, Joe <joe@example.net>",
        "c@example.net",
    )
    assert shown["metadata"] == {"order": "7"}
    assert [step["cause"] for step in shown["timeline"]] == ["accepted"]
    assert "text" not in shown


def test_a_mail_can_be_cancelled_once_and_again_and_only_before_it_is_sent(
    api: Api, shop: httpx.Client
) -> None:
    mail_id = shop.post("/v1/mails", json=letter()).json()["id"]
    for _ in range(2):
        answer = shop.delete(f"/v1/mails/{mail_id}")
        assert (answer.status_code, answer.json()) == (200, {"id": mail_id, "status": "canceled"})
    assert shop.get(f"/v1/mails/{mail_id}").json()["status"] == "canceled"
    dead = shop.post("/v1/mails", json=letter()).json()["id"]
    with psycopg.connect(api.database_url) as connection:
        connection.execute("UPDATE atum.mail SET status = 'dead', finished_at = now() WHERE id = %s", (dead,))
    refused = shop.delete(f"/v1/mails/{dead}")
    assert (refused.status_code, refused.json()["mail_status"]) == (409, "dead")


def test_the_list_is_newest_first_and_its_pages_join_without_gap_or_overlap(shop: httpx.Client) -> None:
    ids = [one["id"] for one in shop.post("/v1/mails", json=[letter() for _ in range(23)]).json()]
    seen: list[str] = []
    cursor: str | None = None
    pages = 0
    while True:
        page = shop.get("/v1/mails", params={"limit": "5"} | ({} if cursor is None else {"cursor": cursor}))
        seen += [mail["id"] for mail in page.json()["mails"]]
        pages += 1
        cursor = page.json()["next"]
        if cursor is None:
            break
    assert seen == ids[::-1]
    assert pages == 5


@pytest.mark.parametrize(
    ("query", "subjects"),
    [
        ({"tag": "welcome"}, {"Welcome"}),
        ({"stream": "broadcast"}, {"News"}),
        ({"lane": "broadcast"}, {"News"}),
        ({"to": "JANE@example.net"}, {"Welcome", "News"}),
        ({"to": "joe@example.net"}, {"Order 7"}),
        ({"to": "oe@example.net"}, set()),
        ({"to": "jane@example.ne"}, set()),
        ({"from": "app@example.com"}, {"Welcome", "News", "Order 7", "Later"}),
        ({"subject": "ORDER"}, {"Order 7"}),
        ({"subject": "%"}, set()),
        ({"metadata.order": "7"}, {"Order 7"}),
        ({"metadata.order": "8"}, set()),
        ({"status": "scheduled"}, {"Later"}),
        ({"status": "scheduled,queued"}, {"Welcome", "News", "Order 7", "Later"}),
        ({"status": "dead"}, set()),
    ],
)
def test_the_list_can_be_narrowed(shop: httpx.Client, query: dict[str, str], subjects: set[str]) -> None:
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    made = shop.post(
        "/v1/mails",
        json=[
            letter(subject="Welcome", tag="welcome"),
            letter(subject="News", stream="broadcast"),
            letter(subject="Order 7", to="Joe <joe@example.net>", metadata={"order": "7"}),
            letter(subject="Later", to="x@example.net", send_at=later),
        ],
    )
    assert made.status_code == 202
    found = shop.get("/v1/mails", params=query)
    assert {mail["subject"] for mail in found.json()["mails"]} == subjects


def test_the_list_can_be_narrowed_by_time(shop: httpx.Client) -> None:
    shop.post("/v1/mails", json=letter())
    now = datetime.now(UTC)
    soon, past = (now + timedelta(minutes=1)).isoformat(), (now - timedelta(minutes=1)).isoformat()

    def number(**query: str) -> int:
        return len(shop.get("/v1/mails", params=query).json()["mails"])

    assert number(since=past) == number(until=soon) == number(since=past, until=soon) == 1
    assert number(since=soon) == number(until=past) == 0


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ({"limit": "201"}, "limit"),
        ({"limit": "-1"}, "limit"),
        ({"limit": "٣"}, "limit"),
        ({"cursor": "x"}, "cursor"),
        ({"since": "yesterday"}, "since"),
        ({"status": "lost"}, "status"),
        ({"tag": "a\0b"}, "tag"),
        ({"colour": "red"}, "colour"),
        ({"subject": "x" * 2001}, "subject"),
    ],
)
def test_a_bad_question_is_refused_by_name(shop: httpx.Client, query: dict[str, str], name: str) -> None:
    answer = shop.get("/v1/mails", params=query)
    assert answer.status_code == 400
    assert answer.json()["parameter"] == name


def test_what_a_client_may_send_in_a_second_is_bounded(api: Api) -> None:
    with api.client(f"slow-{uuid.uuid4().hex[:8]}", rate=2.0) as http:
        assert http.post("/v1/mails", json=[letter() for _ in range(50)]).status_code == 202
        refused = http.post("/v1/mails", json=letter())
    assert (refused.status_code, refused.json()["type"]) == (429, "/docs#too-many-requests")
    # What a busy machine took between the two is over already.
    assert 10 <= int(refused.headers["retry-after"]) <= 25


def test_a_client_sends_from_its_domains_only(api: Api) -> None:
    with api.client(f"news-{uuid.uuid4().hex[:8]}", domains=["example.com"]) as http:
        assert http.post("/v1/mails", json=letter(**{"from": "a@EXAMPLE.com"})).status_code == 202
        before = count(api)
        refused = http.post("/v1/mails", json=[letter(), letter(**{"from": "a@sub.example.com"})])
        assert (refused.status_code, refused.json()["index"]) == (403, 1)
        assert count(api) == before


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("POST", "/v1/mails", Scope.SEND),
        ("GET", "/v1/mails", Scope.READ),
        ("GET", "/v1/mails/01932c5e-7d1a-7000-8000-5f3c1b2a4d6e", Scope.READ),
        ("DELETE", "/v1/mails/01932c5e-7d1a-7000-8000-5f3c1b2a4d6e", Scope.MANAGE),
    ],
)
def test_each_endpoint_wants_its_scope(api: Api, method: str, path: str, scope: Scope) -> None:
    others = [one for one in Scope if one is not scope]
    with api.client(f"some-{uuid.uuid4().hex[:8]}", scopes=others) as http:
        answer = http.request(method, path, json=letter() if method == "POST" else None)
    assert (answer.status_code, answer.json()["scope"]) == (403, scope.value)
