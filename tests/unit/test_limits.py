"""Every limit: exactly at it is accepted, one more is refused with the limit and the value in words."""

from __future__ import annotations

from typing import Any

import pytest

from atum_schema import limits
from atum_schema.errors import MailRejected
from atum_schema.mail import Attachment, Mail

_BASE: dict[str, Any] = {"sender": "a@example.com", "to": "b@example.com", "subject": "s", "text": "t"}


def _many(count: int) -> list[str]:
    return [f"user{n}@example.com" for n in range(count)]


def _name(length: int) -> str:
    return "n" * (length - len(" <a@example.com>")) + " <a@example.com>"


def _header(line: int) -> dict[str, str]:
    return {"X-A": "v" * (line - len("X-A: "))}


_CASES = [
    ("sender", limits.FROM_CHARACTERS, lambda n: {"sender": _name(n)}, "sender"),
    ("recipients", limits.RECIPIENTS, lambda n: {"to": _many(n - 2), "cc": _many(1), "bcc": _many(1)}, "to"),
    ("reply_to", limits.RECIPIENTS, lambda n: {"reply_to": _many(n)}, "reply_to"),
    ("subject", limits.SUBJECT_UNITS, lambda n: {"subject": "s" * n}, "subject"),
    ("text", limits.BODY_BYTES, lambda n: {"text": "t" * n}, "text"),
    ("html", limits.BODY_BYTES, lambda n: {"html": "h" * n}, "html"),
    ("tag", limits.TAG_CHARACTERS, lambda n: {"tag": "t" * n}, "tag"),
    ("metadata", limits.METADATA_FIELDS, lambda n: {"metadata": {f"k{i}": "" for i in range(n)}}, "metadata"),
    ("key", limits.METADATA_KEY_CHARACTERS, lambda n: {"metadata": {"k" * n: "v"}}, "metadata"),
    ("value", limits.METADATA_VALUE_CHARACTERS, lambda n: {"metadata": {"k": "v" * n}}, "metadata[k]"),
    ("header", limits.HEADER_LINE_BYTES, lambda n: {"headers": _header(n)}, "headers[0].value"),
    ("stream", limits.STREAM_CHARACTERS, lambda n: {"stream": "s" * n}, "stream"),
    ("lane", limits.LANE_CHARACTERS, lambda n: {"lane": "l" * n}, "lane"),
    (
        "idempotency",
        limits.IDEMPOTENCY_KEY_CHARACTERS,
        lambda n: {"idempotency_key": "k" * n},
        "idempotency_key",
    ),
]


@pytest.mark.parametrize(("limit", "changes", "field"), [c[1:] for c in _CASES], ids=[c[0] for c in _CASES])
def test_the_limit_is_accepted_and_one_more_is_refused_in_words(limit: int, changes: Any, field: str) -> None:
    Mail(**(_BASE | changes(limit)))
    with pytest.raises(MailRejected) as caught:
        Mail(**(_BASE | changes(limit + 1)))
    assert caught.value.field == field
    assert f"{limit + 1} " in caught.value.reason
    assert f"the limit is {limit}" in caught.value.reason


def test_the_subject_is_counted_in_utf16_units() -> None:
    assert Mail(**(_BASE | {"subject": "👋" * 1000})).subject
    with pytest.raises(MailRejected, match="is 2002 UTF-16 units long, the limit is 2000"):
        Mail(**(_BASE | {"subject": "👋" * 1001}))


def test_bodies_are_counted_in_bytes_of_utf8() -> None:
    with pytest.raises(MailRejected, match="is 5000001 bytes large, the limit is 5000000"):
        Mail(**(_BASE | {"text": "é" * 2_500_000 + "x"}))


def test_headers_are_counted_in_bytes_of_utf8() -> None:
    with pytest.raises(MailRejected, match="makes a line of 1005 bytes, the limit is 998"):
        Mail(**(_BASE | {"headers": {"X-A": "é" * 500}}))


def test_attachments_count_after_base64() -> None:
    """Predecessor H1: raw bytes were counted, so 7.5 to 10 MiB passed and was refused by the provider."""
    Mail(**(_BASE | {"attachments": [Attachment(name="a.pdf", content=bytes(7_400_000))]}))
    with pytest.raises(MailRejected) as caught:
        Mail(**(_BASE | {"attachments": [Attachment(name="a.pdf", content=bytes(7_600_000))]}))
    assert caught.value.field == "attachments"
    assert "the limit is 10000000" in caught.value.reason


def test_bodies_and_attachments_count_together() -> None:
    files = [Attachment(name=f"{n}.pdf", content=bytes(1_500_000)) for n in range(4)]
    Mail(**(_BASE | {"attachments": files}))
    with pytest.raises(MailRejected, match="attachments: makes the mail"):
        Mail(**(_BASE | {"attachments": files, "html": "h" * 2_500_000}))


def test_two_full_bodies_alone_are_too_large_together() -> None:
    with pytest.raises(MailRejected, match="html: makes the mail 1000002"):
        Mail(**(_BASE | {"text": "t" * limits.BODY_BYTES, "html": "h" * limits.BODY_BYTES}))


def test_the_size_of_base64_is_exact() -> None:
    assert [Attachment(name="a", content=bytes(n)).encoded_size for n in range(5)] == [0, 4, 4, 4, 8]


def test_an_attachment_name_has_a_limit() -> None:
    Attachment(name="n" * 255, content=b"")
    with pytest.raises(MailRejected, match="is 256 characters long, the limit is 255"):
        Attachment(name="n" * 256, content=b"")


@pytest.mark.parametrize("extension", sorted(limits.FORBIDDEN_EXTENSIONS))
def test_each_forbidden_extension_is_refused_in_any_case(extension: str) -> None:
    for name in (f"file.{extension}", f"FILE.{extension.upper()}"):
        with pytest.raises(MailRejected, match=f"the extension .{extension}"):
            Attachment(name=name, content=b"")
    Attachment(name=f"{extension}.txt", content=b"")
