"""What the provider tells ends in the same state whenever, however often and in whatever order it comes."""

from __future__ import annotations

import itertools
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from atum_workers.event import Whose
from atum_workers.postmark_api import ProviderFailed
from atum_workers.telling import Place as Told
from tests.command_line import DEAD, RETRYING, SENT, UNKNOWN, Place
from tests.telling import LATER, MESSAGE, apply_all, event, facts, inbox_states, tell

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID


def state(place: Place, mail_id: UUID) -> tuple[str, int, int]:
    """Give status, duplicates and number of owners."""
    ((status, duplicates, owners),) = place.sql(
        "SELECT m.status, m.duplicates, (SELECT count(*) FROM atum.ready r WHERE r.mail_id = m.id)"
        " + (SELECT count(*) FROM atum.batch b WHERE m.id = ANY(b.mail_ids)) FROM atum.mail m WHERE m.id = %(id)s",
        id=mail_id,
    )
    return status, duplicates, owners


def sent(place: Place, **fields: Any) -> tuple[UUID, UUID]:
    """Give a mail that was sent, and its batch."""
    (mail_id,) = place.ended(SENT, **fields)
    return mail_id, batch_of(place, mail_id)


def batch_of(place: Place, mail_id: UUID) -> UUID:
    ((batch,),) = place.sql("SELECT batch_id FROM atum.attempt WHERE mail_id = %(id)s", id=mail_id)
    found: UUID = batch
    return found


def story(place: Place, mail_id: UUID) -> list[str]:
    rows = place.sql("SELECT cause FROM atum.event WHERE mail_id = %(id)s ORDER BY seq", id=mail_id)
    return [cause for (cause,) in rows]


RESULTS = [
    ("Delivery", {}, "delivered", "delivered"),
    ("Bounce", {}, "bounced", "bounced"),
    ("SpamComplaint", {}, "complained", "complained"),
    ("Bounce", {"Type": "SoftBounce", "TypeCode": 4096, "Inactive": False}, "sent", "soft_bounced"),
    ("Bounce", {"Type": "AutoResponder", "TypeCode": 64, "Inactive": False}, "sent", "replied"),
    ("Bounce", {"Type": "Transient", "TypeCode": 2, "Inactive": False}, "sent", "delayed"),
    ("Open", {}, "sent", "opened"),
    ("Click", {}, "sent", "clicked"),
    ("SubscriptionChange", {}, "sent", "unsubscribed"),
]


@pytest.mark.parametrize(("record", "fields", "status", "kind"), RESULTS)
def test_each_kind_of_event_moves_a_sent_mail_as_it_should(
    place: Place, record: str, fields: dict[str, Any], status: str, kind: str
) -> None:
    mail_id, batch = sent(place)
    tell(place, event(record, mail_id, batch, **fields))
    apply_all(place)
    assert state(place, mail_id) == (status, 0, 0)
    assert facts(place, mail_id) == [("r0@example.net", kind)]
    assert inbox_states(place) == [("applied", None)]


@pytest.mark.parametrize(("record", "fields", "status", "kind"), RESULTS)
@pytest.mark.parametrize("before", [UNKNOWN, DEAD, RETRYING], ids=["unknown", "dead", "retrying"])
def test_an_event_of_any_kind_proves_that_the_provider_took_the_mail(
    place: Place,
    before: Mapping[str, object],
    record: str,
    fields: dict[str, Any],
    status: str,
    kind: str,
) -> None:
    (mail_id,) = place.ended(before)
    tell(place, event(record, mail_id, batch_of(place, mail_id), **fields))
    apply_all(place)
    assert state(place, mail_id) == (status, 0, 0)
    assert facts(place, mail_id) == [("r0@example.net", kind)]
    assert place.sql("SELECT count(*) FROM atum.content") == [(0,)]


def test_an_event_that_comes_before_the_answer_to_its_post_ends_in_the_same_state(place: Place) -> None:
    (mail_id,) = place.enqueue(1)
    (batch,) = place.issue()
    token = place.post(batch)
    tell(place, event("Delivery", mail_id, batch))
    apply_all(place)
    place.record(batch, token, SENT)
    assert state(place, mail_id) == ("delivered", 0, 0)
    assert story(place, mail_id) == ["accepted", "found", "delivered", "provider_accepted"]


# C1: a delivery is not the last word, a complaint is, and nothing wipes it.
@pytest.mark.parametrize(
    "order", list(itertools.permutations(["Delivery", "Bounce", "SpamComplaint", "Open"]))
)
def test_any_order_of_events_ends_in_the_same_state(place: Place, order: tuple[str, ...]) -> None:
    mail_id, batch = sent(place)
    for record in order:
        tell(place, event(record, mail_id, batch))
        apply_all(place)
    assert state(place, mail_id) == ("complained", 0, 0)
    assert [kind for _, kind in facts(place, mail_id)] == ["bounced", "complained", "delivered", "opened"]


def test_events_that_are_applied_at_once_end_as_one_by_one(place: Place) -> None:
    mail_id, batch = sent(place)
    tell(place, *[event(record, mail_id, batch) for record in ("SpamComplaint", "Bounce", "Delivery")])
    apply_all(place)
    assert state(place, mail_id) == ("complained", 0, 0)
    assert story(place, mail_id) == ["accepted", "provider_accepted", "delivered", "bounced", "complained"]


def test_the_same_event_twice_is_one_fact_whether_its_copy_is_known_or_not(place: Place) -> None:
    mail_id, batch = sent(place)
    first = event("Delivery", mail_id, batch)
    assert tell(place, first) == 1
    assert tell(place, first) == 0
    # A copy that cannot be told by its identity, as one that catching up makes.
    assert tell(place, {**first, "DeliveredAt": LATER}, source="catch_up") == 1
    apply_all(place)
    assert facts(place, mail_id) == [("r0@example.net", "delivered")]
    assert story(place, mail_id) == ["accepted", "provider_accepted", "delivered"]


# C2: an auto-reply or a soft bounce is no end, and a later delivery counts.
def test_a_delivery_counts_after_an_auto_reply_and_a_soft_bounce(place: Place) -> None:
    mail_id, batch = sent(place)
    tell(
        place,
        event("Bounce", mail_id, batch, ID=1, Type="AutoResponder", TypeCode=64, Inactive=False),
        event("Bounce", mail_id, batch, ID=2, Type="SoftBounce", TypeCode=4096, Inactive=False),
    )
    apply_all(place)
    tell(place, event("Delivery", mail_id, batch))
    apply_all(place)
    assert state(place, mail_id) == ("delivered", 0, 0)


# C3: what is true of one recipient is not true of the others.
def test_a_bounce_of_one_recipient_leaves_the_others_delivered(place: Place) -> None:
    mail_id, batch = sent(place, cc="other@example.net")
    tell(
        place,
        event("Delivery", mail_id, batch),
        event("Bounce", mail_id, batch, Email="OTHER@example.net"),
    )
    apply_all(place)
    assert facts(place, mail_id) == [("other@example.net", "bounced"), ("r0@example.net", "delivered")]
    assert state(place, mail_id) == ("bounced", 0, 0)


# C4: an unknown type is kept and changes nothing.
@pytest.mark.parametrize("record", ["Inbound", "Whatever", None, ...])
def test_an_event_of_an_unknown_type_is_kept_and_changes_nothing(place: Place, record: Any) -> None:
    (mail_id,) = place.enqueue(1)
    tell(place, event("Delivery", mail_id, uuid.uuid4(), RecordType=record))
    apply_all(place)
    assert state(place, mail_id) == ("queued", 0, 1)
    assert inbox_states(place) == [("ignored", "unknown_type")]
    assert facts(place, mail_id) == []


@pytest.mark.parametrize("raw", [b"", b"{", b"[1]", b"\xff\xfe", b'"text"', b"[" * 5000])
def test_what_cannot_be_read_is_kept_and_harms_no_other(place: Place, raw: bytes) -> None:
    mail_id, batch = sent(place)
    tell(place, raw, event("Delivery", mail_id, batch))
    apply_all(place)
    assert state(place, mail_id) == ("delivered", 0, 0)
    assert [state for state, _ in inbox_states(place)] == ["unreadable", "applied"]
    assert ("event_unreadable", 1) in place.sql("SELECT name, number FROM atum.tally")


# D2: an event whose mail is not there yet is not lost.
def test_an_event_without_a_mail_is_parked_looked_for_again_and_counted(place: Place) -> None:
    mail_id = uuid.uuid4()
    tell(place, event("Delivery", mail_id, uuid.uuid4()))
    apply_all(place)
    assert inbox_states(place) == [("parked", "no_such_mail")]
    apply_all(place)
    assert place.sql("SELECT tries, due_at > now() FROM atum.webhook_inbox") == [(2, True)]
    apply_all(place, park_s=0)
    assert inbox_states(place) == [("unmatched", "no_such_mail")]
    assert ("event_unmatched", "no_such_mail", 1) in place.sql("SELECT name, reason, number FROM atum.tally")


def test_an_event_that_lacks_its_metadata_is_placed_by_its_message_id(place: Place) -> None:
    mail_id, batch = sent(place)
    asked: list[str] = []

    def locate(message_id: str) -> Told | Whose:
        asked.append(message_id)
        return Told(mail_id, batch)

    tell(place, event("Delivery", mail_id, batch, Metadata=...))
    apply_all(place, locate=locate)
    assert asked == [MESSAGE]
    assert state(place, mail_id) == ("delivered", 0, 0)


def test_a_provider_that_is_away_when_it_is_asked_makes_the_event_wait(place: Place) -> None:
    mail_id, batch = sent(place)

    def locate(message_id: str) -> Told | Whose:
        raise ProviderFailed("HTTP 503")

    tell(place, event("Delivery", mail_id, batch, Metadata=...))
    apply_all(place, locate=locate)
    assert [state for state, _ in inbox_states(place)] == ["parked"]
    apply_all(place, locate=lambda _: Told(mail_id, batch))
    assert state(place, mail_id) == ("delivered", 0, 0)


def test_nobody_is_asked_about_a_mail_of_somebody_else(place: Place) -> None:
    tell(place, event("Delivery", uuid.uuid4(), uuid.uuid4(), Metadata={"order": "1"}))
    apply_all(place, locate=pytest.fail)
    assert inbox_states(place) == [("ignored", "foreign_mail")]


def test_a_message_that_the_provider_calls_somebody_elses_is_not_looked_for_again(place: Place) -> None:
    tell(place, event("Delivery", uuid.uuid4(), uuid.uuid4(), Metadata=...))
    apply_all(place, locate=lambda _: Whose.FOREIGN)
    assert inbox_states(place) == [("ignored", "foreign_mail")]


def test_an_event_without_a_recipient_is_about_the_only_one(place: Place) -> None:
    mail_id, batch = sent(place)
    tell(place, event("Bounce", mail_id, batch, Email=..., MessageStream=...))
    apply_all(place)
    assert facts(place, mail_id) == [("r0@example.net", "bounced")]
    assert place.sql("SELECT stream, address, suppressed FROM atum.suppression") == [
        ("outbound", "r0@example.net", True)
    ]


def test_an_event_without_a_recipient_is_about_nobody_in_particular_when_there_are_several(
    place: Place,
) -> None:
    mail_id, batch = sent(place, cc="other@example.net")
    tell(place, event("Bounce", mail_id, batch, Email=...))
    apply_all(place)
    assert facts(place, mail_id) == [("", "bounced")]
    assert place.sql("SELECT count(*) FROM atum.suppression") == [(0,)]


@pytest.mark.parametrize(
    ("record", "fields", "reason"),
    [
        ("Bounce", {}, "hard_bounce"),
        ("Bounce", {"Type": "SoftBounce", "TypeCode": 4096}, "hard_bounce"),
        ("SpamComplaint", {}, "complaint"),
        ("SubscriptionChange", {}, "manual"),
        ("SubscriptionChange", {"MessageID": None, "Metadata": ...}, "manual"),
    ],
)
def test_who_must_not_be_mailed_is_suppressed_in_the_stream(
    place: Place, record: str, fields: dict[str, Any], reason: str
) -> None:
    mail_id, batch = sent(place)
    tell(place, event(record, mail_id, batch, MessageStream="news", **fields))
    apply_all(place)
    assert place.sql("SELECT stream, address, suppressed, reason FROM atum.suppression") == [
        ("news", "r0@example.net", True, reason)
    ]
    assert inbox_states(place) == [("applied", None if "MessageID" not in fields else "no_mail_named")]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_latest_word_on_a_subscription_counts_in_whatever_order_words_come(
    place: Place, order: tuple[int, int]
) -> None:
    mail_id, batch = sent(place)
    words = [
        event("SubscriptionChange", mail_id, batch),
        event("SubscriptionChange", mail_id, batch, ChangedAt=LATER, SuppressSending=False),
    ]
    for turn in order:
        tell(place, words[turn])
        apply_all(place)
    assert place.sql("SELECT suppressed FROM atum.suppression") == [(False,)]


def test_a_second_copy_that_an_event_proves_is_counted(place: Place) -> None:
    mail_id, _ = sent(place)
    tell(place, event("Delivery", mail_id, uuid.uuid4(), MessageID=str(uuid.uuid4())))
    apply_all(place)
    assert state(place, mail_id) == ("delivered", 1, 0)
    assert "duplicate_found" in story(place, mail_id)


def test_an_event_without_a_message_id_that_is_faster_than_the_answer_is_no_second_copy(place: Place) -> None:
    (mail_id,) = place.enqueue(1)
    (batch,) = place.issue()
    token = place.post(batch)
    tell(place, event("Delivery", mail_id, batch, MessageID=...))
    apply_all(place)
    place.record(batch, token, SENT)
    tell(place, event("Open", mail_id, batch))
    apply_all(place)
    assert state(place, mail_id) == ("delivered", 0, 0)
    assert place.sql("SELECT provider_message_id FROM atum.mail") == [(MESSAGE,)]
    assert place.sql("SELECT provider_message_id FROM atum.attempt") == [(MESSAGE,)]


def test_events_with_and_without_a_message_id_tell_of_one_copy_in_any_order(place: Place) -> None:
    for order in ([..., MESSAGE], [MESSAGE, ...]):
        (mail_id,) = place.ended(UNKNOWN)
        batch = batch_of(place, mail_id)
        for record, message_id in zip(("Open", "Delivery"), order, strict=True):
            tell(place, event(record, mail_id, batch, MessageID=message_id))
            apply_all(place)
        assert state(place, mail_id) == ("delivered", 0, 0)
        assert place.sql(
            "SELECT provider_message_id FROM atum.attempt WHERE mail_id = %(id)s", id=mail_id
        ) == [(MESSAGE,)]


def test_a_message_id_that_is_none_is_no_second_copy(place: Place) -> None:
    mail_id, batch = sent(place)
    tell(place, event("Delivery", mail_id, batch, MessageID="not-a-message"))
    apply_all(place)
    assert state(place, mail_id) == ("delivered", 0, 0)


def test_an_event_that_the_database_refuses_is_put_aside_and_harms_no_other(place: Place) -> None:
    mail_id, batch = sent(place)
    place.sql("ALTER TABLE atum.recipient_event ADD CONSTRAINT picky CHECK (kind <> 'opened')")
    tell(place, event("Open", mail_id, batch), event("Delivery", mail_id, batch))
    apply_all(place)
    assert state(place, mail_id) == ("delivered", 0, 0)
    assert sorted(state for state, _ in inbox_states(place)) == ["applied", "parked"]


def test_what_is_stored_of_an_event_is_encrypted(place: Place) -> None:
    mail_id, batch = sent(place)
    tell(place, event("Delivery", mail_id, batch, Recipient="canary@example.net"))
    ((body,),) = place.sql("SELECT body FROM atum.webhook_inbox")
    assert b"canary" not in bytes(body)
