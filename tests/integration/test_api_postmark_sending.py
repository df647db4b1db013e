"""`/email` and `/email/batch`: what has a MessageID is durable, and every refusal is in Postmark's words."""

from __future__ import annotations

import base64
import json
import socket
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import httpx
import psycopg
import pytest

from atum_producers.api.clients_store import Scope
from atum_producers.api.postmark.texts import UNAUTHORIZED
from atum_schema.document import decode_content
from atum_schema.encryption import Keyring
from atum_schema.migrate import migrate
from tests.api import CONTENT_KEYS, Api, add_client, letter
from tests.integration.test_mailer_uncertain import CuttingProxy
from tests.nodes import Databases, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from atum_ops.stack.postgres import PostgresNode

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def api(postgres_node: PostgresNode) -> Iterator[Api]:
    with Databases(postgres_node).fresh() as url, Api(url) as running:
        yield running


@contextmanager
def postmark(api: Api, key: str | None, **options: Any) -> Iterator[httpx.Client]:
    """Make an HTTP client that sends what Postmark's clients send."""
    token = {} if key is None else {"X-Postmark-Server-Token": key}
    headers = {"Accept": "application/json", **token}
    with httpx.Client(base_url=api.url, headers=headers, timeout=30, **options) as http:
        yield http


def new_key(api: Api, **options: Any) -> str:
    return add_client(api.database_url, f"shop-{uuid.uuid4().hex[:12]}", **options)


@pytest.fixture
def shop(api: Api) -> Iterator[httpx.Client]:
    """A client that no other test shares."""
    with postmark(api, new_key(api)) as http:
        yield http


def message(**fields: Any) -> dict[str, Any]:
    return {
        "From": "App <app@example.com>",
        "To": "jane@example.net",
        "Subject": "Hello",
        "TextBody": "Hi",
    } | fields


def subjects(url: str, ids: list[str] | None = None) -> list[str]:
    """List what is stored, complete with content and a place to wait, in the order of ids."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT subject FROM atum.mail m JOIN atum.ready r ON r.mail_id = m.id"
            " JOIN atum.content c ON c.mail_id = m.id"
            " WHERE %(ids)s::uuid[] IS NULL OR m.id = ANY(%(ids)s::uuid[]) ORDER BY id",
            {"ids": ids},
        )
        return [subject for (subject,) in rows]


def envelope(answer: httpx.Response) -> tuple[int, int, str]:
    """Read an error: that it is in Postmark's envelope, its status, its code and what it says."""
    document = answer.json()
    assert set(document) == {"ErrorCode", "Message"}
    assert answer.headers["x-pm-apierrorcode"] == str(document["ErrorCode"])
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    return answer.status_code, document["ErrorCode"], document["Message"]


def test_a_message_is_in_the_log_when_its_id_is_answered(api: Api, shop: httpx.Client) -> None:
    answer = shop.post("/email", json=message(Subject="One", Cc="Carl <carl@example.net>"))
    assert answer.status_code == 200
    told = answer.json()
    assert list(told) == ["To", "Cc", "SubmittedAt", "MessageID", "ErrorCode", "Message"]
    assert (told["To"], told["Cc"], told["ErrorCode"], told["Message"]) == (
        "jane@example.net",
        "Carl <carl@example.net>",
        0,
        "OK",
    )
    assert len(told["SubmittedAt"]) == len("2026-11-05T16:33:54.9070259Z")
    assert subjects(api.database_url, [told["MessageID"]]) == ["One"]


def test_a_mail_that_came_this_way_is_seen_by_the_other(api: Api) -> None:
    key = new_key(api)
    with postmark(api, key) as here, api.http(key) as there:
        mail_id = here.post("/email", json=message()).json()["MessageID"]
        assert there.get(f"/v1/mails/{mail_id}").json()["subject"] == "Hello"


@pytest.mark.parametrize("path", ["/email/", "/Email", "/EMAIL"])
def test_paths_are_read_whatever_their_case_and_with_a_slash(shop: httpx.Client, path: str) -> None:
    assert shop.post(path, json=message()).status_code == 200


def test_a_batch_stores_what_is_good_and_answers_what_is_not_in_its_place(
    api: Api, shop: httpx.Client
) -> None:
    before = len(subjects(api.database_url))
    answer = shop.post(
        "/email/batch",
        json=[
            message(Subject="a"),
            message(To="nobody"),
            message(Subject="b"),
            message(TextBody=None),
            message(Attachments=[{"Name": "x.exe", "Content": ""}]),
            message(Subject="c"),
        ],
    )
    assert answer.status_code == 200
    told = answer.json()
    assert [one["ErrorCode"] for one in told] == [0, 300, 0, 300, 411, 0]
    assert [set(one) for one in told if one["ErrorCode"]] == [{"ErrorCode", "Message"}] * 3
    ids = [one["MessageID"] for one in told if not one["ErrorCode"]]
    assert subjects(api.database_url, ids) == ["a", "b", "c"]
    assert len(subjects(api.database_url)) == before + 3


def test_a_batch_of_which_nothing_is_good_stores_nothing(api: Api, shop: httpx.Client) -> None:
    before = len(subjects(api.database_url))
    answer = shop.post("/email/batch", json=[message(To=""), message(From="")])
    assert [one["ErrorCode"] for one in answer.json()] == [300, 300]
    assert (answer.status_code, len(subjects(api.database_url))) == (200, before)
    assert shop.post("/email/batch", json=[]).json() == []


def test_five_hundred_are_a_batch_and_one_more_is_none(api: Api, shop: httpx.Client) -> None:
    mails = [message(Subject=f"{place}") for place in range(500)]
    told = shop.post("/email/batch", json=mails).json()
    ids = [one["MessageID"] for one in told]
    assert subjects(api.database_url, ids) == [f"{place}" for place in range(500)]
    before = len(subjects(api.database_url))
    assert envelope(shop.post("/email/batch", json=[*mails, message()])) == (
        422,
        410,
        "You may only send up to 500 messages in a single batched request.",
    )
    assert len(subjects(api.database_url)) == before


@pytest.mark.parametrize(
    ("path", "body", "status", "code", "words"),
    [
        ("/email", b"{", 422, 402, "Received invalid JSON input."),
        ("/email", b"", 422, 402, "Received invalid JSON input."),
        ("/email", b"[]", 422, 402, "Received invalid JSON input."),
        ("/email/batch", b"{}", 422, 402, "Received invalid JSON input."),
        ("/email", b'{"To": 1, "TrackOpens": 2}', 422, 403, "Invalid request field(s): 'To', 'TrackOpens'."),
        ("/email/batch", b'[{}, {"To": []}]', 422, 403, "Invalid request field(s): 'To'."),
        ("/email", b"{}", 422, 300, "Invalid 'From' address: ''."),
        ("/email/withTemplate", b"{}", 422, 1101, "Templates are not supported here"),
        ("/email/withTemplate/", b"{}", 422, 1101, "Templates are not supported here"),
        ("/email/batchWithTemplates", b'{"Messages": [{}]}', 422, 1101, "Templates are not supported here"),
        ("/email/bulk", b"{}", 404, 404, "The requested resource was not found."),
        ("/message-streams/outbound/suppressions", b"{}", 404, 404, "The requested resource was not found."),
        ("/server", b"{}", 405, 404, "POST is not supported here"),
    ],
)
def test_every_refusal_is_in_the_envelope(
    shop: httpx.Client, path: str, body: bytes, status: int, code: int, words: str
) -> None:
    said = envelope(shop.post(path, content=body, headers=JSON))
    assert said[:2] == (status, code)
    assert words in said[2]


@pytest.mark.parametrize(
    "path", ["/deliverystats", "/bounces", "/message-streams", "/stats/outbound", "/webhooks", "/nothing"]
)
def test_what_is_not_here_is_told_in_the_envelope_to_whoever_brings_a_token(
    shop: httpx.Client, path: str
) -> None:
    assert envelope(shop.get(path))[:2] == (404, 404)


def test_a_method_that_is_not_here_is_told_with_those_that_are(shop: httpx.Client) -> None:
    answer = shop.get("/email")
    assert envelope(answer)[:2] == (405, 404)
    assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize("content_type", ["text/plain", ""])
def test_a_body_of_another_type_is_refused(shop: httpx.Client, content_type: str) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    answer = shop.post("/email", content=json.dumps(message()), headers=headers)
    assert envelope(answer)[:2] == (415, 409)


ENDPOINTS = [
    ("POST", "/email"),
    ("POST", "/email/batch"),
    ("POST", "/email/withTemplate"),
    ("POST", "/email/batchWithTemplates"),
    ("GET", "/messages/outbound"),
    ("GET", "/messages/outbound/01932c5e-7d1a-7000-8000-5f3c1b2a4d6e/details"),
    ("GET", "/server"),
]


@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
@pytest.mark.parametrize(
    "key",
    [None, "", "wrong", "POSTMARK_API_TEST", "atum_0123456789abcdef_" + "x" * 43],
    ids=["no key", "empty", "wrong", "Postmark's test token", "one that nobody has"],
)
def test_who_has_no_valid_key_is_told_so_before_anything_else(
    api: Api, method: str, path: str, key: str | None
) -> None:
    with postmark(api, key) as http:
        # Neither the type of the body nor what is in it counts yet.
        answer = http.request(method, path, content=b"{")
    assert envelope(answer) == (401, 10, UNAUTHORIZED)


def test_a_key_in_another_header_is_none(api: Api) -> None:
    with api.http(new_key(api)) as http:
        assert envelope(http.post("/email", json=message()))[:2] == (401, 10)


@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
def test_each_endpoint_wants_its_scope(api: Api, method: str, path: str) -> None:
    wanted = Scope.SEND if method == "POST" else Scope.READ
    with postmark(api, new_key(api, scopes=[one for one in Scope if one is not wanted])) as http:
        status, code, said = envelope(http.request(method, path, json={} if method == "POST" else None))
    assert (status, code) == (401, 10)
    assert f"lacks the scope '{wanted.value}'" in said


def test_a_client_sends_from_its_domains_only(api: Api) -> None:
    with postmark(api, new_key(api, domains=["example.com"])) as http:
        told = http.post("/email/batch", json=[message(), message(From="a@sub.example.com")]).json()
        assert [one["ErrorCode"] for one in told] == [0, 400]
        assert subjects(api.database_url, [told[0]["MessageID"]]) == ["Hello"]
        status, code, said = envelope(http.post("/email", json=message(From="a@example.org")))
    assert (status, code) == (422, 400)
    assert "(a@example.org) is not a Sender Signature" in said


def test_what_a_client_may_send_in_a_second_is_bounded(api: Api) -> None:
    with postmark(api, new_key(api, rate=2.0)) as http:
        assert http.post("/email/batch", json=[message() for _ in range(50)]).status_code == 200
        refused = http.post("/email", json=message())
    assert envelope(refused)[:2] == (429, 429)
    # What a busy machine took between the two is over already.
    assert 10 <= int(refused.headers["retry-after"]) <= 25


def test_the_same_key_and_message_gives_the_same_answer_and_one_mail(api: Api, shop: httpx.Client) -> None:
    before = len(subjects(api.database_url))
    head = {"Idempotency-Key": "order-1"}
    first, again = [shop.post("/email", json=message(), headers=head) for _ in range(2)]
    assert first.json() == again.json()
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert len(subjects(api.database_url)) == before + 1


def test_a_batch_is_replayed_with_its_refusals(api: Api, shop: httpx.Client) -> None:
    before = len(subjects(api.database_url))
    head = {"Idempotency-Key": "orders"}
    mails = [message(To="nobody"), message(Subject="a"), message(From=""), message(Subject="b")]
    first, again = [shop.post("/email/batch", json=mails, headers=head) for _ in range(2)]
    assert [one["ErrorCode"] for one in first.json()] == [300, 0, 300, 0]
    assert first.json() == again.json()
    assert again.headers["idempotency-replayed"] == "true"
    # One that was refused is mended: this is another batch.
    mails[0] = message(Subject="c")
    assert envelope(shop.post("/email/batch", json=mails, headers=head))[:2] == (422, 300)
    assert len(subjects(api.database_url)) == before + 2


def test_each_message_of_a_batch_may_have_its_own_key(api: Api, shop: httpx.Client) -> None:
    def keyed(key: str) -> dict[str, Any]:
        return message(Subject=key, Headers=[{"Name": "Idempotency-Key", "Value": key}])

    before = len(subjects(api.database_url))
    first = shop.post("/email/batch", json=[keyed("a"), message(To=""), keyed("b")]).json()
    again = shop.post("/email", json=keyed("b"))
    assert again.json() == first[2]
    assert again.headers["idempotency-replayed"] == "true"
    assert shop.post("/email/batch", json=[keyed("c"), keyed("a")]).json()[1] == first[0]
    assert len(subjects(api.database_url)) == before + 3
    both = shop.post("/email", json=keyed("d"), headers={"Idempotency-Key": "e"})
    assert envelope(both)[:2] == (422, 300)
    twice = shop.post("/email/batch", json=[keyed("f"), keyed("f")])
    assert envelope(twice)[:2] == (422, 300)


def test_many_requests_with_one_key_at_once_store_one_mail(api: Api, shop: httpx.Client) -> None:
    before = len(subjects(api.database_url))
    with ThreadPoolExecutor(16) as threads:
        answers = list(
            threads.map(
                lambda _: shop.post("/email", json=message(), headers={"Idempotency-Key": "once"}), range(64)
            )
        )
    # Whoever comes while the first is at work is told to come back, in the words that clients repeat at.
    assert {answer.status_code for answer in answers} <= {200, 503}
    assert all(envelope(answer)[1] == 100 for answer in answers if answer.status_code == 503)
    assert len({answer.json()["MessageID"] for answer in answers if answer.status_code == 200}) == 1
    assert len(subjects(api.database_url)) == before + 1


@pytest.mark.parametrize(
    ("key", "code"), [("x" * 256, 300), ("é", 300), ("", 300)], ids=["too long", "not ASCII", "empty"]
)
def test_a_bad_key_is_refused_by_name(shop: httpx.Client, key: str, code: int) -> None:
    headers = [(b"Idempotency-Key", key.encode())]
    status, said_code, said = envelope(shop.post("/email", json=message(), headers=headers))
    assert (status, said_code) == (422, code)
    assert "Idempotency-Key" in said


@pytest.mark.parametrize("own", ["foo", "01932c5e-7d1a-7000-8000-5f3c1b2a4d6e"])
def test_a_key_that_would_name_a_mails_id_is_refused(api: Api, own: str) -> None:
    key, head = new_key(api), {"Idempotency-Key": f"mail:{own}"}
    before = len(subjects(api.database_url))
    with postmark(api, key) as here, api.http(key) as there:
        within = message(Headers=[{"Name": "Idempotency-Key", "Value": f"mail:{own}"}])
        for answer in (here.post("/email", json=message(), headers=head), here.post("/email", json=within)):
            assert envelope(answer)[:2] == (422, 300)
            assert "reserved" in answer.json()["Message"]
        assert there.post("/v1/mails", json=letter(), headers=head).status_code == 400
        assert there.post("/v1/mails", json=[letter(idempotency_key=f"mail:{own}")]).status_code == 422
    assert len(subjects(api.database_url)) == before


def test_a_large_attachment_is_stored_as_it_came(api: Api, shop: httpx.Client) -> None:
    content = bytes(range(256)) * 28_000
    file = {
        "Name": "a.pdf",
        "Content": base64.encodebytes(content).decode(),
        "ContentType": "application/pdf",
    }
    mail_id = shop.post("/email", json=message(Attachments=[file])).json()["MessageID"]
    with psycopg.connect(api.database_url) as connection:
        row = connection.execute(
            "SELECT key_id, body FROM atum.content WHERE mail_id = %s", (mail_id,)
        ).fetchone()
    assert row is not None
    stored = decode_content(Keyring(CONTENT_KEYS).decrypt(uuid.UUID(mail_id), *row))
    assert base64.b64decode(stored["attachments"][0]["content"]) == content


def test_a_batch_of_nearly_fifty_megabytes_is_taken(api: Api, shop: httpx.Client) -> None:
    file = {"Name": "a.txt", "Content": base64.b64encode(bytes(6_900_000)).decode()}
    told = shop.post("/email/batch", json=[message(Attachments=[file]) for _ in range(5)])
    assert len(told.request.content) > 45_000_000
    ids = [one["MessageID"] for one in told.json()]
    assert len(subjects(api.database_url, ids)) == 5


def test_a_body_that_declares_too_much_is_refused_before_it_is_sent(api: Api, shop: httpx.Client) -> None:
    token = shop.headers["x-postmark-server-token"]
    with socket.create_connection(("127.0.0.1", api.port), timeout=30) as raw:
        raw.sendall(
            f"POST /email/batch HTTP/1.1\r\nHost: x\r\nX-Postmark-Server-Token: {token}\r\n"
            "Content-Type: application/json\r\nContent-Length: 50000001\r\n\r\n".encode()
        )
        answer = b"".join(iter(lambda: raw.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"x-pm-apierrorcode: 300" in answer
    assert b'"ErrorCode":300' in answer


def test_a_body_that_grows_beyond_the_limit_is_refused(api: Api, shop: httpx.Client) -> None:
    def much() -> Iterator[bytes]:
        for _ in range(60):
            yield b" " * 1_000_000

    with suppress(httpx.TransportError):
        # The end of the connection may overtake the answer while the client still writes.
        assert envelope(shop.post("/email/batch", content=much(), headers=JSON))[:2] == (413, 300)
    with api.http() as other:
        assert other.get("/healthz").status_code == 200


def test_a_body_that_does_not_come_is_given_up_in_the_envelope(database_url: str) -> None:
    with Api(database_url, settings={"ATUM_API_BODY_TIMEOUT_S": "0.5"}) as api:
        token = new_key(api)
        with socket.create_connection(("127.0.0.1", api.port), timeout=30) as raw:
            raw.sendall(
                f"POST /email HTTP/1.1\r\nHost: x\r\nX-Postmark-Server-Token: {token}\r\n"
                'Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"From":'.encode()
            )
            answer = b"".join(iter(lambda: raw.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 408")
    assert b'"ErrorCode":408' in answer


def takes(shop: httpx.Client, subject: str) -> bool:
    """Whether a message is taken, once however often it is handed over: the time that is set may be too short for once."""
    answer = shop.post("/email", json=message(Subject=subject), headers={"Idempotency-Key": subject})
    return answer.status_code == 200


def test_while_the_database_is_away_nothing_is_taken_and_said_so(own_postgres: PostgresNode) -> None:
    migrate(own_postgres.url)
    with Api(own_postgres.url, settings={"ATUM_API_STORE_TIMEOUT_S": "1.5"}) as api:
        with postmark(api, new_key(api)) as shop:
            assert eventually(lambda: takes(shop, "before"))
            own_postgres.stop()
            for path, body in (("/email", message()), ("/email/batch", [message(), message(To="")])):
                refused = shop.post(path, json=body)
                status, code, said = envelope(refused)
                assert (status, code) == (503, 100)
                assert "nothing was stored" in said
                assert int(refused.headers["retry-after"]) > 0
            assert envelope(shop.get("/messages/outbound", params={"count": 1}))[:2] == (503, 100)
            own_postgres.start()
            assert eventually(lambda: shop.get("/readyz").status_code == 200, seconds=60)
            assert eventually(lambda: takes(shop, "after"))
        assert subjects(own_postgres.url) == ["before", "after"]


def test_a_commit_that_breaks_is_repeated_until_it_is_certain(database_url: str) -> None:
    proxy = CuttingProxy(database_url)
    try:
        with Api(proxy.url) as api, postmark(api, add_client(database_url)) as shop:
            for place, reaches in enumerate((True, False)):
                proxy.arm(b"INSERT INTO atum.mail", reaches=reaches)
                assert shop.post("/email", json=message(Subject=f"{place}")).status_code == 200
            assert proxy.cuts >= 1
    finally:
        proxy.close()
    assert subjects(database_url) == ["0", "1"]


def test_the_token_and_what_is_in_a_mail_are_never_logged(database_url: str) -> None:
    with Api(database_url) as api:
        token = new_key(api)
        with postmark(api, token) as shop:
            secret = message(To="secret-jane@example.net", TextBody="secret-words")
            shop.post("/email", json=secret)
            shop.post("/email", json=secret | {"Subject": "secret-words\n"})
            shop.post("/email", content=b"{", headers=JSON)
            shop.get("/messages/outbound", params={"count": "x", "recipient": "secret-jane@example.net"})
            with psycopg.connect(database_url) as connection:
                # An error of ours: the table is not what it should be.
                connection.execute("ALTER TABLE atum.mail RENAME COLUMN subject TO topic")
            assert envelope(shop.post("/email", json=secret))[:2] == (500, 101)
            assert envelope(shop.get("/messages/outbound", params={"count": "1"}))[:2] == (500, 101)
        said = api.output()
    assert "an error of ours" in said
    assert token not in said
    assert token.split("_", 2)[2] not in said
    assert "secret" not in said


def test_both_ways_in_share_the_keys_of_a_client(api: Api) -> None:
    key = new_key(api)
    head = {"Idempotency-Key": "order-1"}
    with postmark(api, key) as here, api.http(key) as there:
        mail_id = there.post("/v1/mails", json=letter(), headers=head).json()["id"]
        same = message(From=letter()["from"], To=letter()["to"], Subject=letter()["subject"])
        assert here.post("/email", json=same, headers=head).json()["MessageID"] == mail_id
