"""Mails that must be refused, each a good one but for one thing."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

from tests.samples.sources import files
from tests.samples.sources.mime import Part, eml, file, multipart, plain, words

_HEADERS = {
    "From": "Harbor <no-reply@example.com>",
    "To": "Jane Doe <jane.doe@example.com>",
    "Subject": "Your parcel",
}
_TEXT = "Your parcel is at the front desk.\n"
_PDF = "application/pdf"


def made() -> dict[str, bytes]:
    """Make all bad samples, by file name."""
    documents = {name: json.dumps(document, indent=2).encode() for name, document in _documents().items()}
    return _headers_broken() | _parts_broken() | _no_documents() | documents


def _message(root: Part | None = None, /, **headers: str | None) -> bytes:
    changed = {**_HEADERS, **{name.replace("_", "-"): value for name, value in headers.items()}}
    present = [(name, value) for name, value in changed.items() if value is not None]
    return eml(present, root or plain(_TEXT))


def _headers_broken() -> dict[str, bytes]:
    crowd = ", ".join(f"guest-{number}@example.com" for number in range(51))
    return {
        "address-broken.eml": _message(To="jane@@example.com"),
        "address-second-broken.eml": _message(To="Jane <jane@example.com>, Bob bob@example.org"),
        "address-in-group.eml": _message(To="Team: jane@example.com, bob@example.org;"),
        "address-mailbox-not-ascii.eml": _message(To="Jörg <jörg@example.com>"),
        "address-quote-never-closed.eml": _message(Cc='"Jane <jane@example.com>'),
        "sender-missing.eml": _message(From=None),
        "sender-twice.eml": _message(From="a@example.com, b@example.com"),
        "recipient-missing.eml": _message(To=None, Bcc="hidden@example.com"),
        "recipients-too-many.eml": _message(To=crowd),
        "subject-with-line-feed.eml": _message(Subject=words("Your parcel\r\nBcc: victim@example.org")),
        "subject-with-override.eml": _message(Subject=words("Invoice \u202efdp.exe")),
        "metadata-reserved.eml": _message(X_PM_Metadata_atum_mail="1"),
        "metadata-value-too-long.eml": _message(X_PM_Metadata_note="n" * 81),
        "stream-not-a-name.eml": _message(X_PM_Message_Stream="out bound"),
    }


def _parts_broken() -> dict[str, bytes]:
    pdf = file("parcel.pdf", files.pdf("Your parcel"), _PDF)
    whole = multipart("mixed", plain(_TEXT), pdf)
    damaged = Part(pdf.headers, pdf.body.replace(b"\r\n", b"*\r\n", 1)[:401] + b"\r\n")
    return {
        "body-missing.eml": _message(multipart("mixed", pdf)),
        "body-empty.eml": _message(plain("")),
        "body-charset-unknown.eml": _message(
            Part((("Content-Type", "text/plain; charset=x-klingon"),), b"nuqneH\r\n")
        ),
        "body-not-in-its-charset.eml": _message(
            Part((("Content-Type", "text/plain; charset=utf-8"),), b"caf\xe9 cr\xe8me\r\n")
        ),
        "body-with-nul.eml": _message(plain("before\0after\n")),
        "message-cut-short.eml": _message(whole)[:-200],
        "attachment-not-base64.eml": _message(multipart("mixed", plain(_TEXT), damaged)),
        "attachment-forbidden.eml": _message(
            multipart("mixed", plain(_TEXT), file("setup.EXE", b"MZ\x90\x00", "application/octet-stream"))
        ),
        "attachment-disguised.eml": _message(
            multipart("mixed", plain(_TEXT), file("setup.exe. ", b"MZ\x90\x00", "application/octet-stream"))
        ),
    }


def _no_documents() -> dict[str, bytes]:
    return {
        "json-cut-short.json": b'{"version": 1, "from": "a@example.com", "to": ["b@exam',
        "json-array.json": b'[{"version": 1}]',
        "json-lone-surrogate.json": b'{"version": 1, "from": "a@example.com", "to": ["b@example.com"], '
        b'"subject": "\\ud83d", "text": "x"}',
        "json-not-utf8.json": b'{"version": 1, "from": "a@example.com", "to": ["b@example.com"], '
        b'"subject": "caf\xe9", "text": "x"}',
    }


def _document(**changes: Any) -> dict[str, Any]:
    good = {
        "version": 1,
        "from": _HEADERS["From"],
        "to": [_HEADERS["To"]],
        "subject": _HEADERS["Subject"],
        "text": _TEXT,
    }
    return {name: value for name, value in (good | changes).items() if value is not _LEFT_OUT}


_LEFT_OUT = object()


def _attachment(**changes: Any) -> list[dict[str, Any]]:
    return [{"name": "parcel.pdf", "content": b64encode(files.pdf("Parcel")).decode("ascii")} | changes]


def _documents() -> dict[str, dict[str, Any]]:
    return {
        "version-missing.json": _document(version=_LEFT_OUT),
        "version-unknown.json": _document(version=2),
        "field-unknown.json": _document(recipient="jane.doe@example.com"),
        "field-of-wrong-type.json": _document(track_opens="yes"),
        "id-not-a-uuid.json": _document(id="4711"),
        "to-missing.json": _document(to=_LEFT_OUT),
        "to-with-a-number.json": _document(to=["jane.doe@example.com", 7]),
        "subject-too-long.json": _document(subject="s" * 2001),
        "subject-too-long-in-utf16.json": _document(subject="🎉" * 1001),
        "bodies-missing.json": _document(text=_LEFT_OUT),
        "attachment-is-a-path.json": _document(attachments=_attachment(path="/etc/passwd")),
        "attachment-name-with-path.json": _document(attachments=_attachment(name="../../parcel.pdf")),
        "attachment-not-base64.json": _document(attachments=_attachment(content="%PDF-1.4")),
        "header-injection.json": _document(
            headers=[{"name": "X-Note", "value": "ok\r\nBcc: victim@example.org"}]
        ),
        "header-reserved.json": _document(headers=[{"name": "DKIM-Signature", "value": "v=1"}]),
        "header-name-with-space.json": _document(headers=[{"name": "X Note", "value": "1"}]),
        "metadata-differs-by-case.json": _document(metadata={"Order": "1", "order": "2"}),
        "metadata-too-many.json": _document(metadata={f"key{number}": "x" for number in range(9)}),
        "time-without-zone.json": _document(send_at="2026-11-05T09:30:00"),
        "time-expired-before-sent.json": _document(
            send_at="2026-11-05T09:30:00Z", expires_at="2026-11-05T09:29:59Z"
        ),
        "option-unknown.json": _document(on_unknown="retry"),
    }
