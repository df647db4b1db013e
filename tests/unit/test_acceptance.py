"""How a mail becomes a row: lane, id, key, fingerprint, encrypted content."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any, Final

import pytest

from atum_schema.acceptance import CHUNK, LanePolicy, Offer, Row, prepare
from atum_schema.document_content import content_of
from atum_schema.encryption import Keyring, new_key
from atum_schema.errors import MailRejected
from atum_schema.mail import Mail

LANES: Final = LanePolicy(names=("transactional", "broadcast"))
KEYRING: Final = Keyring(new_key("test"))


def mail(**change: Any) -> Mail:
    values: dict[str, Any] = {
        "sender": "shop@example.com",
        "to": "jane@example.org",
        "subject": "Your order",
        "text": "Thank you",
    }
    return Mail(**(values | change))


def rows(*mails: Mail, keys: tuple[str, ...] = ()) -> list[Row]:
    return prepare(mails, lanes=LANES, keyring=KEYRING, keys=keys)


@pytest.mark.parametrize(
    ("change", "lane"),
    [
        ({}, "transactional"),
        ({"stream": "broadcast"}, "broadcast"),
        ({"stream": "receipts"}, "transactional"),
        ({"lane": "broadcast"}, "broadcast"),
        ({"stream": "broadcast", "lane": "transactional"}, "transactional"),
    ],
)
def test_a_mail_takes_its_own_lane_else_the_one_of_its_stream_else_the_first(
    change: dict[str, Any], lane: str
) -> None:
    assert LANES.choose(mail(**change)) == lane


def test_a_lane_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(MailRejected, match="must be one of transactional, broadcast") as caught:
        rows(mail(lane="express"))
    assert caught.value.field == "lane"


def test_content_is_encrypted_for_its_own_row_and_its_size_is_that_of_the_clear() -> None:
    first, second = rows(mail(), mail(text="another text"))
    assert KEYRING.decrypt(first.id, "test", first.body) == content_of(first.mail)
    assert KEYRING.decrypt(second.id, "test", second.body) == content_of(second.mail)
    assert first.size == len(content_of(first.mail))
    assert b"Thank you" not in first.body


def test_a_mail_without_a_key_has_its_id_as_key_and_needs_no_fingerprint() -> None:
    (row,) = rows(mail())
    assert row.key == f"mail:{row.id}"
    assert row.fingerprint == b""


def test_repeating_with_the_keys_of_an_uncertain_call_gives_the_same_ids() -> None:
    first = rows(mail(), mail())
    again = rows(mail(), mail(), keys=tuple(row.key for row in first))
    assert [row.id for row in again] == [row.id for row in first]
    assert [row.key for row in again] == [row.key for row in first]


def test_a_key_of_the_application_is_kept_and_its_mail_has_an_id_of_its_own() -> None:
    (first,), (second,) = rows(mail(idempotency_key="order-4711")), rows(mail(idempotency_key="order-4711"))
    assert first.key == second.key == "order-4711"
    assert first.id != second.id
    assert len(first.fingerprint) == 32


def test_the_same_mail_has_the_same_fingerprint() -> None:
    (first,), (second,) = rows(mail(idempotency_key="k")), rows(mail(idempotency_key="k"))
    assert first.fingerprint == second.fingerprint


MOMENT: Final = datetime(2027, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "change",
    [
        {"text": "Thank you!"},
        {"subject": "your order"},
        {"to": "bob@example.org"},
        {"cc": "bob@example.org"},
        {"bcc": "bob@example.org"},
        {"sender": "Shop <shop@example.com>"},
        {"reply_to": "help@example.com"},
        {"html": "<p>Thank you</p>"},
        {"tag": "order"},
        {"metadata": {"order": "1"}},
        {"headers": {"X-Order": "1"}},
        {"stream": "receipts"},
        {"lane": "broadcast"},
        {"track_opens": True},
        {"track_links": "HtmlOnly"},
        {"send_at": MOMENT},
        {"expires_at": MOMENT},
        {"on_unknown": "hold"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_another_mail_has_another_fingerprint_whatever_the_difference(change: dict[str, Any]) -> None:
    (one,), (other,) = rows(mail(idempotency_key="k")), rows(mail(idempotency_key="k", **change))
    assert one.fingerprint != other.fingerprint


def test_mails_that_fit_one_statement_need_no_transaction_of_their_own() -> None:
    (plain,) = rows(mail())
    (keyed,) = rows(mail(idempotency_key="k"))
    assert not Offer(client="shop", rows=[plain] * CHUNK).needs_transaction
    assert Offer(client="shop", rows=[plain] * (CHUNK + 1)).needs_transaction
    assert Offer(client="shop", rows=[plain, keyed]).needs_transaction
    assert Offer(client="shop", rows=[plain], repeats=True).needs_transaction


def test_ids_are_given_in_the_order_of_time() -> None:
    ids = [row.id for row in rows(*[mail()] * 50)]
    assert len(set(ids)) == 50
    assert all(isinstance(mail_id, uuid.UUID) and mail_id.version == 7 for mail_id in ids)
    assert ids == sorted(ids)


def test_a_key_of_an_application_cannot_be_one_of_ours() -> None:
    with pytest.raises(MailRejected, match="reserved") as caught:
        mail(idempotency_key="mail:welcome")
    assert caught.value.field == "idempotency_key"


def test_a_key_that_no_earlier_call_can_have_had_is_refused() -> None:
    with pytest.raises(MailRejected, match="not a key of an earlier call"):
        rows(mail(), keys=("mail:welcome",))
