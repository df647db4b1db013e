"""Which enqueued mail an expectation means, and what people read when there is none."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from atum_producers.testing import InMemoryMailer
from atum_schema.addresses import Address, parse_addresses
from atum_schema.headers import Header
from atum_schema.mail import Attachment, Mail
from tests.system import letters

PDF = Attachment(name="invoice.pdf", content=b"%PDF")


def mailer_with(*mails: Mail) -> InMemoryMailer:
    mailer = InMemoryMailer(client="shop")
    mailer.enqueue(mails)
    return mailer


MAIL = Mail(
    sender="Example Shop <shop@example.com>",
    to="Jane Doe <jane@Example.ORG>, Bob <bob@example.org>",
    cc="carol@example.net",
    subject="Your order 4711",
    text="Thank you!",
    headers={"X-Order": "4711", "X-Shop": "one"},
    metadata={"order": "4711", "shop": "one"},
    attachments=[PDF, Attachment(name="terms.txt", content=b"terms")],
    tag="order",
    stream="broadcast",
    send_at=datetime(2020, 1, 1, tzinfo=UTC),
    track_links="HtmlOnly",
)

MET: list[dict[str, Any]] = [
    {},
    {"to": "jane@example.org"},
    {"to": "jane@EXAMPLE.org"},
    {"to": "Jane Doe <jane@example.org>"},
    {"to": Address("", "bob@example.org")},
    {"to": ["bob@example.org", "jane@example.org"]},
    {"to": re.compile(r"^Bob <")},
    {"to": lambda to: len(to) == 2},
    {"sender": "shop@example.com"},
    {"sender": "Example Shop <shop@example.com>"},
    {"sender": re.compile("Shop")},
    {"recipients": "carol@example.net"},
    {"cc": ["carol@example.net"], "bcc": []},
    {"subject": "Your order 4711", "text": re.compile("^Thank")},
    {"subject": re.compile(r"order \d+$")},
    {"subject": lambda subject: "4711" in subject},
    {"html": None, "tag": "order", "idempotency_key": None},
    {"headers": {"x-order": "4711"}},
    {"headers": {"X-Order": re.compile(r"\d+"), "X-Shop": "one"}},
    {"headers": "x-shop"},
    {"headers": [Header("X-Order", "4711"), "X-Shop"]},
    {"headers": re.compile("X-Order: 47")},
    {"metadata": {"order": "4711"}},
    {"metadata": {"order": re.compile("47")}},
    {"metadata": re.compile("shop: one")},
    {"attachments": "invoice.pdf"},
    {"attachments": PDF},
    {"attachments": ["terms.txt", "invoice.pdf"]},
    {"attachments": re.compile("pdf$")},
    {"send_at": datetime(2020, 1, 1, tzinfo=UTC), "track_links": "HtmlOnly"},
    {"client": "shop", "lane": "broadcast", "status": "queued"},
]
UNMET: list[dict[str, Any]] = [
    {"to": "Jane@example.org"},
    {"to": "Janet <jane@example.org>"},
    {"to": "carol@example.net"},
    {"to": ["jane@example.org"]},
    {"to": ["jane@example.org", "jane@example.org"]},
    {"to": ["jane@example.org", "bob@example.org", "carol@example.net"]},
    {"to": []},
    {"to": None},
    {"to": {"jane": "x"}},
    {"sender": "jane@example.org"},
    {"subject": "Your order"},
    {"subject": {"a": "b"}},
    {"subject": re.compile("^order")},
    {"html": re.compile("")},
    {"text": lambda text: text is None},
    {"headers": {"X-Order": "1"}},
    {"headers": {"X-None": None}},
    {"metadata": {"order": "4711", "none": "1"}},
    {"attachments": ["invoice.pdf"]},
    {"attachments": Attachment(name="invoice.pdf", content=b"other")},
    {"lane": "transactional"},
    {"client": "default"},
    {"status": "sent"},
    {"subject": "Your order 4711", "to": "nobody@example.org"},
]


@pytest.mark.parametrize("expected", MET)
def test_an_expectation_that_is_met(expected: dict[str, Any]) -> None:
    mailer = mailer_with(MAIL)
    assert mailer.assert_enqueued(**expected).mail == MAIL
    with pytest.raises(AssertionError):
        mailer.refute_enqueued(**expected)


@pytest.mark.parametrize("expected", UNMET)
def test_an_expectation_that_is_not_met(expected: dict[str, Any]) -> None:
    mailer = mailer_with(MAIL)
    mailer.refute_enqueued(**expected)
    with pytest.raises(AssertionError):
        mailer.assert_enqueued(**expected)


def test_the_first_of_several_is_given() -> None:
    mailer = mailer_with(*letters(5))
    assert mailer.assert_enqueued(subject=re.compile("Hello [23]")) == mailer.mails[2]


@pytest.mark.parametrize("name", ["subjekt", "from", "keys"])
def test_a_field_that_no_mail_has_is_an_error_and_never_a_silent_pass(name: str) -> None:
    mailer = mailer_with(MAIL)
    for check in (mailer.assert_enqueued, mailer.refute_enqueued):
        with pytest.raises(TypeError, match=rf"'{name}' is not a field of a mail; known are .*subject"):
            check(**{name: "x"})


def test_the_failure_lists_what_was_enqueued_and_the_closest_miss() -> None:
    mailer = mailer_with(
        letters(1)[0], replace(MAIL, to=parse_addresses("Bob <bob@example.org>, jane@example.org"))
    )
    with pytest.raises(AssertionError) as failure:
        mailer.assert_enqueued(to="jane@example.org", subject=re.compile("refund"), metadata={"order": "1"})
    assert str(failure.value).splitlines() == [
        "no mail was enqueued with to='jane@example.org', subject=re.compile('refund'), metadata={'order': '1'}",
        "2 mails were enqueued:",
        "  1. to=r0@example.net subject='Hello 0' lane='transactional' status=queued",
        "  2. to=Bob <bob@example.org>, jane@example.org subject='Your order 4711' lane='broadcast' status=queued",
        "closest is 2, which differs in:",
        "  subject: is 'Your order 4711', expected re.compile('refund')",
        "  metadata: is order: 4711, shop: one, expected {'order': '1'}",
    ]


def test_the_failure_stays_readable_with_many_long_mails() -> None:
    mailer = mailer_with(*letters(300, subject="s" * 1000, text="t" * 100_000))

    def is_short(text: str) -> bool:
        return len(text) < 10

    with pytest.raises(AssertionError) as failure:
        mailer.assert_enqueued(text=is_short, cc="carol@example.net")
    message = str(failure.value)
    assert "… and 280 more" in message
    assert "expected is_short" in message
    assert "cc: is nothing, expected 'carol@example.net'" in message
    assert len(message) < 10_000


def test_without_any_mail_the_failure_says_so() -> None:
    with pytest.raises(AssertionError) as failure:
        InMemoryMailer().assert_enqueued(to="jane@example.org")
    assert str(failure.value) == "no mail was enqueued with to='jane@example.org'\nnothing was enqueued"
    with pytest.raises(AssertionError, match=r"^no mail was enqueued\nnothing"):
        InMemoryMailer().assert_enqueued()


def test_nothing_enqueued_is_asserted_too() -> None:
    InMemoryMailer().assert_nothing_enqueued()
    with pytest.raises(AssertionError) as failure:
        mailer_with(*letters(1)).assert_nothing_enqueued()
    assert str(failure.value).splitlines() == [
        "1 mail was enqueued:",
        "  1. to=r0@example.net subject='Hello 0' lane='transactional' status=queued",
    ]
    with pytest.raises(
        AssertionError, match=r"^2 mails were enqueued with sender='app@example.com':\n  1\. "
    ):
        mailer_with(*letters(2)).refute_enqueued(sender="app@example.com")
