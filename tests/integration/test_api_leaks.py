"""Whoever has no key, not this scope or another client's mail in mind learns nothing: no answer and no log has a word of it."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Any, Final

import psycopg
import pytest

from atum_producers.api import keys
from atum_producers.api.access import REFRESH_S
from atum_producers.api.clients_store import Scope
from tests.api import ALL, Api, add_client, letter
from tests.nodes import Databases, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from atum_ops.stack.postgres import PostgresNode

#: Stands in every field of the mail that nobody else may see.
CANARY: Final = "kanarienvogel"
_TELLTALES: Final = re.compile(
    r"kanarien|SELECT |INSERT |UPDATE atum|psycopg|Traceback|\.py\b", re.IGNORECASE
)
_UNKNOWN: Final = "01932c5e-7d1a-7000-8000-5f3c1b2a4d6e"
_SECRET: Final = re.compile(r"atum_[0-9a-f]{16}_[A-Za-z0-9_-]{43}")

ENDPOINTS: Final = (
    ("POST", "/v1/mails", Scope.SEND),
    ("GET", "/v1/mails", Scope.READ),
    ("GET", "/v1/mails/{id}", Scope.READ),
    ("DELETE", "/v1/mails/{id}", Scope.MANAGE),
)
_each_endpoint = pytest.mark.parametrize(
    ("method", "path", "scope"), ENDPOINTS, ids=[f"{method} {path}" for method, path, _scope in ENDPOINTS]
)


@pytest.fixture(scope="module")
def api(postgres_node: PostgresNode) -> Iterator[Api]:
    with Databases(postgres_node).fresh() as url, Api(url) as running:
        yield running


@pytest.fixture(autouse=True)
def _the_log_tells_nothing(api: Api) -> Iterator[None]:
    yield
    log = api.output()
    assert re.findall(rf"{CANARY}|@|SELECT |INSERT ", log, re.IGNORECASE) == []
    assert _SECRET.findall(log) == []


@pytest.fixture(scope="module")
def owner(api: Api) -> Iterator[httpx.Client]:
    with api.client("owner", domains=[f"{CANARY}.example.com"]) as http:
        yield http


@pytest.fixture(scope="module")
def secret(owner: httpx.Client) -> str:
    """The id of a mail of the owner that has the canary in every field."""
    mail = letter(
        **{"from": f"{CANARY} <a@{CANARY}.example.com>"},
        to=f"to-{CANARY}@example.com",
        cc=f"cc-{CANARY}@example.com",
        bcc=f"bcc-{CANARY}@example.com",
        reply_to=f"{CANARY}@example.com",
        subject=f"subject {CANARY}",
        text=f"text {CANARY}",
        html=f"<p>{CANARY}</p>",
        tag=CANARY,
        metadata={CANARY: CANARY},
        headers=[{"name": "X-Bird", "value": CANARY}],
        attachments=[{"name": f"{CANARY}.txt", "content": "VGhhbmtz"}],
    )
    answer = owner.post("/v1/mails", json=mail, headers={"Idempotency-Key": f"key-{CANARY}"})
    assert answer.status_code == 202
    return str(answer.json()["id"])


def _tells_nothing(answer: httpx.Response) -> None:
    """Look at every answer that somebody else gets."""
    answer.read()
    said = "\n".join([answer.text, *[f"{name}: {value}" for name, value in answer.headers.items()]])
    assert _TELLTALES.findall(said) == []
    assert _SECRET.findall(said) == []


@pytest.fixture
def stranger(api: Api) -> Iterator[httpx.Client]:
    """Somebody without a key."""
    with api.http(event_hooks={"response": [_tells_nothing]}) as http:
        yield http


@pytest.fixture
def thief(api: Api) -> Iterator[httpx.Client]:
    """Another client, with all scopes."""
    key = add_client(api.database_url, f"thief-{uuid.uuid4().hex[:8]}")
    with api.http(key, event_hooks={"response": [_tells_nothing]}) as http:
        yield http


def ask(http: httpx.Client, method: str, path: str, mail_id: str, **options: Any) -> httpx.Response:
    body = letter() if method == "POST" else None
    return http.request(method, path.format(id=mail_id), json=body, **options)


def refused(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["type"]


UNAUTHORIZED: Final = (401, "/docs#unauthorized")


@_each_endpoint
def test_without_a_key_there_is_nothing(
    stranger: httpx.Client, secret: str, method: str, path: str, scope: Scope
) -> None:
    answer = ask(stranger, method, path, secret)
    assert refused(answer) == UNAUTHORIZED
    assert answer.headers["www-authenticate"] == 'Bearer realm="atum-mailer"'


@_each_endpoint
@pytest.mark.parametrize(
    "place",
    ["X-API-Key", "X-Postmark-Server-Token", "Cookie", "Proxy-Authorization", "query", "Basic", "bare"],
)
def test_a_good_key_in_another_place_is_no_key(
    api: Api,
    stranger: httpx.Client,
    owner: httpx.Client,
    secret: str,
    method: str,
    path: str,
    scope: Scope,
    place: str,
) -> None:
    key = owner.headers["authorization"].removeprefix("Bearer ")
    headers = {"Basic": {"Authorization": f"Basic {key}"}, "bare": {"Authorization": key}}.get(
        place, {place: f"key={key}" if place == "Cookie" else f"Bearer {key}"}
    )
    options = {"params": {"key": key, "access_token": key}} if place == "query" else {"headers": headers}
    assert refused(ask(stranger, method, path, secret, **options)) == UNAUTHORIZED


@_each_endpoint
def test_a_wrong_key_is_refused_in_the_same_words_whatever_is_wrong_with_it(
    api: Api, stranger: httpx.Client, owner: httpx.Client, secret: str, method: str, path: str, scope: Scope
) -> None:
    good = owner.headers["authorization"].removeprefix("Bearer ")
    wrong_secret = good[:-43] + keys.new_key().text[-43:]
    expired = add_client(api.database_url, f"late-{uuid.uuid4().hex[:8]}")
    with psycopg.connect(api.database_url) as connection:
        connection.execute(
            "UPDATE atum.api_key SET expires_at = now() - interval '1 second' WHERE id = %s",
            (keys.key_id(expired),),
        )
    bad = [
        wrong_secret,
        keys.new_key().text,
        expired,
        "atum_",
        "x" * 1000,
        good + "x",
        good.upper(),
        f"{good} {good}",
    ]
    answers = [ask(stranger, method, path, secret, headers={"Authorization": f"Bearer {one}"}) for one in bad]
    assert {refused(answer) for answer in answers} == {UNAUTHORIZED}
    assert len({answer.content for answer in answers}) == 1


def test_a_revoked_key_is_refused_after_two_seconds(api: Api) -> None:
    key = add_client(api.database_url, "leaver")
    with api.http(key, event_hooks={"response": [_tells_nothing]}) as http:
        assert http.get("/v1/mails").status_code == 200
        with psycopg.connect(api.database_url) as connection:
            connection.execute("UPDATE atum.api_key SET revoked_at = now() WHERE client = 'leaver'")
        # Asking the database itself takes a moment, too, and on a busy machine several.
        assert eventually(lambda: http.get("/v1/mails").status_code == 401, seconds=REFRESH_S + 8)
        for method, path, _scope in ENDPOINTS:
            assert refused(ask(http, method, path, _UNKNOWN)) == UNAUTHORIZED


@_each_endpoint
def test_without_its_scope_an_endpoint_tells_nothing_even_of_ones_own_mails(
    api: Api, secret: str, method: str, path: str, scope: Scope
) -> None:
    others = [one for one in ALL if one is not scope]
    key = add_client(api.database_url, f"some-{uuid.uuid4().hex[:8]}", scopes=others)
    with api.http(key, event_hooks={"response": [_tells_nothing]}) as http:
        answers = [ask(http, method, path, mail_id) for mail_id in (secret, _UNKNOWN, "no-id")]
    assert {refused(answer) for answer in answers} == {(403, "/docs#out-of-scope")}
    assert len({answer.content for answer in answers}) == 1


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_mail_of_another_client_is_as_little_there_as_one_that_never_was(
    api: Api, thief: httpx.Client, secret: str, method: str
) -> None:
    answers = [
        thief.request(method, f"/v1/mails/{one}") for one in (secret, secret.upper(), _UNKNOWN, "no-id")
    ]
    assert {refused(answer) for answer in answers} == {(404, "/docs#not-found")}
    assert len({answer.content for answer in answers}) == 1
    passing = {"x-correlation-id": "", "date": ""}
    assert len({tuple(sorted({**answer.headers, **passing}.items())) for answer in answers}) == 1
    with psycopg.connect(api.database_url) as connection:
        assert connection.execute("SELECT status FROM atum.mail WHERE id = %s", (secret,)).fetchone() == (
            "queued",
        )


def test_no_question_finds_mails_of_another_client(thief: httpx.Client, secret: str) -> None:
    next_id = str(uuid.UUID(int=uuid.UUID(secret).int + 1))
    questions: list[dict[str, str]] = [
        {},
        {"cursor": next_id},
        {"cursor": "ffffffff-ffff-ffff-ffff-ffffffffffff"},
        {"since": "2020-01-01T00:00:00Z"},
        {"status": "queued"},
        {"limit": "200"},
        {"stream": "outbound"},
        {"subject": ""},
        {"subject": "%"},
        {"lane": "transactional"},
    ]
    for query in questions:
        answer = thief.get("/v1/mails", params=query)
        assert (answer.status_code, answer.json()) == (200, {"mails": [], "next": None})
    # What is looked for is in the question, so these have a canary that does not come from the answer.
    for name in ("subject", "tag", "to", "from", "metadata.x"):
        assert thief.get("/v1/mails", params={name: f"' OR client = 'owner' -- {name}"}).json()["mails"] == []


def test_a_page_holds_only_ones_own_mails_though_the_cursor_is_anothers(
    thief: httpx.Client, secret: str
) -> None:
    mine = [thief.post("/v1/mails", json=letter()).json()["id"] for _ in range(3)]
    page = thief.get("/v1/mails", params={"limit": "2"}).json()
    assert [mail["id"] for mail in page["mails"]] == mine[:0:-1]
    assert [
        mail["id"] for mail in thief.get("/v1/mails", params={"cursor": page["next"]}).json()["mails"]
    ] == mine[:1]
    assert thief.get("/v1/mails", params={"cursor": secret}).json()["mails"] == []


def test_the_idempotency_key_of_another_client_is_free(thief: httpx.Client, secret: str) -> None:
    key = f"key-{CANARY}"
    answer = thief.post("/v1/mails", json=letter(), headers={"Idempotency-Key": key})
    assert answer.status_code == 202
    assert answer.json()["id"] != secret
    assert "idempotency-replayed" not in answer.headers


def test_a_domain_of_another_client_is_refused_without_a_word_about_it(api: Api, secret: str) -> None:
    key = add_client(api.database_url, f"bound-{uuid.uuid4().hex[:8]}", domains=["news.example.com"])
    with api.http(key, event_hooks={"response": [_tells_nothing]}) as http:
        for sender in ("a@example.com", "a@sub.news.example.com", "a@news.example.com.example.org"):
            answer = http.post("/v1/mails", json=letter(**{"from": sender}))
            assert refused(answer) == (403, "/docs#sender-not-allowed")
        assert http.post("/v1/mails", json=letter(**{"from": "a@news.example.com"})).status_code == 202


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/v1", 404),
        ("GET", "/v1/mails/", 404),
        ("GET", "/v1/clients", 404),
        ("GET", "/metrics", 404),
        ("GET", "/v1/mails/../../etc/passwd", 404),
        ("PUT", "/v1/mails", 405),
        ("POST", "/docs", 405),
    ],
)
def test_paths_and_methods_that_do_not_exist_need_no_key_and_tell_nothing(
    stranger: httpx.Client, secret: str, method: str, path: str, status: int
) -> None:
    answer = stranger.request(method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/healthz", "/readyz"])
def test_what_needs_no_key_knows_no_client(
    api: Api, owner: httpx.Client, stranger: httpx.Client, secret: str, path: str
) -> None:
    with api.http() as http:
        answer = http.get(path)
    assert answer.status_code == 200
    assert re.findall(rf"{CANARY}|\bowner\b|thief|psycopg|postgresql://|127\.0\.0\.1", answer.text) == []


def test_a_broken_mail_is_refused_without_its_content_in_the_log(thief: httpx.Client, api: Api) -> None:
    canary = f"nachtigall-{uuid.uuid4().hex}"
    bodies = [
        letter(subject=f"{canary}\n"),
        letter(to=f"{canary}@"),
        letter(text=f"{canary}\0"),
        letter(**{canary: canary}),
        letter(lane=canary),
        [letter(subject=f"{canary}\0")] * 3,
    ]
    for body in bodies:
        assert thief.post("/v1/mails", json=body).status_code == 422
    assert (
        thief.post(
            "/v1/mails", content=f'{{"{canary}', headers={"Content-Type": "application/json"}
        ).status_code
        == 400
    )
    assert canary not in api.output()
