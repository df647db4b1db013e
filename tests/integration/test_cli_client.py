"""Operators make, list, rotate and revoke clients of the API, which follows within two seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from tests.api import Api, letter
from tests.command_line import Answer, run
from tests.nodes import eventually

if TYPE_CHECKING:
    import httpx


def client(database_url: str, *arguments: str) -> Answer:
    return run("client", *arguments, ATUM_DATABASE_URL=database_url)


def created(database_url: str, name: str, *arguments: str) -> str:
    answer = client(database_url, "create", name, *arguments, "--format=json")
    assert answer.status == 0, answer.err
    key: str = answer.json["key"]
    return key


def takes(http: httpx.Client) -> bool:
    return http.post("/v1/mails", json=letter()).status_code == 202


def test_a_key_is_shown_once_and_kept_nowhere(database_url: str) -> None:
    answer = client(database_url, "create", "shop")
    assert answer.status == 0
    key = answer.out.strip()
    secret = key.split("_", 2)[2]
    with psycopg.connect(database_url) as connection:
        rows = connection.execute("SELECT k::text FROM atum.api_key k").fetchall()
    assert len(rows) == 1
    assert secret not in str(rows)
    assert secret.encode().hex() not in str(rows)
    assert "not shown again" in answer.err


def test_the_list_shows_what_each_client_may_do(database_url: str) -> None:
    created(database_url, "shop")
    created(database_url, "news", "--scope", "send", "--from-domain", "News.Example.com", "--rate", "50")
    client(database_url, "revoke", "shop", "--yes")
    answer = client(database_url, "list", "--format=json")
    shown = {one["name"]: one for one in answer.json}
    assert (shown["news"]["scopes"], shown["news"]["domains"], shown["news"]["rate"]) == (
        ["send"],
        ["news.example.com"],
        50.0,
    )
    assert (shown["shop"]["keys"], shown["news"]["keys"]) == (0, 1)
    assert shown["shop"]["revoked_at"] is not None
    table = client(database_url, "list").out
    assert "revoked" in table
    assert "news.example.com" in table


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["create", "sh op"], 2, "'sh op' must be 1 to 64 letters"),
        (["create", "x" * 65], 2, "must be 1 to 64"),
        (["create", "shop", "--from-domain", "no domain"], 2, "'no domain' is no domain"),
        (["create", "shop", "--rate", "0"], 2, "0.01"),
        (["create", "shop", "--scope", "all"], 2, "'all' is not one of"),
        (["create", "taken"], 1, "there is a client 'taken' already"),
        (["rotate", "nobody"], 1, "there is no client 'nobody' that lives"),
        (["revoke", "nobody", "--yes"], 1, "there is no client 'nobody' that lives"),
        (["revoke", "nobody"], 1, "there is no client 'nobody' that lives"),
        (["rotate", "taken", "--grace", "-1"], 2, "--grace"),
    ],
)
def test_what_cannot_be_is_refused_in_words(
    database_url: str, arguments: list[str], status: int, words: str
) -> None:
    created(database_url, "taken")
    answer = client(database_url, *arguments)
    assert answer.status == status
    assert words in answer.err


def test_nothing_is_revoked_without_yes(database_url: str) -> None:
    created(database_url, "shop")
    answer = client(database_url, "revoke", "shop")
    assert answer.status == 0
    assert "repeat with --yes" in answer.out
    assert client(database_url, "list", "--format=json").json[0]["keys"] == 1


def test_a_rotated_key_works_on_for_its_time_of_grace_and_the_new_one_at_once(database_url: str) -> None:
    old = created(database_url, "shop")
    with Api(database_url) as api, api.http(old) as before:
        assert takes(before)
        answer = client(database_url, "rotate", "shop", "--grace", "3600", "--format=json")
        with api.http(answer.json["key"]) as after:
            assert takes(after)
        assert takes(before)
        # A second rotation that allows none ends all keys but its own, soon.
        last = client(database_url, "rotate", "shop", "--grace", "0", "--format=json").json["key"]
        assert eventually(lambda: not takes(before))
        assert before.post("/v1/mails", json=letter()).status_code == 401
        with api.http(last) as http:
            assert takes(http)


def test_a_revoked_client_is_out_and_its_mail_is_kept(database_url: str) -> None:
    key = created(database_url, "shop")
    with Api(database_url) as api, api.http(key) as http:
        assert takes(http)
        assert client(database_url, "revoke", "shop", "--yes").status == 0
        assert eventually(lambda: http.get("/v1/mails").status_code == 401)
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT count(*) FROM atum.ready").fetchone() == (1,)
    # Its name is not given to anybody else: mails in the log bear it.
    assert client(database_url, "create", "shop").status == 1
    assert client(database_url, "rotate", "shop").status == 1


def test_changed_scopes_of_the_database_are_followed(database_url: str) -> None:
    key = created(database_url, "shop", "--scope", "send")
    with Api(database_url) as api, api.http(key) as http:
        assert http.get("/v1/mails").status_code == 403
        with psycopg.connect(database_url) as connection:
            connection.execute("UPDATE atum.api_client SET scopes = ARRAY['send', 'read']")
        assert eventually(lambda: http.get("/v1/mails").status_code == 200)
