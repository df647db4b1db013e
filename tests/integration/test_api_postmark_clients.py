"""Postmark's clients, as published, against our API: what they make of its answers is what they make of Postmark's."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from atum_producers.api.clients_store import Scope
from tests.api import Api
from tests.clients.drivers import Client, ClientError, Place
from tests.clients.expectations import (
    check_a_wrong_token_is_told,
    check_an_invalid_mail_is_told,
    check_the_second_of_three_is_refused,
    every_client,
    every_reader,
    refused,
)
from tests.clients.letter import Attachment, Letter
from tests.integration.test_api_postmark_sending import new_key, subjects
from tests.nodes import Databases

if TYPE_CHECKING:
    from collections.abc import Iterator

    from atum_ops.stack.postgres import PostgresNode

EVERYTHING = Letter(
    to=("Jane Doe <jane@example.org>", '"Doe, Bob" <bob@example.org>'),
    cc=("carl@example.net",),
    bcc=("eve@example.net",),
    reply_to="Help <help@example.com>",
    subject="Grüße 😀",
    html='<p>Hello <img src="cid:logo"></p>',
    tag="order",
    metadata={"order": "17"},
    headers={"X-Shop": "yes"},
    attachments=(
        Attachment(name="bill 17.pdf", content=bytes(range(256)), content_type="application/pdf"),
        Attachment(name="logo.png", content=b"\x89PNG", content_type="image/png", content_id="logo"),
    ),
    track_opens=True,
    track_links="HtmlAndText",
)
BATCH = [Letter(to=(f"u{n}@example.org",), subject="s", metadata={"n": f"{n}"}) for n in range(3)]


@pytest.fixture(scope="module")
def api(postgres_node: PostgresNode) -> Iterator[Api]:
    with Databases(postgres_node).fresh() as url, Api(url) as running:
        yield running


@pytest.fixture
def place(api: Api) -> Place:
    return Place(url=api.url, token=new_key(api))


@every_client
def test_everything_that_a_mail_can_have_is_in_the_log(client: Client, api: Api, place: Place) -> None:
    results = client.send(place, [EVERYTHING])
    assert all(result.accepted for result in results)
    (mail_id,) = {result.message_id for result in results}
    with psycopg.connect(api.database_url) as connection:
        row = connection.execute(
            "SELECT sender, to_line, cc_line, bcc_line, subject, tag, metadata FROM atum.mail WHERE id = %s",
            (mail_id,),
        ).fetchone()
    assert row == (
        "Shop <shop@example.com>",
        'Jane Doe <jane@example.org>, "Doe, Bob" <bob@example.org>',
        "carl@example.net",
        "eve@example.net",
        "Grüße 😀",
        "order",
        {"order": "17"},
    )


@every_client
def test_a_batch_is_answered_in_its_order(client: Client, api: Api, place: Place) -> None:
    results = client.send(place, BATCH)
    with psycopg.connect(api.database_url) as connection:
        rows = connection.execute(
            "SELECT id::text, to_line FROM atum.mail WHERE id = ANY(%s::uuid[])",
            ([result.message_id for result in results],),
        ).fetchall()
    found: dict[str | None, str] = dict(rows)
    assert [found[result.message_id] for result in results] == [letter.to[0] for letter in BATCH]


@every_client
def test_a_wrong_token_is_told_as_postmark_does(client: Client, place: Place) -> None:
    check_a_wrong_token_is_told(client, place.url)


@every_client
def test_a_key_without_the_scope_is_told_with_its_name(client: Client, api: Api) -> None:
    place = Place(url=api.url, token=new_key(api, scopes=[Scope.READ]))
    error = refused(client, place, [Letter()])
    assert (error.status, error.code) == (401, 10)
    assert "lacks the scope 'send'" in error.message


@every_client
def test_a_domain_that_is_not_allowed_is_told_as_no_sender_signature(client: Client, api: Api) -> None:
    error = refused(client, Place(url=api.url, token=new_key(api, domains=["example.org"])), [Letter()])
    assert (error.status, error.code) == (422, 400)
    assert "is not a Sender Signature on your account" in error.message


@every_client
def test_an_invalid_mail_is_told_as_postmark_does(client: Client, place: Place) -> None:
    check_an_invalid_mail_is_told(client, place)


@every_client
def test_a_batch_with_one_wrong_address_stores_the_others(client: Client, api: Api, place: Place) -> None:
    before = len(subjects(api.database_url))
    letters = [BATCH[0], Letter(to=("jane@exam_ple.org",), subject="s", metadata={"n": "1"}), BATCH[2]]
    check_the_second_of_three_is_refused(client, place, letters, code=300)
    assert len(subjects(api.database_url)) == before + 2


@every_client
def test_a_template_is_refused_because_there_are_none(client: Client, api: Api, place: Place) -> None:
    before = len(subjects(api.database_url))
    for letters in ([Letter()], BATCH):
        with pytest.raises(ClientError) as caught:
            client.template(place, letters, "welcome")
        assert (caught.value.status, caught.value.code) == (422, 1101)
        assert "Templates are not supported" in caught.value.message
    assert len(subjects(api.database_url)) == before


@every_client
def test_a_key_among_the_headers_makes_repeating_safe(client: Client, api: Api, place: Place) -> None:
    before = len(subjects(api.database_url))
    letter = Letter(headers={"Idempotency-Key": f"order-{uuid.uuid4().hex}", "X-Shop": "yes"})
    first, again = [client.send(place, [letter])[0] for _ in range(2)]
    assert first.message_id == again.message_id
    assert len(subjects(api.database_url)) == before + 1


def test_the_example_of_the_page_runs_and_repeating_it_sends_nothing_again(api: Api, place: Place) -> None:
    page = (Path(__file__).parents[2] / "docs" / "postmark-api.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    before = len(subjects(api.database_url))
    told = {
        subprocess.run(
            [sys.executable, "-c", f"{example}print(answer.message_id)"],
            env={
                **os.environ,
                "NO_PROXY": "127.0.0.1",
                "MAILER_URL": place.url,
                "MAILER_KEY": place.token,
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout.strip()
        for _ in range(2)
    }
    assert len(told) == 1
    assert len(subjects(api.database_url)) == before + 1


@every_reader
def test_stored_mails_are_found_and_shown(client: Client, place: Place) -> None:
    (sent,) = client.send(
        place, [Letter(tag="order", html="<p>Hello</p>", attachments=EVERYTHING.attachments)]
    )
    client.send(place, [Letter(to=("bob@example.org",))])
    (found,) = client.ask(place, "search", query={"recipient": "jane@example.org", "tag": "order"})
    assert (found["MessageID"], found["Status"], found["Recipients"]) == (
        sent.message_id,
        "Queued",
        ["jane@example.org"],
    )
    shown = client.ask(place, "details", message_id=sent.message_id)
    assert (shown["TextBody"], shown["HtmlBody"], shown["MessageEvents"]) == ("Hello", "<p>Hello</p>", [])
    assert shown["Attachments"] == ["bill 17.pdf", "logo.png"]
    assert len(client.ask(place, "search", query={"count": 10})) == 2
    server = client.ask(place, "server")
    assert (server["ApiTokens"], server["DeliveryType"]) == ([], "Live")
    with pytest.raises(ClientError) as caught:
        client.ask(place, "details", message_id="00000000-0000-0000-0000-000000000000")
    assert (caught.value.status, caught.value.code) == (422, 701)


@every_reader
def test_a_mail_that_was_not_sent_is_shown_with_the_reason(client: Client, api: Api, place: Place) -> None:
    (sent,) = client.send(place, [Letter()])
    with psycopg.connect(api.database_url) as connection:
        connection.execute(
            "UPDATE atum.mail SET status = 'dead', finished_at = now() WHERE id = %s", (sent.message_id,)
        )
        connection.execute(
            "INSERT INTO atum.event (mail_id, cause, from_status, to_status, detail)"
            " VALUES (%s, 'provider_rejected', 'queued', 'dead', 'ErrorCode 406')",
            (sent.message_id,),
        )
    shown = client.ask(place, "details", message_id=sent.message_id)
    (event,) = shown["MessageEvents"]
    assert shown["Status"] == "Failed"
    told = event if "Type" in event else {name.title().replace("_", ""): event[name] for name in event}
    assert (told["Recipient"], told["Type"]) == ("jane@example.org", "Bounced")
