"""Postmark's clients, as published, against the simulator; and what each makes of answers that are not plain."""

from __future__ import annotations

import base64
import random
from typing import TYPE_CHECKING, Any

import pytest

from atum_ops.simulator.faults import FaultKind, FaultPlan, FaultRule
from tests.clients.drivers import CLIENTS, Client, ClientError, Place
from tests.clients.expectations import (
    check_a_wrong_token_is_told,
    check_an_invalid_mail_is_told,
    check_the_second_of_three_is_refused,
    every_client,
    every_reader,
    refused,
)
from tests.clients.letter import Attachment, Letter
from tests.nodes import eventually

if TYPE_CHECKING:
    from atum_ops.simulator.process import SimulatorProcess

EVERYTHING = Letter(
    sender="Shop <shop@example.com>",
    to=("Jane Doe <jane@example.org>", '"Doe, Bob" <bob@example.org>'),
    cc=("carl@example.net",),
    bcc=("eve@example.net",),
    reply_to="Help <help@example.com>",
    subject="Grüße 😀",
    text="Hello\n",
    html='<p>Hello <img src="cid:logo"></p>',
    tag="order",
    metadata={"order": "17", "atum-mail": "m1"},
    headers={"X-Shop": "yes"},
    attachments=(
        Attachment(name="bill 17.pdf", content=bytes(range(256)), content_type="application/pdf"),
        Attachment(
            name="logo.png", content=b"\x89PNG\r\n\x1a\n", content_type="image/png", content_id="logo"
        ),
    ),
    track_opens=True,
    track_links="HtmlAndText",
    stream="broadcast",
)
PLAIN = Letter()
BATCH = [Letter(to=(f"u{n}@example.org",), metadata={"atum-mail": f"m{n}"}) for n in range(3)]

every_manager = pytest.mark.parametrize(
    "client", [one for one in CLIENTS.values() if "streams" in one.jobs], ids=lambda client: client.name
)


@pytest.fixture
def place(simulator: SimulatorProcess) -> Place:
    return Place(url=simulator.url, token="simulator-token")


def plan(kind: FaultKind, **conditions: Any) -> FaultPlan:
    return FaultPlan(rules=(FaultRule(kind=kind, **conditions),))


@every_client
def test_everything_that_a_mail_can_have_arrives(
    client: Client, place: Place, simulator: SimulatorProcess
) -> None:
    results = client.send(place, [EVERYTHING])
    assert all(result.accepted for result in results)
    (record,) = simulator.ledger()
    assert {result.message_id for result in results} == {record.message_id}
    assert (record.to, record.cc, record.bcc, record.stream) == (
        ("jane@example.org", "bob@example.org"),
        ("carl@example.net",),
        ("eve@example.net",),
        "broadcast",
    )
    content = simulator.content(record.message_id)
    assert content is not None
    assert "".join(content.pop("To").split()) == 'JaneDoe<jane@example.org>,"Doe,Bob"<bob@example.org>'
    pdf, logo = EVERYTHING.attachments
    assert content == {
        "From": "Shop <shop@example.com>",
        "Cc": "carl@example.net",
        "Bcc": "eve@example.net",
        "ReplyTo": "Help <help@example.com>",
        "Subject": "Grüße 😀",
        "Tag": "order",
        "TextBody": "Hello\n",
        "HtmlBody": '<p>Hello <img src="cid:logo"></p>',
        "Headers": [{"Name": "X-Shop", "Value": "yes"}],
        "Metadata": {"order": "17", "atum-mail": "m1"},
        "MessageStream": "broadcast",
        "TrackOpens": True,
        "TrackLinks": "HtmlAndText",
        "Attachments": [
            {
                "Name": "bill 17.pdf",
                "Content": base64.b64encode(pdf.content).decode(),
                "ContentType": "application/pdf",
            },
            {
                "Name": "logo.png",
                "Content": base64.b64encode(logo.content).decode(),
                "ContentType": "image/png",
                "ContentID": "cid:logo",
            },
        ],
    }


@every_client
def test_a_batch_is_one_request_and_answered_in_its_order(
    client: Client, place: Place, simulator: SimulatorProcess
) -> None:
    results = client.send(place, BATCH)
    records = list(simulator.ledger())
    assert [record.mail_id for record in records] == ["m0", "m1", "m2"]
    assert [result.message_id for result in results] == [record.message_id for record in records]
    assert len({record.request for record in records}) == 1


@every_client
def test_a_hundred_mails_with_files_are_each_accepted_once_and_whole(
    client: Client, place: Place, simulator: SimulatorProcess
) -> None:
    draw = random.Random(client.name)  # noqa: S311 - reproducible, not secret
    letters = [
        Letter(
            subject=f"Mail {n}",
            metadata={"atum-mail": f"m{n}"},
            attachments=tuple(
                Attachment(
                    name=f"file {n}.{k}.bin.dat",
                    content=draw.randbytes(draw.randrange(30_000)),
                    content_type="application/octet-stream",
                )
                for k in range(2)
            ),
        )
        for n in range(100)
    ]
    results = client.send(place, letters)
    assert all(result.accepted for result in results)
    records = {record.mail_id: record for record in simulator.ledger()}
    summary = simulator.summary()
    assert (summary.accepted, summary.distinct, summary.duplicates) == (100, 100, 0)
    for letter in letters:
        content = simulator.content(records[letter.metadata["atum-mail"]].message_id)
        assert content is not None
        assert content["Subject"] == letter.subject
        assert [
            (one["Name"], base64.b64decode(one.get("Content", ""))) for one in content["Attachments"]
        ] == [(one.name, one.content) for one in letter.attachments]


@every_client
def test_a_wrong_token_is_told_as_401(client: Client, place: Place, simulator: SimulatorProcess) -> None:
    check_a_wrong_token_is_told(client, place.url)
    assert simulator.summary().accepted == 0


@every_client
def test_an_invalid_mail_is_told_as_422_with_the_reason(client: Client, place: Place) -> None:
    check_an_invalid_mail_is_told(client, place)


@every_client
def test_a_stream_that_does_not_exist_is_told_as_1235(client: Client, place: Place) -> None:
    error = refused(client, place, [Letter(stream="nope")])
    assert (error.status, error.code) == (422, 1235)
    assert "'nope' does not exist on this server" in error.message


@every_client
def test_an_inactive_recipient_is_told_as_406(
    client: Client, place: Place, simulator: SimulatorProcess
) -> None:
    simulator.set_inactive(["jane@example.org"])
    error = refused(client, place, [PLAIN])
    assert (error.kind, error.status, error.code) == {
        "postmark.js": ("InactiveRecipientsError", 422, 406),
        "postmarker": ("ClientError", 422, 406),
        # It reads the address from the text, and then raises in its own words.
        "anymail": ("AnymailRecipientsRefused", None, 406),
        "postmark-python": ("InactiveRecipientException", 422, 406),
    }[client.name]
    assert simulator.summary().accepted == 0


@every_client
def test_when_some_recipients_are_inactive_the_others_get_the_mail(
    client: Client, place: Place, simulator: SimulatorProcess
) -> None:
    simulator.set_inactive(["bob@example.org"])
    results = client.send(place, [Letter(to=("jane@example.org", "bob@example.org"))])
    assert [record.to for record in simulator.ledger()] == [("jane@example.org",)]
    said = [result.message for result in results]
    if client.name == "anymail":
        # It looks for the sentence that older answers had behind the addresses, and believes that bob got it.
        assert said == ["jane@example.org: sent", "bob@example.org: sent"]
    else:
        assert said == ["Message OK, but will not deliver to these inactive addresses: bob@example.org"]


def test_anymail_finds_inactive_recipients_in_the_older_wording(
    place: Place, simulator: SimulatorProcess
) -> None:
    simulator.set_faults(plan(FaultKind.PARTIAL_INACTIVE_LONG))
    results = CLIENTS["anymail"].send(place, [Letter(to=("jane@example.org", "bob@example.org"))])
    assert [result.message for result in results] == ["jane@example.org: sent", "bob@example.org: rejected"]


@every_client
def test_a_batch_with_one_inactive_recipient_sends_the_others(
    client: Client, place: Place, simulator: SimulatorProcess
) -> None:
    simulator.set_inactive(["u1@example.org"])
    check_the_second_of_three_is_refused(client, place, BATCH, code=406)
    assert [record.mail_id for record in simulator.ledger()] == ["m0", "m2"]


@every_client
def test_a_batch_with_one_wrong_address_sends_the_others(
    client: Client, place: Place, simulator: SimulatorProcess
) -> None:
    letters = [BATCH[0], Letter(to=("jane@exam_ple.org",), metadata={"atum-mail": "m1"}), BATCH[2]]
    check_the_second_of_three_is_refused(client, place, letters, code=300)
    assert [record.mail_id for record in simulator.ledger()] == ["m0", "m2"]


@every_client
def test_a_batch_with_one_item_that_fails_otherwise_sends_the_others(
    client: Client, place: Place, simulator: SimulatorProcess
) -> None:
    simulator.set_faults(plan(FaultKind.NO_CREDITS, recipient="u1@"))
    if client.name in {"anymail", "postmark-python"}:
        # Anymail raises at the first item whose code it does not know, and forgets the status of all.
        assert refused(client, place, BATCH).status in {200, None}
    else:
        assert [result.code for result in client.send(place, BATCH)] == [0, 405, 0]
    assert [record.mail_id for record in simulator.ledger()] == ["m0", "m2"]


@every_client
def test_an_acceptance_whose_delivery_is_delayed_is_understood(
    client: Client, place: Place, simulator: SimulatorProcess
) -> None:
    simulator.set_faults(plan(FaultKind.DELAYED))
    if client.name == "postmark-python":
        # The answer has no ErrorCode, which its model demands: the mail is accepted, and the caller sees an error.
        assert refused(client, place, [PLAIN]).kind == "ValidationError"
    else:
        (result,) = client.send(place, [PLAIN])
        assert result.accepted
        assert "queued" in result.message or "delivery may be delayed" in result.message
    assert simulator.summary().accepted == 1


def test_postmark_python_repeats_a_send_whose_outcome_it_does_not_know(
    place: Place, simulator: SimulatorProcess
) -> None:
    simulator.set_faults(plan(FaultKind.SERVER_ERROR_AFTER, max_count=1))
    letter = Letter(metadata={"atum-mail": "m1"})
    sdk = CLIENTS["postmark-python"]
    sdk.ask(place, "send", letters=[letter.to_document()], retries=1)
    assert simulator.summary().extra_copies == 1


@every_client
def test_a_template_is_refused_because_there_is_none(
    client: Client, place: Place, simulator: SimulatorProcess
) -> None:
    with pytest.raises(ClientError) as caught:
        client.template(place, [PLAIN], "welcome")
    assert (caught.value.status, caught.value.code) == (422, 1101)
    if client.name in {"anymail", "postmark-python"}:
        with pytest.raises(ClientError):
            client.template(place, BATCH, "welcome")
    else:
        assert [result.code for result in client.template(place, BATCH, "welcome")] == [1101] * 3
    assert simulator.summary().accepted == 0


@every_reader
def test_sent_mails_are_found_and_shown(client: Client, place: Place) -> None:
    (sent,) = client.send(
        place, [Letter(tag="order", html="<p>Hello</p>", attachments=EVERYTHING.attachments)]
    )
    client.send(place, [Letter(to=("bob@example.org",))])
    (found,) = client.ask(place, "search", query={"recipient": "jane@example.org", "tag": "order"})
    assert (found["MessageID"], found["Status"], found["Recipients"]) == (
        sent.message_id,
        "Sent",
        ["jane@example.org"],
    )
    assert found["Attachments"] == ["bill 17.pdf", "logo.png"]
    shown = client.ask(place, "details", message_id=sent.message_id)
    assert (shown["TextBody"], shown["HtmlBody"], shown["MessageEvents"]) == ("Hello", "<p>Hello</p>", [])
    assert len(client.ask(place, "search", query={"count": 10})) == 2
    assert client.ask(place, "server")["DeliveryType"] == "Sandbox"
    with pytest.raises(ClientError) as caught:
        client.ask(place, "details", message_id="00000000-0000-0000-0000-000000000000")
    assert (caught.value.status, caught.value.code) == (422, 701)


@every_manager
def test_mails_are_searched_by_stream_and_metadata(client: Client, place: Place) -> None:
    client.send(place, BATCH)
    client.send(place, [EVERYTHING])
    metadata: dict[str, Any] = {"metadata_atum-mail": "m1"}
    if client.name == "postmark-python":
        metadata = {"metadata": {"atum-mail": "m1"}}
    (found,) = client.ask(place, "search", query=metadata)
    assert found["Recipients"] == ["u1@example.org"]
    (found,) = client.ask(place, "search", query={"messagestream": "broadcast"} | metadata)
    assert (found["Subject"], found["Metadata"]) == ("Grüße 😀", {"order": "17", "atum-mail": "m1"})


@every_manager
def test_streams_are_listed(client: Client, place: Place) -> None:
    listed = client.ask(place, "streams")
    assert [(one["ID"], one["MessageStreamType"]) for one in listed] == [
        ("outbound", "Transactional"),
        ("broadcast", "Broadcasts"),
        ("inbound", "Inbound"),
    ]
    assert client.ask(place, "stream", stream="broadcast")["ID"] == "broadcast"
    with pytest.raises(ClientError) as caught:
        client.ask(place, "stream", stream="nope")
    assert (caught.value.status, caught.value.code) == (422, 1226)


@every_manager
def test_suppressions_are_made_listed_heeded_and_taken_back(
    client: Client, place: Place, simulator: SimulatorProcess
) -> None:
    made = client.ask(place, "suppress", stream="outbound", given=["Jane@example.org", "nonsense"])
    assert made == [
        {"EmailAddress": "Jane@example.org", "Status": "Suppressed", "Message": None},
        {"EmailAddress": "nonsense", "Status": "Failed", "Message": "An invalid email address was provided."},
    ]
    (listed,) = client.ask(place, "suppressions", stream="outbound")
    assert (listed["EmailAddress"], listed["SuppressionReason"], listed["Origin"]) == (
        "jane@example.org",
        "ManualSuppression",
        "Customer",
    )
    assert client.ask(place, "suppressions", stream="broadcast") == []
    refused(client, place, [PLAIN])
    assert client.send(place, [Letter(stream="broadcast")])[0].accepted
    taken = client.ask(place, "unsuppress", stream="outbound", given=["jane@example.org"])
    assert taken == [{"EmailAddress": "jane@example.org", "Status": "Deleted", "Message": None}]
    assert client.send(place, [PLAIN])[0].accepted
    assert [record.stream for record in simulator.ledger()] == ["broadcast", "outbound"]


@every_manager
def test_a_changed_suppression_shows_after_a_while(
    client: Client, place: Place, simulator: SimulatorProcess
) -> None:
    simulator.tune(suppression_lag_s=3600)
    client.ask(place, "suppress", stream="outbound", given=["jane@example.org"])
    assert client.ask(place, "suppressions", stream="outbound") == []
    assert client.send(place, [PLAIN])[0].accepted
    simulator.tune(suppression_lag_s=0.5)
    assert eventually(lambda: client.ask(place, "suppressions", stream="outbound") != [])
    refused(client, place, [PLAIN])
    with pytest.raises(ClientError) as caught:
        client.ask(place, "suppressions", stream="nope")
    assert (caught.value.status, caught.value.code) == (422, 1226)
