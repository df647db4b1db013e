"""Search, details and server: a client's own mails in Postmark's words, and nothing of anybody else's."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from atum_producers.api.postmark import search_store
from atum_producers.story_store import SCANNED
from tests.api import Api, add_client, letter
from tests.integration.test_api_postmark_sending import envelope, message, new_key, postmark
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
def shop(api: Api) -> Iterator[httpx.Client]:
    """A client that no other test shares."""
    with postmark(api, new_key(api)) as http:
        yield http


def send(http: httpx.Client, **fields: Any) -> str:
    return str(http.post("/email", json=message(**fields)).json()["MessageID"])


def found(http: httpx.Client, **query: Any) -> list[str]:
    answer = http.get("/messages/outbound", params={"count": 500, "offset": 0} | query)
    assert answer.status_code == 200, answer.text
    document = answer.json()
    assert document["TotalCount"] == len(document["Messages"])
    return [one["MessageID"] for one in document["Messages"]]


def end(api: Api, mail_id: str, status: str, cause: str, detail: str) -> None:
    """Let a mail end, as delivery would."""
    with psycopg.connect(api.database_url) as connection:
        connection.execute(
            "UPDATE atum.mail SET status = %s, finished_at = now() WHERE id = %s", (status, mail_id)
        )
        connection.execute(
            "INSERT INTO atum.event (mail_id, cause, from_status, to_status, detail)"
            " VALUES (%s, %s, 'queued', %s, %s)",
            (mail_id, cause, status, detail),
        )
        connection.execute("DELETE FROM atum.ready WHERE mail_id = %s", (mail_id,))


def test_a_mail_that_was_sent_is_found_and_shown(shop: httpx.Client) -> None:
    mail_id = send(
        shop,
        To='"Doe, Jane" <jane@example.net>',
        HtmlBody="<p>Hi</p>",
        Tag="order",
        Metadata={"order": "7"},
        TrackOpens=True,
        TrackLinks="HtmlOnly",
        Attachments=[{"Name": "a.txt", "Content": "YQ=="}],
    )
    document = shop.get("/messages/outbound", params={"count": 1, "offset": 0}).json()
    (listed,) = document["Messages"]
    assert document["TotalCount"] == 1
    assert (listed["MessageID"], listed["Status"], listed["Recipients"]) == (
        mail_id,
        "Queued",
        ["jane@example.net"],
    )
    shown = shop.get(f"/messages/outbound/{mail_id}/details").json()
    assert shown["To"] == listed["To"] == [{"Email": "jane@example.net", "Name": "Doe, Jane"}]
    assert shown["ReceivedAt"] == listed["ReceivedAt"]
    names = ("TextBody", "HtmlBody", "Tag", "Metadata", "Attachments", "TrackOpens", "TrackLinks")
    assert [shown[name] for name in names] == [
        "Hi",
        "<p>Hi</p>",
        "order",
        {"order": "7"},
        ["a.txt"],
        True,
        "HtmlOnly",
    ]
    assert shown["MessageEvents"] == []


def test_an_id_is_read_whatever_its_case(shop: httpx.Client) -> None:
    mail_id = send(shop)
    for path in (f"/Messages/Outbound/{mail_id.upper()}/Details/", f"/messages/outbound/{mail_id}/details"):
        assert shop.get(path).json()["MessageID"] == mail_id


@pytest.mark.parametrize(
    ("query", "subjects"),
    [
        ({}, {"Welcome", "Order 7"}),
        ({"messagestream": "outbound"}, {"Welcome", "Order 7"}),
        ({"messagestream": "broadcast"}, {"News"}),
        ({"tag": "welcome"}, {"Welcome"}),
        ({"recipient": "JANE@example.net"}, {"Welcome"}),
        ({"recipient": "joe@example.net"}, {"Order 7"}),
        ({"recipient": "oe@example.net"}, set()),
        ({"fromemail": "app@example.com"}, {"Welcome", "Order 7"}),
        ({"fromemail": "other@example.com"}, set()),
        ({"subject": "order 7"}, {"Order 7"}),
        ({"metadata_order": "7"}, {"Order 7"}),
        ({"metadata_order": "8"}, set()),
        ({"status": "queued"}, {"Welcome", "Order 7"}),
        ({"status": "sent"}, set()),
        ({"status": "failed"}, set()),
        ({"tag": "", "status": ""}, {"Welcome", "Order 7"}),
    ],
)
def test_a_search_can_be_narrowed(shop: httpx.Client, query: dict[str, str], subjects: set[str]) -> None:
    ids = {
        send(shop, Subject="Welcome", Tag="welcome"): "Welcome",
        send(shop, Subject="News", MessageStream="broadcast"): "News",
        send(shop, Subject="Order 7", To="Joe <joe@example.net>", Metadata={"order": "7"}): "Order 7",
    }
    assert {ids[one] for one in found(shop, **query)} == subjects


def test_a_search_can_be_narrowed_by_time_in_utc(shop: httpx.Client) -> None:
    mail_id = send(shop)
    now = datetime.now(UTC)
    today, tomorrow = f"{now:%Y-%m-%d}", f"{now + timedelta(days=1):%Y-%m-%d}"
    soon, past = (
        f"{now + timedelta(minutes=1):%Y-%m-%dT%H:%M:%S}",
        f"{now - timedelta(minutes=1):%Y-%m-%dT%H:%M:%S}",
    )
    assert found(shop, fromdate=past, todate=soon) == [mail_id]
    assert found(shop, todate=tomorrow, fromdate=past[:10]) == [mail_id]
    assert found(shop, fromdate=soon) == found(shop, todate=past) == []
    # At midnight, the mail may be of the day before.
    assert found(shop, todate=today) == found(shop, fromdate=past[:10], todate=today)


def test_pages_join_without_gap_or_overlap_newest_first(shop: httpx.Client) -> None:
    told = shop.post("/email/batch", json=[message() for _ in range(23)]).json()
    seen: list[str] = []
    for offset in range(0, 30, 5):
        page = shop.get("/messages/outbound", params={"count": 5, "offset": offset}).json()
        assert page["TotalCount"] == 23
        seen += [one["MessageID"] for one in page["Messages"]]
    assert seen == [one["MessageID"] for one in told][::-1]


def test_a_search_looks_beyond_the_first_part_of_the_log(database_url: str) -> None:
    with Api(database_url) as api, postmark(api, add_client(database_url, "shop")) as shop:
        rare = [send(shop, Tag="rare") for _ in range(3)]
        with psycopg.connect(database_url) as connection:
            # Newer than those, and more than are looked at in one part.
            newest = uuid.UUID(rare[-1]).int
            connection.execute(
                "INSERT INTO atum.mail (id, client, lane, stream, status, sender, to_line, subject, size)"
                " SELECT n.id, client, lane, stream, 'canceled', sender, to_line, subject, size"
                " FROM atum.mail m, unnest(%s::uuid[]) n (id) WHERE m.id = %s",
                ([uuid.UUID(int=newest + place) for place in range(1, SCANNED + 51)], rare[-1]),
            )
        assert found(shop, tag="rare") == rare[::-1]
        assert found(shop, status="queued") == rare[::-1]
        page = shop.get("/messages/outbound", params={"count": 2, "offset": 1, "tag": "rare"}).json()
        assert (page["TotalCount"], [one["MessageID"] for one in page["Messages"]]) == (3, rare[1::-1])
        # Paging reaches 10,000 mails, and so does what is counted.
        last = shop.get("/messages/outbound", params={"count": 500, "offset": 9500}).json()
        assert len(last["Messages"]) == 500
        assert last["TotalCount"] >= 10_000


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"count": "501"},
        {"count": "1", "offset": "10000"},
        {"count": "1", "metadata_a": "1", "metadata_b": "1"},
        {"count": "1", "todate": "soon"},
        {"count": "1", "tag": "a\0b"},
    ],
)
def test_a_bad_search_is_refused_in_the_envelope(shop: httpx.Client, query: dict[str, str]) -> None:
    assert envelope(shop.get("/messages/outbound", params=query))[:2] == (422, 700)


def test_a_foreign_mail_is_not_found_by_its_id_and_looks_like_one_that_nobody_has(
    api: Api, shop: httpx.Client
) -> None:
    foreign = send(shop, Subject="secret", Metadata={"order": "secret"})
    with postmark(api, new_key(api)) as other:
        answers = [
            other.get(f"/messages/outbound/{mail_id}/details")
            for mail_id in (foreign, foreign.upper(), str(uuid.uuid4()), "nonsense", "%00")
        ]
    assert {answer.content for answer in answers} == {answers[0].content}
    assert envelope(answers[0]) == (422, 701, "This message was not found.")
    assert all(set(answer.headers) == set(answers[0].headers) for answer in answers)


def test_a_foreign_mail_is_found_by_no_search(api: Api, shop: httpx.Client) -> None:
    send(shop, Subject="secret", Tag="secret", Metadata={"order": "secret"})
    with postmark(api, new_key(api)) as other:
        own = send(other)
        for query in (
            {"subject": "secret"},
            {"tag": "secret"},
            {"metadata_order": "secret"},
            {"subject": "%"},
            {"recipient": ".*"},
            {"metadata_order": "' OR true --"},
        ):
            assert found(other, **query) == []
        assert found(other) == [own]


def test_a_mail_that_came_by_the_own_api_is_shown_too(api: Api) -> None:
    key = new_key(api)
    with api.http(key) as there, postmark(api, key) as here:
        mail_id = there.post("/v1/mails", json=letter(cc="carl@example.net")).json()["id"]
        assert here.get(f"/messages/outbound/{mail_id}/details").json()["Cc"] == [
            {"Email": "carl@example.net", "Name": None}
        ]


@pytest.mark.parametrize(
    ("status", "cause", "word", "kind", "key"),
    [
        ("sent", "provider_accepted", "Sent", None, None),
        ("delivered", "delivered", "Sent", "Delivered", "DeliveryMessage"),
        ("bounced", "bounced", "Sent", "Bounced", "Summary"),
        ("dead", "provider_rejected", "Failed", "Bounced", "Summary"),
        ("expired", "expired", "Failed", "Bounced", "Summary"),
        ("canceled", "canceled", "Failed", "Bounced", "Summary"),
    ],
)
def test_what_became_of_a_mail_is_told_in_postmarks_words(
    api: Api, shop: httpx.Client, status: str, cause: str, word: str, kind: str | None, key: str | None
) -> None:
    mail_id = send(shop)
    end(api, mail_id, status, cause, "what happened")
    shown = shop.get(f"/messages/outbound/{mail_id}/details").json()
    assert shown["Status"] == word
    told = [(one["Recipient"], one["Type"], one["Details"]) for one in shown["MessageEvents"]]
    assert told == ([] if kind is None else [("jane@example.net", kind, {key: "what happened"})])
    assert found(shop, status=word) == [mail_id]


def test_content_that_was_dropped_or_cannot_be_read_leaves_the_story(api: Api, shop: httpx.Client) -> None:
    dropped, broken = send(shop), send(shop)
    with psycopg.connect(api.database_url) as connection:
        connection.execute("DELETE FROM atum.content WHERE mail_id = %s", (dropped,))
        connection.execute("UPDATE atum.content SET key_id = 'gone' WHERE mail_id = %s", (broken,))
    for mail_id in (dropped, broken):
        shown = shop.get(f"/messages/outbound/{mail_id}/details").json()
        assert (shown["Subject"], shown["TextBody"], shown["HtmlBody"]) == ("Hello", "", "")
    assert f"content of mail {broken}: key 'gone' is not in ATUM_CONTENT_KEYS" in api.output()


def test_a_server_is_the_client_and_has_no_token(api: Api) -> None:
    key = new_key(api)
    with postmark(api, key) as http:
        answer = http.get("/server")
    assert answer.status_code == 200
    assert (answer.json()["ApiTokens"], answer.json()["DeliveryType"]) == ([], "Live")
    assert answer.json()["Name"].startswith("shop-")
    assert key not in answer.text


def test_a_search_is_bounded_by_what_it_looks_at() -> None:
    assert search_store.PAGES * SCANNED == 100_000
