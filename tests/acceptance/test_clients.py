"""Four published clients send mails with attachments through the whole system: all delivered, none twice, all whole."""

from __future__ import annotations

import base64
import random
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.api import Api, add_client
from tests.clients.drivers import CLIENTS, Client, Place
from tests.clients.letter import Attachment, Letter
from tests.system import System

if TYPE_CHECKING:
    from collections.abc import Iterator

    from atum_ops.simulator.records import LedgerRecord

MAILS = 100


@pytest.fixture
def system(database_url: str, amqp_url: str) -> Iterator[System]:
    with System(database_url=database_url, amqp_url=amqp_url) as system:
        yield system


def letters(name: str) -> list[Letter]:
    """Make mails that differ in everything that a client passes on."""
    draw = random.Random(name)  # noqa: S311 - reproducible, not secret
    return [
        Letter(
            to=(f"Jane {n} <jane{n}@example.org>",),
            cc=(f"carl{n}@example.net",) if n % 3 == 0 else (),
            subject=f"Grüße {n}",
            text=f"Text {n}\n",
            html=f"<p>Text {n}</p>" if n % 2 else None,
            tag=f"tag{n % 5}",
            metadata={"number": f"{n}"},
            headers={"X-Number": f"{n}"},
            attachments=tuple(
                Attachment(
                    name=f"file {n}.{k}.pdf",
                    content=draw.randbytes(draw.randrange(1, 60_000)),
                    content_type="application/pdf",
                )
                for k in range(2)
            ),
        )
        for n in range(MAILS)
    ]


@pytest.mark.parametrize("client", CLIENTS.values(), ids=lambda client: client.name)
def test_a_hundred_mails_with_files_are_delivered_once_and_whole(client: Client, system: System) -> None:
    sent = letters(client.name)
    with Api(system.database_url, settings=system.environment) as api:
        place = Place(url=api.url, token=add_client(system.database_url, "shop"))
        results = client.send(place, sent)
        assert all(result.accepted for result in results)
        # Anymail tells each recipient's own result; the same id for those of one mail.
        ids = [result.message_id for result in results]
        assert len(set(ids)) == MAILS
        system.settled()
        system.check(sent=MAILS)
        assert system.ledger() == Counter({mail_id or "": 1 for mail_id in ids})
        records = list(system.simulator.ledger())
        assert {record.metadata["number"] for record in records} == {f"{n}" for n in range(MAILS)}
        for record in records:
            check(system, record, sent[int(record.metadata["number"])])
        if "search" in client.jobs:
            found = client.ask(place, "search", query={"count": 500, "status": "sent"})
            assert {one["MessageID"] for one in found} == set(ids)


def check(system: System, record: LedgerRecord, letter: Letter) -> None:
    """Compare what the provider has with what was sent."""
    content = system.simulator.content(record.message_id)
    assert content is not None
    assert (content["Subject"], content["TextBody"], content.get("HtmlBody"), content["Tag"]) == (
        letter.subject,
        letter.text,
        letter.html,
        letter.tag,
    )
    assert (content["To"], content.get("Cc")) == (letter.to[0], letter.cc[0] if letter.cc else None)
    assert content["Headers"] == [{"Name": "X-Number", "Value": letter.metadata["number"]}]
    assert [
        (one["Name"], one["ContentType"], base64.b64decode(one["Content"])) for one in content["Attachments"]
    ] == [(one.name, one.content_type, one.content) for one in letter.attachments]
