"""The mail: friendly input, frozen result, and what it never does."""

from __future__ import annotations

import copy
import pickle
from dataclasses import FrozenInstanceError, fields, replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from atum_schema.addresses import Address
from atum_schema.errors import MailRejected
from atum_schema.mail import Attachment, Header, Mail, OnUnknown, TrackLinks

_NOON = datetime(2026, 11, 5, 12, tzinfo=UTC)


def mail(**changes: Any) -> Mail:
    values: dict[str, Any] = {
        "sender": "Shop <shop@example.com>",
        "to": "jane@example.com",
        "subject": "Hello",
        "text": "Hi",
    }
    return Mail(**(values | changes))


def test_friendly_input_becomes_the_typed_form() -> None:
    given = mail(
        to='"Doe, Jane" <jane@example.com>, bob@example.org',
        cc=["Ann <ann@example.net>"],
        reply_to=Address("Help", "help@example.com"),
        headers={"X-Order": "7"},
        attachments=[Attachment(name="a.pdf", content=b"%PDF")],
        track_links="HtmlOnly",
        on_unknown="hold",
    )
    assert given.sender == Address("Shop", "shop@example.com")
    assert given.to == (Address("Doe, Jane", "jane@example.com"), Address("", "bob@example.org"))
    assert given.recipients == (*given.to, Address("Ann", "ann@example.net"))
    assert given.reply_to == (Address("Help", "help@example.com"),)
    assert given.headers == (Header("X-Order", "7"),)
    assert given.attachments == (Attachment(name="a.pdf", content=b"%PDF", content_type="application/pdf"),)
    assert given.track_links is TrackLinks.HTML_ONLY
    assert given.on_unknown is OnUnknown.HOLD


def test_names_of_recipients_and_every_reply_to_are_kept() -> None:
    """Predecessor H3: names were dropped, and only the first Reply-To was used."""
    given = mail(to="Jörg Müller <jm@example.com>", reply_to="A <a@example.com>, B <b@bücher.example>")
    assert str(given.to[0]) == "Jörg Müller <jm@example.com>"
    assert [str(a) for a in given.reply_to] == ["A <a@example.com>", "B <b@xn--bcher-kva.example>"]


def test_nothing_can_change_a_mail_after_it_was_checked() -> None:
    """Predecessor H2: a filter that ran later could override the sender that the policy had forced."""
    given = mail(metadata={"order": "7"})
    for name in (each.name for each in fields(Mail)):
        with pytest.raises((FrozenInstanceError, TypeError)):
            setattr(given, name, None)
    with pytest.raises((FrozenInstanceError, AttributeError, TypeError)):
        given.sender.email = "evil@example.com"  # type: ignore[misc]
    with pytest.raises(TypeError):
        given.metadata["order"] = "8"  # type: ignore[index]


def test_changing_the_input_afterwards_does_not_change_the_mail() -> None:
    to, metadata, content = ["a@example.com"], {"order": "7"}, bytearray(b"one")
    given = mail(to=to, metadata=metadata, attachments=[Attachment(name="a.txt", content=content)])  # type: ignore[arg-type]
    to.append("b@example.com")
    metadata["order"] = "8"
    content[:] = b"two"
    assert len(given.to) == 1
    assert given.metadata == {"order": "7"}
    assert given.attachments[0].content == b"one"


@pytest.mark.parametrize("path", ["/etc/passwd", Path("/etc/passwd")])
def test_an_attachment_is_never_read_from_a_path(path: object) -> None:
    """Predecessor F5: any readable file could be attached by its path."""
    with pytest.raises(MailRejected, match="paths are not accepted"):
        Attachment(name="passwd", content=path)  # type: ignore[arg-type]
    with pytest.raises(MailRejected, match=r"attachments\[0\]: .*paths are not accepted"):
        mail(attachments=[path])


def test_a_mail_survives_pickling_and_copying() -> None:
    given = mail(metadata={"a": "b"}, track_links=TrackLinks.NONE, send_at=_NOON)
    assert pickle.loads(pickle.dumps(given)) == given  # noqa: S301
    assert copy.deepcopy(given) == given
    assert hash(copy.copy(given)) == hash(given)


def test_a_changed_copy_is_checked_again() -> None:
    assert replace(mail(), subject="Bye").subject == "Bye"
    with pytest.raises(MailRejected, match="subject"):
        replace(mail(), subject="a\nb")


def test_its_repr_shows_neither_bodies_nor_file_contents() -> None:
    given = mail(
        text="SECRET-T", html="SECRET-H", attachments=[Attachment(name="a.txt", content=b"SECRET-A")]
    )
    assert "SECRET" not in repr(given)


def test_times_are_kept_in_utc() -> None:
    berlin = datetime(2026, 11, 5, 13, tzinfo=timezone(timedelta(hours=1)))
    given = mail(send_at=berlin)
    assert given.send_at == _NOON
    assert given.send_at is not None
    assert given.send_at.tzinfo is UTC


@pytest.mark.parametrize(
    ("changes", "field", "reason"),
    [
        ({"send_at": datetime(2026, 1, 1)}, "send_at", "no time zone"),  # noqa: DTZ001
        ({"send_at": "2026-01-01"}, "send_at", "must be a datetime, not str"),
        (
            {"send_at": datetime.max.replace(tzinfo=timezone(-timedelta(hours=1)))},
            "send_at",
            "no equal in UTC",
        ),
        ({"send_at": _NOON, "expires_at": _NOON}, "expires_at", "not after send_at"),
        ({"track_opens": 1}, "track_opens", "must be true or false, not int"),
        ({"track_links": "html"}, "track_links", "None, HtmlAndText, HtmlOnly, TextOnly"),
        ({"on_unknown": "guess"}, "on_unknown", "resend, hold"),
        ({"to": ()}, "to", "at least one is required"),
        ({"to": "", "bcc": "x@example.com"}, "to", "at least one is required"),
        ({"to": ["a@example.com", "nope"]}, "to[1]", 'has no "@"'),
        ({"sender": "a@example.com, b@example.com"}, "sender", "more than one address"),
        ({"sender": None}, "sender", "must be a string or an Address, not NoneType"),
        ({"subject": 7}, "subject", "must be a string, not int"),
        ({"text": b"x"}, "text", "must be a string, not bytes"),
        ({"text": b""}, "text", "must be a string, not bytes"),
        ({"text": None}, "text", "at least one body"),
        ({"text": "", "html": ""}, "text", "at least one body"),
        ({"text": "a\0b"}, "text", "NUL at position 1"),
        ({"html": "a\ud800b"}, "html", "lone surrogate at position 1"),
        ({"tag": ""}, "tag", "is empty"),
        ({"metadata": [("a", "b")]}, "metadata", "must be a mapping, not list"),
        ({"metadata": {"a": 1}}, "metadata[a]", "must be a string, not int"),
        ({"metadata": {1: "a"}}, "metadata", "must be a string, not int"),
        ({"metadata": {"": "a"}}, "metadata", "empty key"),
        ({"metadata": {"Atum-mail": "x"}}, "metadata", "reserved"),
        ({"metadata": {"Color": "x", "color": "y"}}, "metadata", "differ only by case"),
        ({"stream": "a b"}, "stream", "letters, digits"),
        ({"stream": ""}, "stream", "letters, digits"),
        ({"lane": "Fast"}, "lane", "lower-case"),
        ({"lane": "fast.delay"}, "lane", "lower-case"),
        ({"idempotency_key": " a"}, "idempotency_key", "printable ASCII"),
        ({"idempotency_key": "ä"}, "idempotency_key", "printable ASCII"),
        ({"headers": "X: y"}, "headers", "must be a mapping or a list"),
        ({"headers": [("a", "b", "c")]}, "headers[0]", "pair"),
        ({"headers": {"X-A": 1}}, "headers[0].value", "must be a string, not int"),
        ({"headers": {"X A": "1"}}, "headers[0].name", "not a header name"),
        ({"headers": {"X-Ä": "1"}}, "headers[0].name", "not a header name"),
        ({"attachments": 7}, "attachments", "must be a list of Attachment, not int"),
    ],
)
def test_an_invalid_mail_cannot_exist(changes: dict[str, Any], field: str, reason: str) -> None:
    with pytest.raises(MailRejected) as caught:
        mail(**changes)
    assert caught.value.field == field
    assert reason in caught.value.reason


_CONTROLS = ["\0", "\t", "\n", "\r", "\x1b", "\x7f", "\x85", "\u2028", "\u2029", "\u202a", "\u202e", "\ud83d"]


@pytest.mark.parametrize("character", _CONTROLS)
@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"subject": "a{}b"}, "subject"),
        ({"tag": "a{}b"}, "tag"),
        ({"sender": "a{}b <a@example.com>"}, "sender"),
        ({"to": "a{}b <a@example.com>"}, "to[0]"),
        ({"reply_to": ["a{}b <a@example.com>"]}, "reply_to[0]"),
        ({"metadata": {"k": "a{}b"}}, "metadata[k]"),
        ({"metadata": {"a{}b": "v"}}, "metadata"),
        ({"headers": {"X-A": "a{}b"}}, "headers[0].value"),
    ],
)
def test_no_header_like_field_takes_a_control_character(
    changes: dict[str, Any], field: str, character: str
) -> None:
    """Predecessor H4: no check for CR and LF in list form."""

    def fill(value: Any) -> Any:
        if isinstance(value, dict):
            return {fill(k): fill(v) for k, v in value.items()}
        return [fill(v) for v in value] if isinstance(value, list) else value.replace("{}", character)

    with pytest.raises(MailRejected) as caught:
        mail(**fill(changes))
    assert caught.value.field == field
    assert f"U+{ord(character):04X}" in caught.value.reason


@pytest.mark.parametrize(
    "character", ["\u200d", "\u200e", "\u200f", "\u2068", "\u2069", "\xa0", "\u3000", "\xad"]
)
def test_marks_that_languages_need_are_allowed_in_a_subject(character: str) -> None:
    assert mail(subject=f"a{character}b").subject == f"a{character}b"


@pytest.mark.parametrize(
    "name",
    [
        "From", "to", "CC", "Bcc", "Reply-To", "Subject", "Sender", "Date", "Received", "Return-Path", "Content-Type",
        "Content-Transfer-Encoding", "MIME-Version", "DKIM-Signature", "Message-Stream", "X-PM-Message-Stream",
        "X-PM-Tag", "X-PM-Metadata-color", "X-PM-RCPT", "Track-Opens", "Track-Links", "Tag", "Attachment",
        "Postmark-Template-Alias", "X-PM-KeepID", "ARC-Seal", "Authentication-Results",
    ],
)  # fmt: skip
def test_reserved_headers_are_refused_by_name(name: str) -> None:
    """Predecessor H4: transport headers were passed on as custom headers."""
    with pytest.raises(MailRejected) as caught:
        mail(headers={name: "x"})
    assert caught.value.field == "headers[0].name"
    assert repr(name) in caught.value.reason


@pytest.mark.parametrize(
    "name", ["Message-ID", "References", "List-Unsubscribe", "X-PM-Bounce-Type", "X-Any"]
)
def test_other_headers_are_kept_in_order_with_duplicates(name: str) -> None:
    given = mail(headers=[(name, "1"), Header("X-Other", "2"), (name, "3")])
    assert [(h.name, h.value) for h in given.headers] == [(name, "1"), ("X-Other", "2"), (name, "3")]


@pytest.mark.parametrize(
    ("changes", "field", "reason"),
    [
        ({"name": "virus.EXE"}, "name", "extension .exe, which Postmark does not carry"),
        ({"name": "virus.exe. "}, "name", "extension .exe"),
        ({"name": "a/b.txt"}, "name", "path separator"),
        ({"name": "..\\b.txt"}, "name", "path separator"),
        ({"name": ".."}, "name", "not a file name"),
        ({"name": ""}, "name", "not a file name"),
        ({"name": "a\nb.txt"}, "name", "U+000A"),
        ({"name": "invoice\u202efdp.txt"}, "name", "U+202E"),
        ({"name": 7}, "name", "must be a string, not int"),
        ({"content_type": "pdf"}, "content_type", "not a media type"),
        ({"content_type": "text/plain\r\nX: y"}, "content_type", "U+000D"),
        ({"content_type": "text/plain; a"}, "content_type", "not a media type"),
        ({"content_id": "a b"}, "content_id", "not a content id"),
        ({"content_id": "a\r\nb"}, "content_id", "U+000D"),
        ({"content_id": ""}, "content_id", "not a content id"),
        ({"content_id": "a>b"}, "content_id", "not a content id"),
    ],
)
def test_a_bad_attachment_cannot_exist(changes: dict[str, Any], field: str, reason: str) -> None:
    with pytest.raises(MailRejected) as caught:
        Attachment(**({"name": "a.txt", "content": b""} | changes))
    assert caught.value.field == field
    assert reason in caught.value.reason


@pytest.mark.parametrize("given", ["logo@example.com", "<logo@example.com>", "cid:logo@example.com"])
def test_a_content_id_is_kept_without_wrapping(given: str) -> None:
    assert Attachment(name="a.png", content=b"", content_id=given).content_id == "logo@example.com"


def test_a_file_without_extension_is_an_octet_stream() -> None:
    assert Attachment(name="exe", content=b"").content_type == "application/octet-stream"
