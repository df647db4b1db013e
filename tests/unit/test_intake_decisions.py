"""The intake's decisions: which frames acknowledge, and what travels with a rejected job."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pika
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atum_producers.intake_queue import acknowledgements
from atum_producers.intake_rejections import Rejection, rejected_properties
from atum_schema.errors import AtumError, IdempotencyConflict, MailRejected

AT = datetime(2026, 11, 25, 12, tzinfo=UTC)


@given(st.sets(st.integers(1, 60)), st.sets(st.integers(1, 60)))
def test_acknowledgements_settle_exactly_what_is_settled(unacked: set[int], also: set[int]) -> None:
    settled = unacked & also
    answers = acknowledgements(sorted(unacked), settled)
    meant: set[int] = set()
    for tag, multiple in answers:
        meant |= {one for one in unacked if one <= tag} if multiple else {tag}
    assert meant == settled
    assert sum(multiple for _, multiple in answers) <= 1


def test_a_whole_group_is_acknowledged_by_one_frame() -> None:
    assert acknowledgements(range(1, 401), range(1, 201)) == [(200, True)]


def test_what_waits_for_its_rejection_holds_nobody_up() -> None:
    assert acknowledgements([1, 2, 3, 4], [1, 3, 4]) == [(1, True), (3, False), (4, False)]


def rejected(original: pika.BasicProperties, reason: str = "is missing", field: str = "to") -> Any:
    return rejected_properties(original, Rejection(field=field, reason=reason), at=AT)


@pytest.mark.parametrize("field", ["jane@example.net", "metadata[jane@example.net]", "a\x1b[31mb\nc"])
def test_the_name_of_a_field_is_no_way_around_the_rule(field: str) -> None:
    shown = rejected(pika.BasicProperties(), "is not a field of a mail", field).headers["field"]
    assert "jane" not in shown
    assert shown.isprintable()


def test_a_rejected_job_keeps_what_its_sender_said_of_it() -> None:
    original = pika.BasicProperties(
        app_id="shop",
        message_id="m-1",
        type="order",
        content_type="application/json",
        headers={"trace": "t-1"},
    )
    kept = rejected(original)
    assert (kept.app_id, kept.message_id, kept.type, kept.content_type) == (
        "shop",
        "m-1",
        "order",
        "application/json",
    )
    assert kept.delivery_mode == 2
    assert kept.headers == {
        "trace": "t-1",
        "field": "to",
        "reason": "is missing",
        "rejected_at": "2026-11-25T12:00:00+00:00",
    }


def test_our_headers_win_over_the_senders() -> None:
    assert rejected(pika.BasicProperties(headers={"reason": "mine"})).headers["reason"] == "is missing"


def test_what_would_have_an_effect_in_the_broker_is_left_out() -> None:
    original = pika.BasicProperties(
        expiration="1000",
        user_id="shop",
        reply_to="q",
        priority=9,
        headers={"CC": ["other"], "BCC": ["other"], "x-death": [{}], "x-delivery-count": 3, "x-request": "r"},
    )
    kept = rejected(original)
    assert (kept.expiration, kept.user_id, kept.reply_to, kept.priority) == (None,) * 4
    assert set(kept.headers) == {"x-request", "field", "reason", "rejected_at"}


def test_headers_are_bounded_so_that_they_fit_into_a_frame() -> None:
    original = pika.BasicProperties(headers={"first": "kept", "large": "x" * 100_000})
    kept = rejected(original, reason="ü" * 5000, field="y" * 5000)
    assert (len(kept.headers["reason"]), len(kept.headers["field"])) == (1000, 200)
    assert kept.headers["first"] == "kept"
    assert "large" not in kept.headers
    assert sum(map(len, pika.BasicProperties(headers=kept.headers).encode())) < 20_000


def test_a_header_that_cannot_be_written_again_is_left_out() -> None:
    assert "odd" not in rejected(pika.BasicProperties(headers={"odd": object()})).headers


@pytest.mark.parametrize(
    ("error", "field", "kind"),
    [
        (MailRejected("to[2]", "x"), "to[2]", "to"),
        (MailRejected("attachments[0].name", "x"), "attachments[0].name", "attachments"),
        (MailRejected("metadata[note]", "x"), "metadata[note]", "metadata"),
        (MailRejected("subjekt", "x"), "subjekt", "other"),
        (MailRejected("sender", "x"), "sender", "other"),
        (MailRejected("document", "x"), "document", "document"),
        (MailRejected("app_id", "x"), "app_id", "app_id"),
        (IdempotencyConflict("shop", "order-1"), "idempotency_key", "idempotency_key"),
        (IdempotencyConflict("shop", "mail:01932c07-0000-7000-8000-000000000001"), "id", "id"),
    ],
)
def test_a_rejection_names_the_field_and_is_counted_under_one_of_few(
    error: AtumError, field: str, kind: str
) -> None:
    rejection = Rejection.of(error)
    assert (rejection.field, rejection.kind) == (field, kind)
