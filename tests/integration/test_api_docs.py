"""What the API says of itself is true: its two documents, docs/api.md, and every answer that can be had."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import uuid
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from jsonschema import Draft202012Validator

from atum_producers.api import bodies, drafts, keys, protocol, reading
from atum_producers.api.clients_store import Scope
from atum_producers.api.problems import Kind
from atum_producers.story_store import SCANNED
from atum_schema import limits
from atum_schema.migrate import migrate
from tests import curl
from tests.api import Api, add_client, letter
from tests.command_line import without_ours
from tests.fuzzing import fuzz
from tests.nodes import Databases, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from atum_ops.stack.postgres import PostgresNode

TEXT = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")


@pytest.fixture(scope="module")
def api(postgres_node: PostgresNode) -> Iterator[Api]:
    with Databases(postgres_node).fresh() as url, Api(url) as running:
        yield running


@pytest.fixture
def shop(api: Api) -> Iterator[httpx.Client]:
    with api.client(f"shop-{uuid.uuid4().hex[:12]}") as http:
        yield http


@pytest.fixture(scope="module")
def document(api: Api) -> dict[str, Any]:
    with api.http() as http:
        found: dict[str, Any] = http.get("/openapi.json").json()
    return found


def blocks(*languages: str) -> list[tuple[str, str]]:
    found = re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
    return [(language, code) for language, code in found if language in languages]


def conforms(document: dict[str, Any], path: str, answer: httpx.Response) -> Kind | None:
    """Compare an answer with the document; give its kind if it is a problem."""
    operation = document["paths"][path][answer.request.method.lower()]
    response = operation["responses"][str(answer.status_code)]
    ((media_type, content),) = response["content"].items()
    assert answer.headers["content-type"] == media_type
    Draft202012Validator({**content["schema"], "components": document["components"]}).validate(answer.json())
    for name, header in response.get("headers", {}).items():
        shared = document["components"]["headers"].get(name, header)
        assert name in answer.headers or not shared.get("required")
    if media_type != "application/problem+json":
        return None
    anchor = answer.json()["type"].removeprefix("/docs#")
    return next(kind for kind in Kind if kind.anchor == anchor)


def test_both_documents_are_served_to_everybody(api: Api) -> None:
    with api.http() as http:
        page, document = http.get("/docs"), http.get("/openapi.json")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert (document.status_code, document.headers["content-type"]) == (200, "application/json")
    assert document.json()["openapi"] == "3.1.0"
    for answer in (page, document):
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_page_allows_its_own_style_and_nothing_else(api: Api) -> None:
    with api.http() as http:
        policy = http.get("/docs").headers["content-security-policy"]
    directives = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert directives.pop("style-src").startswith("'sha256-")
    assert set(directives.values()) == {"'none'"}
    assert set(directives) == {"default-src", "base-uri", "form-action", "frame-ancestors"}


def test_the_commands_on_the_page_do_what_they_say(api: Api, document: dict[str, Any]) -> None:
    key = add_client(api.database_url, "page")
    with api.http() as http:
        page = http.get("/docs").text
    commands = [
        unescape(one) for one in re.findall(r"<pre[^>]*><code>(curl .*?)</code></pre>", page, re.DOTALL)
    ]
    statuses = [
        curl.run(one, {"ATUM_API": api.url, "ATUM_API_KEY": key}).status_code
        for one in dict.fromkeys(commands)
    ]
    # Its example of an id is nobody's.
    assert statuses == [202, 200, 404, 404, 200, 200, 202, 200, 200, 200, 200]


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_is_as_documented(api: Api, document: dict[str, Any], path: str) -> None:
    with api.http() as http:
        assert conforms(document, path, http.get(path)) is None


def test_mails_are_shown_listed_and_cancelled_as_documented(
    api: Api, document: dict[str, Any], shop: httpx.Client
) -> None:
    one = shop.post("/v1/mails", json=letter(cc="c@example.net", tag="t", metadata={"order": "7"}))
    many = shop.post("/v1/mails", json=[letter(), letter(send_at="2190-01-01T00:00:00Z")])
    with psycopg.connect(api.database_url) as connection:
        _deliver(connection, many.json()[0]["id"])
    for answer in (one, many, shop.get("/v1/mails")):
        assert conforms(document, "/v1/mails", answer) is None
    for mail_id in (one.json()["id"], *[mail["id"] for mail in many.json()]):
        assert conforms(document, "/v1/mails/{id}", shop.get(f"/v1/mails/{mail_id}")) is None
    shown = shop.get(f"/v1/mails/{many.json()[0]['id']}").json()
    assert shown["timeline"][-1]["request"]["outcome"] == "accepted"
    canceled = shop.delete(f"/v1/mails/{one.json()['id']}")
    assert conforms(document, "/v1/mails/{id}", canceled) is None


def _deliver(connection: psycopg.Connection, mail_id: str) -> None:
    """Write down what a worker writes of a POST that was accepted."""
    batch = uuid.uuid4()
    connection.execute("DELETE FROM atum.ready WHERE mail_id = %s", (mail_id,))
    connection.execute(
        "INSERT INTO atum.attempt (mail_id, batch_id, token, outcome, charged, issued_at, posting_at, answered_at,"
        " http_status, code) VALUES (%s, %s, gen_random_uuid(), 'accepted', true, now(), now(), now(), 200, 0)",
        (mail_id, batch),
    )
    connection.execute(
        "UPDATE atum.mail SET status = 'sent', finished_at = now(), attempts = 1, tries = 1,"
        " provider_message_id = gen_random_uuid()::text WHERE id = %s",
        (mail_id,),
    )
    connection.execute(
        "INSERT INTO atum.event (mail_id, cause, from_status, to_status, batch_id)"
        " VALUES (%s, 'provider_accepted', 'queued', 'sent', %s)",
        (mail_id, batch),
    )


def test_problems_are_answered_as_documented(api: Api, document: dict[str, Any], shop: httpx.Client) -> None:
    # The client of `shop` is the one that was made last.
    with psycopg.connect(api.database_url) as connection:
        name = connection.execute(
            "SELECT name FROM atum.api_client ORDER BY created_at DESC LIMIT 1"
        ).fetchone()
    some = {
        scope: add_client(api.database_url, f"{scope}-{uuid.uuid4().hex[:8]}", scopes=[scope])
        for scope in Scope
    }
    bound = add_client(api.database_url, "bound", domains=["example.org"])
    slow = add_client(api.database_url, "slow", rate=0.1)

    def bearer(key: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {key}"}

    mail_id = shop.post("/v1/mails", json=letter(), headers={"Idempotency-Key": "used"}).json()["id"]
    with psycopg.connect(api.database_url) as connection:
        connection.execute(
            "UPDATE atum.mail SET status = 'dead', finished_at = now() WHERE id = %s", (mail_id,)
        )
    shop.post("/v1/mails", json=[letter()] * 5, headers=bearer(slow))
    mails, one = "/v1/mails", "/v1/mails/{id}"
    answers = [
        (mails, Kind.BAD_REQUEST, shop.get(mails, params={"limit": "0"})),
        (mails, Kind.BAD_REQUEST, shop.post(mails, json=[])),
        (mails, Kind.BAD_REQUEST, shop.post(mails, json=letter(), headers={"Idempotency-Key": "x" * 256})),
        (mails, Kind.UNAUTHORIZED, shop.get(mails, headers=bearer("x"))),
        (mails, Kind.OUT_OF_SCOPE, shop.post(mails, json=letter(), headers=bearer(some[Scope.READ]))),
        (one, Kind.OUT_OF_SCOPE, shop.get(f"{mails}/{mail_id}", headers=bearer(some[Scope.SEND]))),
        (mails, Kind.SENDER_NOT_ALLOWED, shop.post(mails, json=letter(), headers=bearer(bound))),
        (one, Kind.NOT_FOUND, shop.get(f"{mails}/x")),
        (mails, Kind.IN_PROGRESS, _while_the_key_is_used(api, name, shop)),
        (one, Kind.NOT_CANCELABLE, shop.delete(f"{mails}/{mail_id}")),
        (mails, Kind.NOT_JSON, shop.post(mails, content="a=b")),
        (mails, Kind.MAIL_REJECTED, shop.post(mails, json=letter(to="x"))),
        (mails, Kind.MAIL_REJECTED, shop.post(mails, json=[letter(to="x"), letter(lane="nowhere")])),
        (mails, Kind.KEY_REUSED, shop.post(mails, json=letter(tag="t"), headers={"Idempotency-Key": "used"})),
        (mails, Kind.TOO_MANY_REQUESTS, shop.get(mails, headers=bearer(slow))),
    ]
    for path, kind, answer in answers:
        assert conforms(document, path, answer) is kind, answer.text
    refused = shop.put(mails)
    assert (refused.status_code, refused.json()["type"]) == (405, "/docs#method-not-allowed")
    assert set(refused.headers["allow"].replace(",", "").split()) == {"GET", "HEAD", "POST"}


def _while_the_key_is_used(api: Api, client: Any, shop: httpx.Client) -> httpx.Response:
    """Ask while another process is storing under the same key."""
    with psycopg.connect(api.database_url) as other:
        other.execute(
            "INSERT INTO atum.idempotency (client, key, fingerprint, mail_id) VALUES (%s, 'k', '', gen_random_uuid())",
            client,
        )
        answer = shop.post("/v1/mails", json=letter(), headers={"Idempotency-Key": "k"})
        other.rollback()
    return answer


def taken(shop: httpx.Client) -> str:
    """Hand over a mail, again where the machine was too slow for the time that is set; give its id."""

    def hand_over() -> bool:
        answers.append(shop.post("/v1/mails", json=letter(), headers={"Idempotency-Key": "before"}))
        return answers[-1].status_code == 202

    answers: list[httpx.Response] = []
    assert eventually(hand_over), answers[-1].text
    mail_id: str = answers[-1].json()["id"]
    return mail_id


def test_while_the_database_is_away_answers_are_as_documented(
    own_postgres: PostgresNode, document: dict[str, Any]
) -> None:
    migrate(own_postgres.url)
    with Api(own_postgres.url, settings={"ATUM_API_STORE_TIMEOUT_S": "1.5"}) as api, api.client() as shop:
        mail_id = taken(shop)
        own_postgres.stop()
        for path, answer in [
            ("/v1/mails", shop.post("/v1/mails", json=letter())),
            ("/v1/mails", shop.get("/v1/mails")),
            ("/v1/mails/{id}", shop.get(f"/v1/mails/{mail_id}")),
            ("/v1/mails/{id}", shop.delete(f"/v1/mails/{mail_id}")),
        ]:
            assert conforms(document, path, answer) is Kind.UNAVAILABLE
        assert conforms(document, "/readyz", shop.get("/readyz")) is None


def test_a_commit_that_stays_uncertain_is_answered_as_documented(
    own_postgres: PostgresNode, document: dict[str, Any]
) -> None:
    migrate(own_postgres.url)
    # The time begins with the request: it must be enough to come as far as the commit.
    with Api(own_postgres.url, settings={"ATUM_API_STORE_TIMEOUT_S": "5"}) as api, api.client() as shop:
        taken(shop)
        own_postgres.freeze()
        answer = shop.post("/v1/mails", json=letter())
        own_postgres.resume()
        assert conforms(document, "/v1/mails", answer) is Kind.UNCERTAIN
        assert len(answer.json()["ids"]) == 1


def test_what_never_becomes_a_request_is_answered_by_a_bare_status(api: Api) -> None:
    for sent, status in [
        (b"GARBAGE\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * (protocol.HEAD_BYTES + 1), b"431"),
    ]:
        with socket.create_connection(("127.0.0.1", api.port), timeout=30) as raw:
            raw.sendall(sent)
            assert raw.recv(4096).startswith(b"HTTP/1.1 " + status)


def test_the_commands_of_api_md_answer_what_it_says(api: Api) -> None:
    environment = {"ATUM_API": api.url, "ATUM_API_KEY": add_client(api.database_url, "curl")}
    # The page is about one mail, and ours has another id.
    (shown,) = set(_ID.findall(TEXT))
    ours, last = "", None
    for language, code in blocks("sh", "json"):
        if language == "json":
            assert last is not None
            assert last.json() == json.loads(code.replace(shown, ours))
        elif code.startswith("curl"):
            last = curl.run(code.replace(shown, ours), environment)
            assert last.is_success, last.text
            ours = ours or last.json()["id"]
            assert ours in last.text or "/v1/suppressions" in code
        else:
            assert re.findall(r"export (\w+)=", code) == list(environment)


def test_the_key_on_the_page_looks_like_one() -> None:
    found = re.findall(r"atum_[0-9a-f]{16}_\S+", TEXT)
    assert len(found) == 2
    assert None not in {keys.key_id(one) for one in found}


def test_the_python_of_api_md_runs_and_prints_what_its_comments_say(api: Api, tmp_path: Path) -> None:
    code = "\n".join(block for _language, block in blocks("python"))
    expected = re.findall(r"^ *print\(.*\)  # (.+)$", code, re.MULTILINE)
    assert len(expected) == code.count("print(") >= 3
    script = tmp_path / "page.py"
    script.write_text(f"{code}\napi.close()\n")
    ended = subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        env={
            **without_ours(os.environ),
            "ATUM_API": api.url,
            "ATUM_API_KEY": add_client(api.database_url, "python"),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.splitlines() == expected


def test_the_table_of_errors_in_api_md_has_every_kind() -> None:
    rows = re.findall(r"^\| (\d{3}) \| `([a-z-]+)` \| .+ \|$", TEXT, re.MULTILINE)
    assert rows == [(str(kind.status), kind.anchor) for kind in Kind]


def test_the_numbers_in_api_md_are_those_of_the_code() -> None:
    table = TEXT.partition("## Limits")[2].partition("## Health")[0]
    for number in (
        drafts.MOST_MAILS,
        bodies.LARGEST,
        limits.MESSAGE_BYTES,
        limits.RECIPIENTS,
        protocol.HEAD_BYTES,
        limits.IDEMPOTENCY_KEY_CHARACTERS,
        reading.PAGE,
        reading.LARGEST_PAGE,
        reading.LONGEST,
        SCANNED,
    ):
        assert re.search(rf"(?<![\d,]){number:,}(?![\d,])", table), number


def test_a_thousand_odd_requests_find_nothing(database_url: str) -> None:
    with Api(database_url) as api:
        outcome = fuzz(api, examples=25, phases=("examples", "coverage", "fuzzing"))
    assert outcome.failures == 0, outcome.output
    assert outcome.cases > 500
