"""The bad samples: each is refused, for the one thing that is wrong with it."""

from __future__ import annotations

import pytest

from atum_schema.errors import MailRejected
from tests.samples import make_samples
from tests.samples.sources import bad
from tests.unit.test_samples import read

FOLDER = make_samples.FOLDER / "bad"

#: File: the field that is named, and words of the reason.
REFUSED = {
    "address-broken.eml": ("to[0]", "jane@@example.com"),
    "address-in-group.eml": ("to[0]", "groups are not accepted"),
    "address-mailbox-not-ascii.eml": ("to[0]", "non-ASCII mailbox"),
    "address-quote-never-closed.eml": ("cc[0]", "never closed"),
    "address-second-broken.eml": ("to[1]", "mixes a name and an address"),
    "attachment-disguised.eml": ("attachments[0].name", ".exe"),
    "attachment-forbidden.eml": ("attachments[0].name", ".exe"),
    "attachment-is-a-path.json": ("attachments[0].path", "not a known"),
    "attachment-name-with-path.json": ("attachments[0].name", "path separator"),
    "attachment-not-base64.eml": ("attachments[0].content", "base64"),
    "attachment-not-base64.json": ("attachments[0].content", "base64"),
    "bodies-missing.json": ("text", "at least one body"),
    "body-charset-unknown.eml": ("text", "x-klingon"),
    "body-empty.eml": ("text", "at least one body"),
    "body-missing.eml": ("text", "at least one body"),
    "body-not-in-its-charset.eml": ("text", "not valid utf-8"),
    "body-with-nul.eml": ("text", "NUL at position 6"),
    "field-of-wrong-type.json": ("track_opens", "must be true or false"),
    "field-unknown.json": ("recipient", "not a field"),
    "header-injection.json": ("headers[0].value", "carriage return"),
    "header-name-with-space.json": ("headers[0].name", "not a header name"),
    "header-reserved.json": ("headers[0].name", "reserved"),
    "id-not-a-uuid.json": ("id", "not a UUID"),
    "json-array.json": ("document", "object"),
    "json-cut-short.json": ("document", "not JSON"),
    "json-lone-surrogate.json": ("document", "surrogate"),
    "json-not-utf8.json": ("document", "not JSON"),
    "message-cut-short.eml": ("message", "close boundary not found"),
    "metadata-differs-by-case.json": ("metadata", "differ only by case"),
    "metadata-reserved.eml": ("metadata", "reserved"),
    "metadata-too-many.json": ("metadata", "has 9 keys, the limit is 8"),
    "metadata-value-too-long.eml": ("metadata[note]", "81 characters long, the limit is 80"),
    "option-unknown.json": ("on_unknown", "resend, hold"),
    "recipient-missing.eml": ("to", "has no recipient"),
    "recipients-too-many.eml": ("to", "has 51 recipients with cc and bcc, the limit is 50"),
    "sender-missing.eml": ("sender", "missing"),
    "sender-twice.eml": ("sender", "2 addresses"),
    "stream-not-a-name.eml": ("stream", "'out bound'"),
    "subject-too-long-in-utf16.json": ("subject", "2002 UTF-16 units long, the limit is 2000"),
    "subject-too-long.json": ("subject", "2001 characters long, the limit is 2000"),
    "subject-with-line-feed.eml": ("subject", "carriage return"),
    "subject-with-override.eml": ("subject", "right-to-left override"),
    "time-expired-before-sent.json": ("expires_at", "not after send_at"),
    "time-without-zone.json": ("send_at", "RFC 3339"),
    "to-missing.json": ("to", "missing"),
    "to-with-a-number.json": ("to[1]", "must be a string"),
    "version-missing.json": ("version", "missing"),
    "version-unknown.json": ("version", "version 1"),
}


def test_the_committed_bad_samples_are_what_the_generator_makes() -> None:
    assert {path.name: path.read_bytes() for path in FOLDER.iterdir()} == bad.made()


def test_every_bad_sample_has_its_line_in_the_table() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(REFUSED)


@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_sample_is_refused_by_field_and_reason(name: str) -> None:
    field, words = REFUSED[name]
    with pytest.raises(MailRejected) as refusal:
        read(FOLDER / name)
    assert refusal.value.field == field
    assert words in refusal.value.reason
