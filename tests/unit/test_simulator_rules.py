from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atum_ops.simulator import recipients
from atum_ops.simulator.fieldtypes import mistyped
from atum_ops.simulator.ledger import Envelope
from atum_ops.simulator.rules import Account, check
from atum_ops.simulator.suppressions import Suppression, Suppressions
from atum_ops.simulator.texts import Refusal

STREAMS = {"outbound": "Transactional", "broadcast": "Broadcasts", "inbound": "Inbound"}
MAIL: dict[str, Any] = {"From": "shop@example.com", "To": "jane@example.org", "TextBody": "Hello"}


def account(**settings: Any) -> Account:
    return Account(streams=STREAMS, **settings)


def bounced(address: str) -> Suppressions:
    suppressions = Suppressions()
    suppressions.replace([("outbound", Suppression(address, "HardBounce", "Recipient", 0.0))])
    return suppressions


def judge(change: dict[str, Any], *, in_batch: bool = False, **settings: Any) -> Envelope | Refusal:
    return check({**MAIL, **change}, account(**settings), in_batch=in_batch)


@pytest.mark.parametrize(
    ("change", "code", "text"),
    [
        ({"To": ""}, 300, "Zero recipients specified"),
        ({"To": None}, 300, "Zero recipients specified"),
        ({"To": "jane doe@x.com"}, 300, "Invalid 'To' address: 'jane doe@x.com'."),
        ({"To": "Doe, Jane <jane@example.org>"}, 300, "Error parsing 'To': Illegal email address 'Doe'. It must contain the '@' symbol."),
        ({"From": "jürgen@example.com"}, 300, "Invalid 'From' address: 'jürgen@example.com'."),
        ({"From": ""}, 300, "Invalid 'From' address: ''."),
        ({"From": "a" * 250 + "@b.com"}, 300, "Invalid 'From' value: longer than 255 characters."),
        ({"Cc": "user@+"}, 300, "Error parsing 'Cc': Illegal email domain '+' in address 'user@+'."),
        ({"To": "jane@exämple.org"}, 300, "Error parsing 'To': Illegal email domain 'exämple.org' in address 'jane@exämple.org'."),
        ({"Bcc": "x"}, 300, "Error parsing 'Bcc': Illegal email address 'x'. It must contain the '@' symbol."),
        ({"ReplyTo": "x"}, 300, "Error parsing 'ReplyTo': Illegal email address 'x'. It must contain the '@' symbol."),
        ({"To": ",".join(["a@example.org"] * 51)}, 300, "Too many recipients specified: 51. The limit is 50."),
        ({"TextBody": ""}, 300, "Provide either email TextBody or HtmlBody or both."),
        ({"TextBody": None}, 300, "Provide either email TextBody or HtmlBody or both."),
        ({"HtmlBody": "é" * (5 * 1024 * 1024 // 2 + 1)}, 300, "The 'HtmlBody' is larger than 5242880 bytes."),
        ({"Subject": "😀" * 1001}, 300, "The 'Subject' is longer than 2000 characters."),
        ({"Tag": "t" * 1001}, 300, "The 'Tag' is longer than 1000 characters."),
        (
            {"Metadata": {"k" * 21: "v"}},
            300,
            ("Invalid metadata content. Field names are limited to 20 characters and field values are limited to 80 "
            f"characters in length. The '{'k' * 21}' field in your metadata content exceeds these limits."),
        ),
        ({"Metadata": {"Key": "1", "key": "2"}}, 300, "Invalid metadata content. Field names may not differ only by case."),
        ({"Headers": [{"Name": "X-A", "Value": "1\r\nBcc: eve@example.net"}]}, 300, "Invalid 'Headers': 'X-A' contains a line break."),
        ({"TrackLinks": "Maybe"}, 300, "Invalid 'TrackLinks' value: 'Maybe'."),
        ({"Attachments": [{"Name": "a.EXE", "Content": "YQ=="}]}, 411, "Attachment 'a.EXE' has a file type that is not allowed."),
        ({"Attachments": [{"Name": "a.txt", "Content": "Y*=="}]}, 300, "Invalid 'Attachments': the 'Content' of 'a.txt' is not base64."),
        ({"MessageStream": "nope"}, 1235, "The stream provided: 'nope' does not exist on this server."),
        ({"MessageStream": "inbound"}, 1236, "The stream provided: 'inbound' cannot be used for sending messages."),
    ],
)  # fmt: skip
def test_a_wrong_message_is_refused_in_the_providers_words(
    change: dict[str, Any], code: int, text: str
) -> None:
    assert judge(change) == Refusal(code, text)


@pytest.mark.parametrize(
    "change",
    [
        {"To": '"Doe, Jane" <jane@example.org>, bob@example.net'},
        {"To": "", "Cc": "jane@example.org"},
        {"From": "Shop <shop@example.com>, other@example.com"},
        {"Subject": "😀" * 1000},
        {"Tag": "t" * 1000},
        {"TextBody": None, "HtmlBody": "<p>x</p>"},
        {"HtmlBody": "x" * 5 * 1024 * 1024},
        {"Metadata": {f"k{n}": "v" * 80 for n in range(10)}},
        {"Attachments": [{"Name": "a.pdf", "Content": "YWJj\r\nZGVm", "ContentType": "application/pdf"}]},
        {"MessageStream": "broadcast"},
        {"MessageStream": ""},
        {"To": ",".join(["a@example.org"] * 50)},
        {"Nonsense": 1},
    ],
)
def test_a_message_at_the_limits_is_taken(change: dict[str, Any]) -> None:
    assert not mistyped({**MAIL, **change})
    assert isinstance(judge(change), Envelope)


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"From": 1}, ["From"]),
        ({"To": ["jane@example.org"]}, ["To"]),
        ({"TrackOpens": "true"}, ["TrackOpens"]),
        ({"Metadata": {"order": 7}}, ["Metadata"]),
        ({"Metadata": "x", "Headers": "x", "Attachments": {}}, ["Metadata", "Headers", "Attachments"]),
        ({"Attachments": [{"Name": "a.txt", "Content": "", "ContentType": 1}]}, ["Attachments"]),
        ({"Attachments": [{"Name": "a.txt", "Content": "", "ContentID": {}}]}, ["Attachments"]),
        ({"TrackOpens": True, "Headers": None, "Metadata": {}, "Attachments": [{}]}, []),
    ],
)
def test_fields_of_the_wrong_type_are_named(change: dict[str, Any], wrong: list[str]) -> None:
    assert mistyped({**MAIL, **change}) == wrong


def test_a_sender_without_a_confirmed_signature_is_refused() -> None:
    signatures = frozenset({"example.com", "boss@example.net"})
    assert isinstance(judge({"From": "A <any@Example.com>"}, signatures=signatures), Envelope)
    assert isinstance(judge({"From": "boss@example.net"}, signatures=signatures), Envelope)
    refused = judge({"From": "clerk@example.net"}, signatures=signatures)
    assert isinstance(refused, Refusal)
    assert refused.code == 400
    assert refused.message.startswith(
        "The 'From' address you supplied (clerk@example.net) is not a Sender Signature"
    )


@pytest.mark.parametrize(
    ("in_batch", "text"),
    [
        (False, ("You tried to send to recipient(s) that have been marked as inactive. Found inactive addresses: jane@example.org. "
         "Inactive recipients are ones that have generated a hard bounce, a spam complaint, or a manual suppression.")),
        (True, ("You tried to send to a recipient that has been marked as inactive. Found inactive addresses: jane@example.org. "
         "Inactive recipients are ones that have generated a hard bounce, a spam complaint, or a manual suppression. ")),
    ],
)  # fmt: skip
def test_a_message_to_inactive_recipients_only_is_refused(in_batch: bool, text: str) -> None:
    assert judge(
        {"To": "Jane@example.org"}, in_batch=in_batch, suppressions=bounced("jane@example.org")
    ) == Refusal(406, text)


def test_inactive_recipients_are_left_out_of_a_message_to_several() -> None:
    envelope = judge({"To": "Jane@example.org, bob@example.org"}, suppressions=bounced("jane@example.org"))
    assert isinstance(envelope, Envelope)
    assert envelope.to == ["bob@example.org"]
    assert envelope.extra["skipped"] == ["jane@example.org"]


names = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), max_size=30).map(str.strip)


@given(st.lists(names, min_size=1, max_size=5))
def test_quoted_names_are_read_back_whatever_they_contain(given_names: list[str]) -> None:
    quoted = [name.replace("\\", "\\\\").replace('"', '\\"') for name in given_names]
    value = ", ".join(f'"{name}" <u{number}@example.org>' for number, name in enumerate(quoted))
    found = recipients.parse("To", value)
    assert found == [(f"u{number}@example.org", name) for number, name in enumerate(given_names)]
