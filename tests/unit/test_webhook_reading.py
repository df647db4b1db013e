"""Reading what the provider tells: every field may be missing, and a bounce is what `Inactive` and its type make it."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atum_schema.webhook import RANK, Kind, Suppressing, identity, read

MAIL, BATCH = uuid.uuid4(), uuid.uuid4()
METADATA = {"atum-mail": str(MAIL), "atum-batch": str(BATCH), "order": "17"}
DELIVERY: dict[str, Any] = {
    "RecordType": "Delivery",
    "ServerID": 23,
    "MessageStream": "outbound",
    "MessageID": "00000000-0000-0000-0000-000000000001",
    "Recipient": "Ann@Example.net",
    "Tag": "welcome",
    "DeliveredAt": "2026-11-05T16:33:54.9070259Z",
    "Details": "smtp;250 OK",
    "Metadata": METADATA,
}
BOUNCE: dict[str, Any] = {
    "RecordType": "Bounce",
    "MessageStream": "outbound",
    "ID": 4323372036854775807,
    "Type": "HardBounce",
    "TypeCode": 1,
    "Name": "Hard bounce",
    "MessageID": "00000000-0000-0000-0000-000000000001",
    "Metadata": METADATA,
    "Description": "The server was unable to deliver your message",
    "Details": "550 5.1.1 unknown user",
    "Email": "ann@example.net",
    "From": "app@example.com",
    "BouncedAt": "2026-11-05T16:33:54.9070259Z",
    "Inactive": True,
    "CanActivate": True,
}
CHANGE: dict[str, Any] = {
    "RecordType": "SubscriptionChange",
    "MessageID": None,
    "MessageStream": "outbound",
    "ChangedAt": "2026-11-05T16:33:54.9070259Z",
    "Recipient": "ann@example.net",
    "Origin": "Recipient",
    "SuppressSending": True,
    "SuppressionReason": "ManualSuppression",
}
HARD = Suppressing(suppressed=True, reason="hard_bounce", origin="recipient")


def bounce(kind: str, code: int, **changes: Any) -> dict[str, Any]:
    return {**BOUNCE, "Type": kind, "TypeCode": code, **changes}


def test_a_delivery_names_mail_batch_recipient_and_time() -> None:
    told = read(DELIVERY)
    assert (told.kind, told.mail_id, told.batch_id, told.recipient) == (
        Kind.DELIVERED,
        MAIL,
        BATCH,
        "ann@example.net",
    )
    assert told.at == datetime(2026, 11, 5, 16, 33, 54, 907025, tzinfo=UTC)
    assert told.suppressing is None


@pytest.mark.parametrize(
    ("event", "kind", "suppressing"),
    [
        (bounce("HardBounce", 1), Kind.BOUNCED, HARD),
        (bounce("BadEmailAddress", 100000), Kind.BOUNCED, HARD),
        (bounce("SoftBounce", 4096, Inactive=False), Kind.SOFT_BOUNCED, None),
        (bounce("SoftBounce", 4096, Inactive=True), Kind.BOUNCED, HARD),
        (bounce("Blocked", 100006, Inactive=False), Kind.SOFT_BOUNCED, None),
        (bounce("SMTPApiError", 100007, Inactive=False), Kind.SOFT_BOUNCED, None),
        (bounce("Transient", 2, Inactive=False), Kind.DELAYED, None),
        (bounce("AutoResponder", 64, Inactive=False), Kind.REPLIED, None),
        (bounce("ChallengeVerification", 16384, Inactive=False), Kind.REPLIED, None),
        (bounce("AddressChange", 128, Inactive=False), Kind.REPLIED, None),
        (
            bounce("Unsubscribe", 16, Inactive=True),
            Kind.UNSUBSCRIBED,
            Suppressing(suppressed=True, reason="manual", origin="recipient"),
        ),
        (
            bounce("SpamComplaint", 100001, RecordType="SpamComplaint"),
            Kind.COMPLAINED,
            Suppressing(suppressed=True, reason="complaint", origin="recipient"),
        ),
    ],
)
def test_a_bounce_is_what_its_flag_and_its_type_make_it(
    event: dict[str, Any], kind: Kind, suppressing: Suppressing | None
) -> None:
    told = read(event)
    assert (told.kind, told.suppressing) == (kind, suppressing)


def test_a_type_without_its_code_is_known_by_its_name() -> None:
    event = {name: value for name, value in bounce("AutoResponder", 64).items() if name != "TypeCode"}
    assert read({**event, "Inactive": False}).kind is Kind.REPLIED


def test_the_real_variant_without_email_time_and_metadata_can_be_read() -> None:
    # django-anymail, issue 447: an Unsubscribe that lacks all three.
    event = bounce("Unsubscribe", 16)
    for name in ("Email", "BouncedAt", "Metadata"):
        del event[name]
    told = read(event)
    assert told.kind is Kind.UNSUBSCRIBED
    assert (told.recipient, told.at, told.mail_id) == (None, None, None)
    assert told.message_id == BOUNCE["MessageID"]


@pytest.mark.parametrize(
    ("changes", "kind", "suppressing"),
    [
        ({}, Kind.UNSUBSCRIBED, Suppressing(suppressed=True, reason="manual", origin="recipient")),
        (
            {"SuppressionReason": "HardBounce"},
            Kind.UNSUBSCRIBED,
            Suppressing(suppressed=True, reason="hard_bounce", origin="recipient"),
        ),
        (
            {"SuppressSending": False, "SuppressionReason": None, "Origin": "Customer"},
            Kind.RESUBSCRIBED,
            Suppressing(suppressed=False, reason="manual", origin="customer"),
        ),
        (
            {"SuppressionReason": "SpamComplaint"},
            Kind.COMPLAINED,
            Suppressing(suppressed=True, reason="complaint", origin="recipient"),
        ),
        ({"SuppressSending": None}, Kind.INFORMED, None),
    ],
)
def test_a_change_of_subscription_says_whether_an_address_may_be_mailed(
    changes: dict[str, Any], kind: Kind, suppressing: Suppressing | None
) -> None:
    told = read({**CHANGE, **changes})
    assert (told.kind, told.suppressing) == (kind, suppressing)


@pytest.mark.parametrize("record", ["Inbound", "Opened", "", None, 7, "delivery"])
def test_an_unknown_type_has_no_kind(record: object) -> None:
    assert read({**DELIVERY, "RecordType": record}).kind is None


def test_metadata_of_somebody_else_is_told_apart_from_missing_metadata() -> None:
    assert read({**DELIVERY, "Metadata": {"order": "17"}}).foreign
    assert not read({**DELIVERY, "Metadata": {}}).foreign
    assert not read(DELIVERY).foreign


TEXTS = [
    "",
    " ",
    "\x00",
    "\ud7ff",
    "a@example.net",
    "2026-11-05",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-23:59",
    "x" * 99,
]
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(TEXTS)
JSON = (
    SCALARS
    | st.lists(SCALARS, max_size=2)
    | st.dictionaries(st.sampled_from(["atum-mail", "a"]), SCALARS, max_size=2)
)
FIELDS = sorted({*DELIVERY, *BOUNCE, *CHANGE, "OriginalLink", "ReceivedAt"})


@given(st.dictionaries(st.sampled_from(FIELDS), JSON))
def test_whatever_comes_is_read(document: dict[str, Any]) -> None:
    told = read(document)
    assert told.recipient is None or "\x00" not in told.recipient
    assert len(identity(document)) == 32


@given(st.permutations(sorted(BOUNCE)), st.sampled_from([None, "trace-1"]))
def test_the_order_of_fields_makes_no_other_event(order: list[str], trace: str | None) -> None:
    shuffled = orjson.loads(orjson.dumps({name: BOUNCE[name] for name in order}))
    assert identity(shuffled, trace=trace) == identity(BOUNCE, trace=trace)


@pytest.mark.parametrize("trace", [None, "trace-1"])
@pytest.mark.parametrize(
    "change",
    [
        {"Recipient": "bob@example.net"},
        {"RecordType": "Open"},
        {"MessageID": "another"},
    ],
)
def test_another_recipient_type_or_message_is_another_event(
    change: dict[str, Any], trace: str | None
) -> None:
    assert identity({**DELIVERY, **change}, trace=trace) != identity(DELIVERY, trace=trace)


def test_without_a_trace_the_time_tells_two_opens_apart() -> None:
    first = {
        "RecordType": "Open",
        "MessageID": "m",
        "Recipient": "a@example.net",
        "ReceivedAt": "2026-11-05T16:33:54Z",
    }
    assert identity(first) != identity({**first, "ReceivedAt": "2026-11-05T16:33:55Z"})
    assert identity({**first, "UserAgent": "another"}) == identity(first)


def test_every_rank_is_that_of_one_kind() -> None:
    assert sorted(RANK.values()) == list(range(1, len(RANK) + 1))
