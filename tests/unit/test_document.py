"""The JSON document and the stored content of a mail."""

from __future__ import annotations

import json
from base64 import b64decode
from dataclasses import fields
from datetime import UTC, datetime, timedelta, timezone
from importlib.resources import files
from typing import Any
from uuid import UUID, uuid4

import jsonschema
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atum_schema import document
from atum_schema.addresses import Address, parse_address
from atum_schema.document import (
    content_of,
    decode,
    decode_content,
    encode,
    mail_from_document,
    mail_to_document,
)
from atum_schema.document_content import mail_of
from atum_schema.document_fields import READERS, WRITERS
from atum_schema.errors import MailRejected
from atum_schema.mail import Attachment, Header, Mail, OnUnknown, TrackLinks
from tests.unit.test_addresses import ADDRESSES

_SCHEMA: dict[str, Any] = json.loads(files("atum_schema").joinpath("jsonschema/mail.schema.json").read_text())
_VALIDATOR = jsonschema.Draft202012Validator(_SCHEMA)

_LINES = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cf", "Cs", "Zl", "Zp")), max_size=40)
_BODIES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=60)
_KEYS = st.text("abcdefghij-_ .", min_size=1, max_size=20)
_ZONES = [UTC, timezone(timedelta(hours=5, minutes=45)), timezone(timedelta(hours=-12))]
_TIMES = st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.sampled_from(_ZONES))  # noqa: DTZ001
_ATTACHMENTS = st.builds(
    Attachment,
    name=st.sampled_from(["a.pdf", "Räkning 1.txt", "b"]),
    content=st.binary(max_size=40),
    content_id=st.none() | st.just("logo@example.com"),
)
_MAILS = st.builds(
    Mail,
    sender=ADDRESSES,
    to=st.lists(ADDRESSES, min_size=1, max_size=3),
    cc=st.lists(ADDRESSES, max_size=2),
    bcc=st.lists(ADDRESSES, max_size=2),
    reply_to=st.lists(ADDRESSES, max_size=2),
    subject=_LINES,
    text=_BODIES.filter(bool),
    html=st.none() | _BODIES,
    attachments=st.lists(_ATTACHMENTS, max_size=2),
    headers=st.lists(st.builds(Header, st.sampled_from(["X-A", "Message-ID"]), _LINES), max_size=2),
    tag=st.none() | _LINES.filter(bool),
    metadata=st.dictionaries(_KEYS, _LINES, max_size=8),
    stream=st.sampled_from(["outbound", "news_letter-2"]),
    lane=st.none() | st.just("broadcast"),
    track_opens=st.none() | st.booleans(),
    track_links=st.none() | st.sampled_from(TrackLinks),
    send_at=st.none() | _TIMES,
    idempotency_key=st.none() | st.just("order 7"),
    on_unknown=st.none() | st.sampled_from(OnUnknown),
)
_BASE: dict[str, Any] = {
    "version": 1,
    "from": "a@example.com",
    "to": ["b@example.com"],
    "subject": "s",
    "text": "t",
}


@settings(max_examples=40, deadline=None)
@given(_MAILS)
def test_every_mail_reads_back_as_itself(mail: Mail) -> None:
    assert decode(encode(mail)) == mail


@settings(max_examples=40, deadline=None)
@given(_MAILS)
def test_every_written_document_follows_the_schema(mail: Mail) -> None:
    _VALIDATOR.validate(mail_to_document(mail))


@settings(max_examples=40, deadline=None)
@given(_MAILS)
def test_stored_content_makes_the_mail_again(mail: Mail) -> None:
    content = content_of(mail)
    again = mail_of(decode_content(content))
    assert content_of(again) == content
    outside = {"lane", "send_at", "expires_at", "idempotency_key", "on_unknown"}
    for name in {each.name for each in fields(Mail)} - outside - {"text", "html"}:
        assert getattr(again, name) == getattr(mail, name), name
    assert all(getattr(again, name) is None for name in outside)
    # An empty body is none, and a mail with HTML alone has had its text since it was stored.
    assert again.html == (mail.html or None)
    assert not mail.text or again.text == mail.text


def test_schema_parser_and_mail_know_the_same_fields() -> None:
    names = document.field_names()
    assert set(_SCHEMA["properties"]) == names
    assert names == {*READERS, "version", "id"}
    assert set(WRITERS) == set(READERS)


def test_the_schema_is_itself_valid() -> None:
    jsonschema.Draft202012Validator.check_schema(_SCHEMA)


def test_schema_and_parser_agree_on_what_may_be_null() -> None:
    for name, reader in READERS.items():
        value = _BASE | {"html": "h", name: None}
        assert _VALIDATOR.is_valid(value) == reader.nullable, name


@pytest.mark.parametrize(
    ("changes", "field", "reason"),
    [
        ({"subjekt": "x"}, "subjekt", "is not a field of a mail"),
        ({"sender": "x@example.com"}, "sender", "is not a field of a mail"),
        ({"version": 2}, "version", "this release reads version 1"),
        ({"version": True}, "version", "this release reads version 1"),
        ({"version": "1"}, "version", "this release reads version 1"),
        ({"id": "7"}, "id", "is not a UUID"),
        ({"id": 7}, "id", "is not a UUID"),
        ({"from": 7}, "from", "must be a string, not int"),
        ({"from": "nope"}, "from", 'has no "@"'),
        ({"from": ["a@example.com"]}, "from", "must be a string, not list"),
        ({"to": 7}, "to", "must be a list, not int"),
        ({"to": ["a@example.com", None]}, "to[1]", "must be a string, not NoneType"),
        ({"to": []}, "to", "at least one is required"),
        ({"cc": None}, "cc", "must not be null"),
        ({"subject": None}, "subject", "must not be null"),
        ({"text": ["x"]}, "text", "must be a string, not list"),
        ({"metadata": [1]}, "metadata", "must be an object, not list"),
        ({"metadata": {"a": 1}}, "metadata[a]", "must be a string, not int"),
        ({"track_opens": "yes"}, "track_opens", "must be true or false, not str"),
        ({"track_links": "all"}, "track_links", "allowed are"),
        ({"send_at": "2026-11-05"}, "send_at", "not an RFC 3339 time"),
        ({"send_at": "2026-11-05T10:00:00"}, "send_at", "not an RFC 3339 time"),
        ({"send_at": "2026-02-30T10:00:00Z"}, "send_at", "not a time that exists"),
        ({"send_at": 1700000000}, "send_at", "must be a string, not int"),
        ({"headers": {"X-A": "1"}}, "headers", "must be a list, not dict"),
        ({"headers": ["X-A: 1"]}, "headers[0]", "must be an object, not str"),
        ({"headers": [{"name": "X-A"}]}, "headers[0].value", "is missing"),
        ({"headers": [{"name": "X-A", "value": "1", "x": 1}]}, "headers[0].x", "is not a known member"),
        ({"headers": [{"name": "Date", "value": "1"}]}, "headers[0].name", "reserved"),
        ({"attachments": [{"name": "a.txt"}]}, "attachments[0].content", "is missing"),
        ({"attachments": [{"name": "a.txt", "content": "%"}]}, "attachments[0].content", "is not base64"),
        ({"attachments": [{"name": "a.exe", "content": ""}]}, "attachments[0].name", ".exe"),
        (
            {"attachments": [{"name": "a.txt", "content": "", "path": "/x"}]},
            "attachments[0].path",
            "not a known",
        ),
    ],
)
def test_a_wrong_document_is_refused_by_field(changes: dict[str, Any], field: str, reason: str) -> None:
    with pytest.raises(MailRejected) as caught:
        mail_from_document(_BASE | changes)
    assert caught.value.field == field
    assert reason in caught.value.reason


@pytest.mark.parametrize("name", ["version", "from", "to", "subject"])
def test_a_missing_field_is_named(name: str) -> None:
    with pytest.raises(MailRejected, match=f"{name}: is missing"):
        mail_from_document({key: value for key, value in _BASE.items() if key != name})


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b'{"a": NaN}', b'{"text": "\\ud800"}', b"[" * 5000])
def test_what_is_not_json_is_refused(data: bytes) -> None:
    with pytest.raises(MailRejected, match="document: is not JSON"):
        decode(data)


@pytest.mark.parametrize("data", [b"[]", b"7", b"null"])
def test_what_is_not_an_object_is_refused(data: bytes) -> None:
    with pytest.raises(MailRejected, match="document: must be a JSON object"):
        decode(data)


def test_recipients_may_be_one_string() -> None:
    mail = mail_from_document(_BASE | {"to": '"Doe, Jane" <j@example.com>, b@example.com'})
    assert mail.to == (Address("Doe, Jane", "j@example.com"), Address("", "b@example.com"))


def test_fractions_of_any_length_and_small_letters_are_read_in_times() -> None:
    mail = mail_from_document(_BASE | {"send_at": "2026-11-05t16:33:54.9070259z"})
    assert mail.send_at == datetime(2026, 11, 5, 16, 33, 54, 907025, tzinfo=UTC)


def test_the_id_travels_with_the_document() -> None:
    mail, mail_id = mail_from_document(_BASE), uuid4()
    value = orjson.loads(encode(mail, mail_id=mail_id))
    assert document.document_id(value) == mail_id
    assert mail_from_document(value) == mail
    assert document.document_id(mail_to_document(mail)) is None
    assert isinstance(document.document_id(value), UUID)


@settings(max_examples=40, deadline=None)
@given(_MAILS)
def test_content_holds_all_that_the_provider_needs(mail: Mail) -> None:
    content = decode_content(content_of(mail))
    assert parse_address(content["from"]) == mail.sender
    for name in ("to", "cc", "bcc", "reply_to"):
        assert tuple(parse_address(each) for each in content.get(name, ())) == getattr(mail, name)
    assert (content["subject"], content["text"], content["stream"]) == (mail.subject, mail.text, mail.stream)
    assert content.get("html") == (mail.html or None)
    assert content.get("tag") == mail.tag
    assert content.get("metadata", {}) == mail.metadata
    assert content.get("headers", []) == [[h.name, h.value] for h in mail.headers]
    files = [
        (a["name"], b64decode(a["content"]), a["content_type"], a.get("content_id"))
        for a in _attachments(content)
    ]
    assert files == [(a.name, a.content, a.content_type, a.content_id) for a in mail.attachments]
    assert content.get("track_opens") == mail.track_opens
    assert content.get("track_links") == mail.track_links


def _attachments(content: dict[str, Any]) -> list[dict[str, Any]]:
    attachments: list[dict[str, Any]] = content.get("attachments", [])
    return attachments


def test_content_keeps_every_recipient() -> None:
    """Predecessor C15: cc and bcc were not recorded, and only three recipients were shown."""
    to = [f"user{n}@example.com" for n in range(20)]
    mail = Mail(sender="a@example.com", to=to, cc=to[:10], bcc=to[:10], subject="s", text="t")
    content = decode_content(content_of(mail))
    assert (content["to"], content["cc"], content["bcc"]) == (to, to[:10], to[:10])


def test_content_of_html_alone_has_a_text_with_its_links() -> None:
    mail = Mail(
        sender="a@example.com", to="b@example.com", subject="s", html='<a href="https://example.com/x">Go</a>'
    )
    assert decode_content(content_of(mail))["text"] == "Go <https://example.com/x>"


def test_content_has_no_times_keys_or_lanes() -> None:
    now = datetime.now(UTC)
    mail = mail_from_document(_BASE | {"lane": "broadcast", "idempotency_key": "k", "on_unknown": "hold"})
    timed = Mail(
        sender=mail.sender,
        to=mail.to,
        subject="s",
        text="t",
        send_at=now,
        expires_at=now + timedelta(hours=1),
    )
    assert content_of(mail) == content_of(timed)
