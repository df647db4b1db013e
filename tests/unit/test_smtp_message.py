"""A rendered item as SMTP carries it: read back as a receiver does, it says what the mail said."""

from __future__ import annotations

import re
from base64 import b64encode
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atum_schema.document_content import content_of, decode_content
from atum_schema.mail import Mail
from atum_schema.mail_attachments import Attachment
from atum_workers import render
from atum_workers.smtp_message import parcel
from tests.smtp import read

if TYPE_CHECKING:
    from email.message import EmailMessage

MAIL_ID = UUID("01932c5e-7d1a-7000-8000-5f3c1b2a4d6e")
BATCH = "5f3c1b2a-4d6e-4f7a-9b1c-2d3e4f5a6b7c"
CRLF_LINE = re.compile(rb"[^\r\n]*\r\n")


def item(**fields: Any) -> dict[str, Any]:
    mail = Mail(
        **{
            "sender": "App <app@example.com>",
            "to": "kim@example.net",
            "subject": "Hello",
            "text": "Hi",
            **fields,
        }
    )
    return render.item(decode_content(content_of(mail)), MAIL_ID, BATCH)


def message(**fields: Any) -> EmailMessage:
    return received(parcel(item(**fields)).data)


def received(data: bytes) -> EmailMessage:
    """Read a message from what travels: dots undone as a server does (RFC 5321 §4.5.2)."""
    return read(re.sub(rb"(?m)^\.\.", b".", data))


def body(found: EmailMessage, kind: str) -> str:
    part = found.get_body((kind,))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


def test_the_envelope_has_everybody_once_and_the_message_never_names_bcc() -> None:
    made = parcel(
        item(to="Kim <kim@example.net>, lee@example.net", cc="lee@example.net", bcc="sam@example.org")
    )
    assert made.sender == "app@example.com"
    assert made.recipients == ("kim@example.net", "lee@example.net", "sam@example.org")
    assert b"sam@example.org" not in made.data
    found = received(made.data)
    assert found["To"] == "Kim <kim@example.net>, lee@example.net"
    assert found["Bcc"] is None


def test_the_message_id_is_made_of_mail_and_batch() -> None:
    made = parcel(item())
    found = received(made.data)
    assert made.message_id == f"{MAIL_ID}.{BATCH}@example.com"
    assert found["Message-ID"] == f"<{made.message_id}>"
    assert (found["X-Atum-Mail"], found["X-Atum-Batch"]) == (str(MAIL_ID), BATCH)
    assert found["Date"].datetime is not None


def test_text_and_html_are_alternatives_images_are_beside_the_html_and_files_beside_all() -> None:
    found = message(
        html='<p>Grüße <img src="cid:logo"></p>',
        text="Grüße",
        attachments=[
            Attachment(name="logo.png", content=b"\x89PNG", content_type="image/png", content_id="logo"),
            Attachment(name="Rechnung für März.pdf", content=b"%PDF", content_type="application/pdf"),
        ],
    )
    assert found.get_content_type() == "multipart/mixed"
    alternative, invoice = found.iter_parts()
    plain, related = alternative.iter_parts()
    page, logo = related.iter_parts()
    assert (plain.get_content_type(), page.get_content_type()) == ("text/plain", "text/html")
    assert (logo["Content-ID"], logo.get_content(), logo.get_content_disposition()) == (
        "<logo>",
        b"\x89PNG",
        "inline",
    )
    assert invoice.get_filename() == "Rechnung für März.pdf"
    assert invoice.get_content() == b"%PDF"
    assert body(found, "plain").strip() == "Grüße"
    assert "Grüße" in body(found, "html")


@pytest.mark.parametrize(
    ("kind", "travels_as"),
    [
        ("text/calendar; method=REQUEST; charset=utf-8", "text/calendar"),
        ("text/plain", "text/plain"),
        ("message/rfc822", "application/octet-stream"),
        ("multipart/mixed", "application/octet-stream"),
    ],
)
def test_files_arrive_byte_by_byte_whatever_they_are(kind: str, travels_as: str) -> None:
    # F5: a file is bytes that the mail holds; nothing is ever opened by its name.
    content = bytes(range(256)) * 10
    found = message(attachments=[Attachment(name="passwd", content=content, content_type=kind)])
    _, file = found.iter_parts()
    assert file.get_content_type() == travels_as
    assert file.get_payload(decode=True) == content
    if "calendar" in kind:
        assert file.get_param("method") == "REQUEST"


def test_html_alone_and_empty_text_are_possible() -> None:
    made = item(html="<p>x</p>", text=None)
    made.pop("TextBody", None)
    assert received(parcel(made).data).get_content_type() == "text/html"
    made.pop("HtmlBody")
    assert received(parcel(made).data).get_content().strip() == ""


def test_a_long_link_in_a_header_stays_whole_and_international_words_are_encoded() -> None:
    link = f"<https://example.com/{'u' * 500}>"
    made = parcel(
        item(
            sender='"Jürgen Groß, Geschäftsführer der Müller & Söhne GmbH, Köln" <app@example.com>',
            subject="Ürgent " * 60,
            headers=[("List-Unsubscribe", link), ("X-Note", "schön"), ("X-Looks", "=?utf-8?q?like_it?=")],
        )
    )
    assert f"List-Unsubscribe: {link}\r\n".encode() in made.data
    found = received(made.data)
    assert found["Subject"].split() == ["Ürgent"] * 60
    assert found["X-Note"] == "schön"
    assert found["X-Looks"] == "=?utf-8?q?like_it?="
    assert found["From"].addresses[0].display_name.startswith("Jürgen Groß, Geschäftsführer")


def test_our_own_headers_cannot_be_set_by_a_caller() -> None:
    rendered = item()
    rendered["Headers"] = [
        {"Name": "message-ID", "Value": "<mine@example.com>"},
        {"Name": "X-Atum-Mail", "Value": "1"},
    ]
    found = received(parcel(rendered).data)
    assert found.get_all("Message-ID") == [f"<{MAIL_ID}.{BATCH}@example.com>"]
    assert found.get_all("X-Atum-Mail") == [str(MAIL_ID)]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Note", "a\r\nBcc: sam@example.org"),
        ("X-Note", "a\nb"),
        ("X-Note", "a\0b"),
        ("X Note", "a"),
        ("X:", "a"),
    ],
)
def test_a_value_that_would_end_its_header_is_refused(name: str, value: str) -> None:
    # Mails are checked long before; this is the last fence.
    rendered = item()
    rendered["Headers"] = [{"Name": name, "Value": value}]
    with pytest.raises(ValueError, match="header"):
        parcel(rendered)


@pytest.mark.parametrize("field", ["Subject", "From", "To"])
def test_no_field_can_bring_a_header_of_its_own(field: str) -> None:
    rendered = item()
    rendered[field] = 'x <kim@example.net>\r\nBcc: "sam" <sam@example.org>'
    with pytest.raises(ValueError, match=r".+"):
        parcel(rendered)


@given(st.text(alphabet=st.sampled_from("ab.\r\nä \t"), max_size=60), st.booleans())
def test_every_body_arrives_whole_in_lines_that_no_server_takes_for_the_end(text: str, html: bool) -> None:
    rendered = item()
    rendered["HtmlBody" if html else "TextBody"] = text or "."
    made = parcel(rendered)
    lines = CRLF_LINE.findall(made.data)
    assert b"".join(lines) == made.data
    assert b".\r\n" not in lines
    assert made.data.isascii()
    assert max(map(len, lines)) <= 1000
    wanted = (text or ".").replace("\r\n", "\n").replace("\r", "\n")
    assert body(received(made.data), "html" if html else "plain").rstrip("\n") == wanted.rstrip("\n")


@given(st.text(max_size=300).filter(lambda text: not re.search("[\r\n\0]", text)))
def test_every_subject_is_one_header_in_ascii_lines(subject: str) -> None:
    rendered = item()
    rendered["Subject"] = subject
    made = parcel(rendered)
    head = made.data.partition(b"\r\n\r\n")[0]
    assert head.isascii()
    assert max(map(len, head.split(b"\r\n"))) <= 998
    names = [line.partition(b":")[0] for line in head.split(b"\r\n") if line[:1] not in {b" ", b"\t"}]
    assert names.count(b"Subject") == 1
    assert b"Bcc" not in names


def test_an_attachment_of_an_item_is_base64_and_nothing_else() -> None:
    rendered = item()
    rendered["Attachments"] = [
        {"Name": "a.txt", "Content": b64encode(b"x").decode(), "ContentType": "text/plain", "ContentID": None}
    ]
    (_, file) = received(parcel(rendered).data).iter_parts()
    assert file.get_payload(decode=True) == b"x"
