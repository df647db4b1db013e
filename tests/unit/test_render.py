"""What is asked of Postmark for a mail."""

from __future__ import annotations

import uuid
from typing import Any, Final

import orjson
from hypothesis import given
from hypothesis import strategies as st

from atum_schema.document_content import content_of, decode_content
from atum_schema.mail import Attachment, Mail, TrackLinks
from atum_workers import render

MAIL_ID: Final = uuid.UUID("0190a1b2-0000-7000-8000-000000000001")
BATCH_ID: Final = uuid.UUID("3f6c3a52-5f6e-4f0a-9d3a-0c6f5d0a0001")
PLAIN: Final[dict[str, Any]] = {
    "from": "Shop <shop@example.com>",
    "to": ["Jane Doe <jane@example.org>"],
    "subject": "Your order",
    "stream": "outbound",
    "text": "Thank you",
}


def rendered(**content: Any) -> dict[str, Any]:
    return render.item({**PLAIN, **content}, MAIL_ID, str(BATCH_ID))


def test_a_plain_mail_has_what_it_needs_and_nothing_else() -> None:
    assert rendered() == {
        "From": "Shop <shop@example.com>",
        "To": "Jane Doe <jane@example.org>",
        "Subject": "Your order",
        "TextBody": "Thank you",
        "MessageStream": "outbound",
        "Metadata": {"atum-mail": str(MAIL_ID), "atum-batch": str(BATCH_ID)},
    }


def test_a_mail_with_everything_uses_every_name_that_postmark_knows() -> None:
    mail = Mail(
        sender='"Shop, Inc." <shop@example.com>',
        to=["Jane Doe <jane@example.org>", "bob@example.org"],
        cc="carol@example.org",
        bcc="dave@example.org",
        reply_to="help@example.com, legal@example.com",
        subject="Rechnung für März ✓",
        text="plain",
        html="<p>html</p>",
        tag="invoice",
        metadata={"order": "4711"},
        stream="receipts",
        headers=[("X-Order", "4711"), ("X-Order", "4712")],
        attachments=[
            Attachment(name="invoice.pdf", content=b"%PDF-1.4", content_type="application/pdf"),
            Attachment(
                name="logo.png", content=b"\x89PNG", content_type="image/png", content_id="logo@example.com"
            ),
        ],
        track_opens=False,
        track_links=TrackLinks.HTML_ONLY,
    )
    assert render.item(decode_content(content_of(mail)), MAIL_ID, str(BATCH_ID)) == {
        "From": '"Shop, Inc." <shop@example.com>',
        "To": "Jane Doe <jane@example.org>, bob@example.org",
        "Cc": "carol@example.org",
        "Bcc": "dave@example.org",
        "ReplyTo": "help@example.com, legal@example.com",
        "Subject": "Rechnung für März ✓",
        "TextBody": "plain",
        "HtmlBody": "<p>html</p>",
        "Tag": "invoice",
        "Metadata": {"order": "4711", "atum-mail": str(MAIL_ID), "atum-batch": str(BATCH_ID)},
        "MessageStream": "receipts",
        "Headers": [{"Name": "X-Order", "Value": "4711"}, {"Name": "X-Order", "Value": "4712"}],
        "Attachments": [
            {
                "Name": "invoice.pdf",
                "Content": "JVBERi0xLjQ=",
                "ContentType": "application/pdf",
                "ContentID": None,
            },
            {
                "Name": "logo.png",
                "Content": "iVBORw==",
                "ContentType": "image/png",
                "ContentID": "cid:logo@example.com",
            },
        ],
        "TrackOpens": False,
        "TrackLinks": "HtmlOnly",
    }


def test_our_marks_cannot_be_overridden_by_a_mail() -> None:
    metadata = rendered(metadata={"atum-mail": "forged", "atum-batch": "forged", "order": "1"})["Metadata"]
    assert metadata == {"order": "1", "atum-mail": str(MAIL_ID), "atum-batch": str(BATCH_ID)}


def test_the_marks_keep_to_postmarks_limits() -> None:
    for key, value in rendered()["Metadata"].items():
        assert len(key) <= 20
        assert len(value) <= 80
        assert key == key.lower()


def test_tracking_that_was_switched_off_is_sent_and_tracking_that_was_not_chosen_is_not() -> None:
    assert rendered(track_opens=False)["TrackOpens"] is False
    assert "TrackOpens" not in rendered()
    assert "TrackLinks" not in rendered()


def test_rendering_changes_nothing_of_the_content() -> None:
    metadata = {"order": "1"}
    rendered(metadata=metadata)
    assert metadata == {"order": "1"}


def test_one_mail_is_an_object_and_several_are_a_bare_array_in_order() -> None:
    first, second = rendered(subject="first"), rendered(subject="second")
    assert orjson.loads(render.body([first])) == first
    assert orjson.loads(render.body([first, second])) == [first, second]


@given(
    subject=st.text(st.characters(codec="utf-8")),
    text=st.text(st.characters(codec="utf-8")),
    metadata=st.dictionaries(st.text("abc-", max_size=20), st.text(st.characters(codec="utf-8")), max_size=8),
)
def test_the_body_says_what_the_content_said(subject: str, text: str, metadata: dict[str, str]) -> None:
    item = rendered(subject=subject, text=text, metadata=metadata)
    read = orjson.loads(render.body([item]))
    assert (read["Subject"], read["TextBody"]) == (subject, text)
    assert {key: read["Metadata"][key] for key in metadata} == metadata
    assert len(read["Metadata"]) == len(metadata) + 2
