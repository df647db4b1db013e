"""`/v1/suppressions`: list, add and lift over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from atum_producers.api.clients_store import Scope
from atum_producers.api.suppressions import LONGEST_NOTE
from tests.api import Api
from tests.command_line import Place
from tests.integration.test_suppression_noting import NOW, note, state, word
from tests.nodes import Databases

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from atum_ops.stack.postgres import PostgresNode


@pytest.fixture(scope="module")
def api(postgres_node: PostgresNode) -> Iterator[Api]:
    with Databases(postgres_node).fresh() as url, Api(url) as running:
        yield running


@pytest.fixture
def place(api: Api) -> Iterator[Place]:
    """The database of the API, without suppressions."""
    place = Place(api.database_url)
    place.sql("TRUNCATE atum.suppression, atum.audit")
    yield place
    place.close()


@pytest.fixture(scope="module")
def shop(api: Api) -> Iterator[httpx.Client]:
    with api.client("shop") as http:
        yield http


def path(address: str = "jane@example.com", stream: str = "outbound") -> str:
    return f"/v1/suppressions/{stream}/{quote(address, safe='')}"


def problem(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].removeprefix("/docs#")


def pages(shop: httpx.Client, **query: Any) -> list[list[str]]:
    """Read the list to its end; give the addresses of each page."""
    found: list[list[str]] = []
    more: dict[str, Any] = {}
    while True:
        page = shop.get("/v1/suppressions", params={**query, **more}).json()
        found.append([one["address"] for one in page["suppressions"]])
        if page["next"] is None:
            return found
        more = {"cursor": page["next"]}


def test_who_is_added_is_suppressed_at_once_and_says_what_the_provider_has_yet_to_be_told(
    place: Place, shop: httpx.Client
) -> None:
    answer = shop.put(path("Jane@Example.com"), json={"note": "asked by phone"})
    assert answer.status_code == 200
    document = answer.json()
    assert document.pop("changed_at")
    assert document == {
        "stream": "outbound",
        "address": "jane@example.com",
        "reason": "manual",
        "origin": "customer",
        "source": "api",
        "note": "asked by phone",
        "pending": "add",
    }
    assert state(place) == (True, "manual", "add")
    assert place.sql("SELECT actor, action, detail ->> 'note' FROM atum.audit") == [
        ("client:shop", "suppression.add", "asked by phone")
    ]


def test_a_note_may_be_left_out_and_adding_may_be_repeated(place: Place, shop: httpx.Client) -> None:
    answers = [shop.put(path()), shop.put(path(), json={}), shop.put(path(), json={"note": None})]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert state(place) == (True, "manual", "add")


def test_what_is_to_be_lifted_stands_until_the_provider_has_agreed(place: Place, shop: httpx.Client) -> None:
    note(place, [word(NOW)])
    answer = shop.delete(path())
    assert (answer.status_code, answer.json()["pending"]) == (202, "remove")
    assert state(place) == (True, "hard_bounce", "remove")
    assert pages(shop) == [["jane@example.com"]]
    assert shop.delete(path()).status_code == 202


def test_a_complaint_is_not_lifted(place: Place, shop: httpx.Client) -> None:
    note(place, [word(NOW, reason="complaint")])
    assert problem(shop.delete(path())) == (409, "suppression-stays")
    added = shop.put(path())
    assert (added.status_code, added.json()["reason"], added.json()["pending"]) == (200, "complaint", None)


def test_there_is_nothing_to_lift_where_nothing_is_suppressed(place: Place, shop: httpx.Client) -> None:
    assert problem(shop.delete(path())) == (404, "not-found")
    note(place, [word(NOW, suppressed=False)])
    assert problem(shop.delete(path())) == (404, "not-found")
    assert problem(shop.delete(path("no\0body"))) == (404, "not-found")


def test_an_address_with_a_slash_is_one_address(place: Place, shop: httpx.Client) -> None:
    assert shop.put(path("a/b@example.com")).status_code == 200
    assert state(place, "a/b@example.com")[0] is True
    assert shop.delete(path("a/b@example.com")).status_code == 202


@pytest.mark.parametrize(
    ("url", "body", "said"),
    [
        (path("nobody"), None, "the address"),
        (path("Jane <jane@example.com>"), None, "the address"),
        (path("j@example.com\0"), None, "the address"),
        (path(stream="no.stream"), None, "the stream"),
        (path(stream="x" * 31), None, "the stream"),
        (path(), [], "the body must be an object"),
        (path(), {"notes": "x"}, "the body must be an object"),
        (path(), {"note": 5}, "note must be"),
        (path(), {"note": "two\nlines"}, "note must be"),
        (path(), {"note": "x" * (LONGEST_NOTE + 1)}, "note must be"),
    ],
)
def test_what_is_not_well_formed_is_refused_by_name(
    place: Place, shop: httpx.Client, url: str, body: Any, said: str
) -> None:
    answer = shop.put(url) if body is None else shop.put(url, json=body)
    assert problem(answer) == (400, "bad-request")
    assert answer.json()["detail"].startswith(said)
    assert place.sql("SELECT count(*) FROM atum.suppression") == [(0,)]


def test_the_list_is_walked_page_by_page_and_holds_what_is_suppressed_now(
    place: Place, shop: httpx.Client
) -> None:
    note(place, [word(NOW, address=f"r{number}@example.com") for number in range(5)])
    note(place, [word(NOW, address="s@example.com")._replace(stream="broadcast", reason="complaint")])
    note(place, [word(NOW, address="lifted@example.com", suppressed=False)])
    everybody = ["s@example.com", *[f"r{number}@example.com" for number in range(5)]]
    assert pages(shop) == [everybody]
    assert pages(shop, limit=2) == [everybody[0:2], everybody[2:4], everybody[4:6]]
    assert pages(shop, stream="outbound", limit=4) == [everybody[1:5], everybody[5:6]]
    assert pages(shop, reason="complaint") == [["s@example.com"]]
    assert pages(shop, address="R3@Example.com") == [["r3@example.com"]]
    assert pages(shop, address="nobody@example.com") == [[]]
    assert pages(shop, cursor="elsewhere/x") == [[]]


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ({"colour": "red"}, "colour"),
        ({"reason": "spite"}, "reason"),
        ({"limit": "0"}, "limit"),
        ({"address": "\0"}, "address"),
    ],
)
def test_a_query_that_makes_no_sense_is_refused_by_name(
    shop: httpx.Client, query: dict[str, str], parameter: str
) -> None:
    answer = shop.get("/v1/suppressions", params=query)
    assert problem(answer) == (400, "bad-request")
    assert answer.json()["parameter"] == parameter


def test_reading_and_changing_need_their_scopes(api: Api, place: Place) -> None:
    del place
    with api.client("reader", scopes=[Scope.READ]) as reader:
        assert reader.get("/v1/suppressions").status_code == 200
        assert problem(reader.put(path())) == (403, "out-of-scope")
        assert problem(reader.delete(path())) == (403, "out-of-scope")
    with api.client("manager", scopes=[Scope.MANAGE]) as manager:
        assert problem(manager.get("/v1/suppressions")) == (403, "out-of-scope")
        assert manager.put(path()).status_code == 200
    with api.http() as nobody:
        assert problem(nobody.get("/v1/suppressions")) == (401, "unauthorized")


def test_addresses_do_not_come_into_the_log_of_the_api(api: Api, place: Place, shop: httpx.Client) -> None:
    del place
    shop.put(path("secret@example.com"))
    shop.delete(path("secret@example.com"))
    assert "secret" not in api.output()
