"""The webhook endpoint takes what the provider tells, and nothing of anybody else."""

from __future__ import annotations

import base64
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import httpx
import orjson
import pytest

from atum_producers.webhooks.access import sign
from atum_schema.encryption import new_key
from tests.api import Api
from tests.command_line import run
from tests.nodes import eventually
from tests.webhooks import (
    BASIC,
    KEY,
    PASSWORD,
    PATH,
    SECRET,
    USER,
    WebhookEndpoint,
    counted,
    delivery,
    stored,
)

WRONG = (USER, "wrong")


def test_an_event_is_stored_as_it_came_before_it_is_acknowledged(database_url: str) -> None:
    """D1: what Postmark sends, with Basic credentials and no signature, is taken. D14, D15: it is kept in one row, and counted."""
    event = orjson.dumps(delivery())
    with WebhookEndpoint(database_url) as endpoint:
        answer = endpoint.tell(event, trace="one")
        assert (answer.status_code, answer.json()) == (200, {"ok": True, "duplicate": False})
        assert stored(database_url) == [event]
        assert counted(database_url) == {"webhook_accepted": 1}


def test_d2_an_event_of_a_mail_that_nobody_knows_is_stored_too(database_url: str) -> None:
    with WebhookEndpoint(database_url) as endpoint:
        assert endpoint.tell(delivery(Metadata={})).status_code == 200
    assert len(stored(database_url)) == 1


def test_d7_of_copies_that_come_at_once_one_is_stored_and_all_are_acknowledged(database_url: str) -> None:
    event = delivery()
    with (
        WebhookEndpoint(database_url) as one,
        WebhookEndpoint(database_url) as other,
        ThreadPoolExecutor(16) as threads,
    ):
        answers = list(
            threads.map(lambda place: (one, other)[place % 2].tell(event, trace="same"), range(40))
        )
        assert {answer.status_code for answer in answers} == {200}
        assert [answer.json()["duplicate"] for answer in answers].count(False) == 1
        assert len(stored(database_url)) == 1
        assert counted(database_url) == {"webhook_accepted": 1, "webhook_duplicate": 39}


def test_what_nobody_can_read_is_kept_when_its_sender_is_genuine(database_url: str) -> None:
    odd = [b"", b"[1]", b"not JSON", b"[" * 50_000, b"\xff\x00"]
    with WebhookEndpoint(database_url) as endpoint:
        for body in odd:
            assert endpoint.tell(body).json() == {"ok": True, "duplicate": False}
        assert endpoint.tell(odd[2]).json() == {"ok": True, "duplicate": True}
    assert stored(database_url) == odd


def test_wrong_credentials_are_told_so_and_nothing_is_stored(database_url: str) -> None:
    with WebhookEndpoint(database_url) as endpoint:
        for basic in (None, WRONG, ("nobody", PASSWORD)):
            answer = endpoint.tell(delivery(), basic=basic)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"].startswith("Basic ")
        assert PASSWORD not in endpoint.output()
        assert eventually(lambda: counted(database_url) == {"webhook_refused: credentials": 3})
    assert stored(database_url) == []


def test_d6_genuine_events_pass_while_their_own_address_fails_too_often(database_url: str) -> None:
    with WebhookEndpoint(database_url) as endpoint, ThreadPoolExecutor(16) as threads:
        # Faster than the limit, however slow the machine is.
        refused = list(threads.map(lambda _: endpoint.tell(delivery(), basic=WRONG), range(200)))
        assert {answer.status_code for answer in refused} == {401, 429}
        assert all(int(a.headers["retry-after"]) > 0 for a in refused if a.status_code == 429)
        assert [endpoint.tell(delivery()).status_code for _ in range(30)] == [200] * 30
    assert len(stored(database_url)) == 30


def test_d6_a_burst_of_genuine_events_meets_no_limit(database_url: str) -> None:
    with WebhookEndpoint(database_url) as endpoint, ThreadPoolExecutor(32) as threads:
        answers = list(threads.map(lambda _: endpoint.tell(delivery()), range(600)))
    assert [answer.status_code for answer in answers] == [200] * 600
    # Each has a correlation id of its own, and one only.
    ids = [one for answer in answers for one in answer.headers.get_list("x-correlation-id")]
    assert len(ids) == len(set(ids)) == 600
    assert len(stored(database_url)) == 600


def test_the_secret_header_counts_beside_the_password(database_url: str) -> None:
    settings = {**BASIC, "ATUM_WEBHOOK_SECRET": f"{SECRET},another secret of a header"}
    with WebhookEndpoint(database_url, settings=settings) as endpoint:
        for secret in (SECRET, "another secret of a header"):
            assert endpoint.tell(delivery(), headers={"X-Atum-Webhook-Secret": secret}).status_code == 200
        assert endpoint.tell(delivery()).status_code == 401
        assert endpoint.tell(delivery(), headers={"X-Atum-Webhook-Secret": "x" * 20}).status_code == 401


@pytest.mark.parametrize("skew_s", [0, -25, 25])
def test_d3_d4_a_signed_request_that_is_sent_again_is_the_same_event(database_url: str, skew_s: int) -> None:
    """Also one that is dated ahead, and whatever trace id is put on it: nothing that is not signed makes it another."""
    event = orjson.dumps(delivery())
    signature = sign(event, key=KEY, now=time.time() + skew_s)
    with WebhookEndpoint(database_url, settings={**BASIC, "ATUM_WEBHOOK_SIGNING_KEYS": KEY}) as endpoint:
        first = endpoint.tell(event, basic=None, headers=signature, trace="one")
        assert first.json() == {"ok": True, "duplicate": False}
        for trace in ("one", "two", None):
            again = endpoint.tell(event, basic=None, headers=signature, trace=trace)
            assert (again.status_code, again.json()) == (200, {"ok": True, "duplicate": True})
    assert stored(database_url) == [event]


def test_a_signature_that_does_not_hold_is_refused_whatever_else_does(database_url: str) -> None:
    event = orjson.dumps(delivery())
    with WebhookEndpoint(database_url, settings={**BASIC, "ATUM_WEBHOOK_SIGNING_KEYS": KEY}) as endpoint:
        now = time.time()
        late, early, other = (
            sign(event, key=KEY, now=now - 400),
            sign(event, key=KEY, now=now + 60),
            sign(b"{}", key=KEY, now=now),
        )
        for headers in (late, early, other):
            assert endpoint.tell(event, headers=headers).status_code == 401
    assert stored(database_url) == []


def test_an_event_from_outside_the_list_is_put_off_and_a_stranger_sent_away(database_url: str) -> None:
    settings = {**BASIC, "ATUM_WEBHOOK_ALLOW": "203.0.113.0/24", "ATUM_WEBHOOK_PROXIES": "127.0.0.1"}
    with WebhookEndpoint(database_url, settings=settings) as endpoint:
        answer = endpoint.tell(delivery())
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        assert "outside ATUM_WEBHOOK_ALLOW" in endpoint.output()
        assert endpoint.tell(delivery(), basic=WRONG).status_code == 403
        for forwarded, status in (
            ("203.0.113.7", 200),
            ("10.0.0.1, 203.0.113.7", 200),
            ("203.0.113.7, 10.0.0.1", 503),
            ("::ffff:203.0.113.7", 200),
        ):
            headers = {"X-Forwarded-For": forwarded}
            assert endpoint.tell(delivery(), headers=headers).status_code == status, forwarded
        assert eventually(lambda: counted(database_url).get("webhook_refused: elsewhere") == 2)
        assert counted(database_url)["webhook_refused: stranger"] == 1


def test_d11_a_large_event_is_taken_and_what_is_beyond_the_bound_refused_unread(database_url: str) -> None:
    settings = {**BASIC, "ATUM_WEBHOOK_BODY_BYTES": "2000000"}
    with WebhookEndpoint(database_url, settings=settings) as endpoint:
        assert endpoint.tell(delivery(Content="x" * 1_500_000)).status_code == 200
        assert endpoint.tell(b"x" * 2_000_001).status_code == 413
        chunked = httpx.post(
            endpoint.url + PATH, content=iter([b"x" * 1_000_000] * 3), auth=(USER, PASSWORD), timeout=30
        )
        assert chunked.status_code == 413
    (only,) = stored(database_url)
    assert orjson.loads(only)["ContentDropped"] is True


def test_a_body_that_does_not_come_is_not_waited_for(database_url: str) -> None:
    settings = {**BASIC, "ATUM_API_BODY_TIMEOUT_S": "0.5"}
    with WebhookEndpoint(database_url, settings=settings) as endpoint:
        address = urlsplit(endpoint.url)
        basic = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {basic}\r\nContent-Length: 2\r\n\r\n"
        with socket.create_connection((str(address.hostname), address.port or 0), timeout=60) as client:
            client.sendall(head.encode() + b"{")
            assert client.recv(12) == b"HTTP/1.1 408"
        assert eventually(lambda: counted(database_url) == {"webhook_refused: too slow": 1})


def test_there_is_one_path_and_one_method(database_url: str) -> None:
    with WebhookEndpoint(database_url, settings={**BASIC, "ATUM_WEBHOOK_PATH": "/hooks/4711"}) as endpoint:
        assert httpx.post(endpoint.url + "/hooks/4711", auth=(USER, PASSWORD), timeout=30).status_code == 200
        for method in ("GET", "HEAD", "PUT", "DELETE"):
            answer = httpx.request(method, endpoint.url + "/hooks/4711", auth=(USER, PASSWORD), timeout=30)
            assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
        for path in (PATH, "/hooks/4711/", "/", "/v1/mails", "/docs"):
            assert httpx.post(endpoint.url + path, auth=(USER, PASSWORD), timeout=30).status_code == 404
        assert httpx.get(endpoint.url + "/healthz", timeout=30).json() == {"status": "ok"}
        assert httpx.get(endpoint.url + "/readyz", timeout=30).json()["status"] == "ok"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "anybody could tell us anything"),
        ({"ATUM_WEBHOOK_BASIC": "postmark:hush"}, "ATUM_WEBHOOK_BASIC: a password is shorter than 16"),
        (BASIC | {"ATUM_WEBHOOK_ALLOW": "nowhere"}, "ATUM_WEBHOOK_ALLOW: 'nowhere'"),
        (BASIC | {"ATUM_WEBHOOK_PATH": "hooks"}, "ATUM_WEBHOOK_PATH must begin with '/'"),
    ],
    ids=["no credential", "a weak one", "no such place", "no path"],
)
def test_d1_d8_a_door_that_cannot_be_shut_is_not_opened(settings: dict[str, str], said: str) -> None:
    keys = new_key("test")
    answer = run(
        "api",
        "--only",
        "webhooks",
        **{"ATUM_DATABASE_URL": "postgresql://127.0.0.1:1/x", "ATUM_CONTENT_KEYS": keys, **settings},
    )
    assert answer.status != 0
    assert said in answer.err
    assert "Traceback" not in answer.err
    assert "hush" not in answer.err


def test_the_api_itself_takes_no_events(database_url: str) -> None:
    with Api(database_url, settings=BASIC) as api:
        assert httpx.post(api.url + PATH, auth=(USER, PASSWORD), timeout=30).status_code == 404
