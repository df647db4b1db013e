"""`mail cancel|hold|release|retry`: what an order does to mails in every status, and what it leaves alone."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from atum_producers import relay_store
from atum_schema import moves
from atum_schema.moves import Move
from atum_schema.status import Cause
from atum_workers import store
from tests.command_line import DEAD, RETRYING, SENT, UNKNOWN, Place

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID


def status(place: Place, mail_id: UUID) -> str:
    ((found,),) = place.sql("SELECT status FROM atum.mail WHERE id = %(id)s", id=mail_id)
    return str(found)


def causes(place: Place, mail_id: UUID) -> list[str]:
    rows = place.sql("SELECT cause FROM atum.event WHERE mail_id = %(id)s ORDER BY seq", id=mail_id)
    return [cause for (cause,) in rows]


def audited(place: Place) -> list[tuple[str, str, dict[str, Any]]]:
    return [tuple(row) for row in place.sql("SELECT actor, action, detail FROM atum.audit ORDER BY id")]


def queued(place: Place) -> UUID:
    return place.enqueue()[0]


def issued(place: Place) -> UUID:
    (mail_id,) = place.enqueue()
    place.issue()
    return mail_id


def claimed(place: Place) -> UUID:
    (mail_id,) = place.enqueue()
    (batch,) = place.issue()
    assert store.claim(place.connection, batch=batch, token=uuid.uuid4(), worker="tests/1", lease_s=60)
    return mail_id


def posting(place: Place) -> UUID:
    (mail_id,) = place.enqueue()
    (batch,) = place.issue()
    place.post(batch)
    return mail_id


def ended(outcome: Any) -> Callable[[Place], UUID]:
    return lambda place: place.ended(outcome)[0]


def held(place: Place) -> UUID:
    mail_id = queued(place)
    assert place.run("mail", "hold", mail_id).status == 0
    return mail_id


def canceled(place: Place) -> UUID:
    mail_id = queued(place)
    place.mailer.cancel(mail_id)
    return mail_id


# What waits to be issued comes last: it would travel with the others.
MADE: dict[str, Callable[[Place], UUID]] = {
    "sent": ended(SENT),
    "dead": ended(DEAD),
    "unknown": ended(UNKNOWN),
    "retrying": ended(RETRYING),
    "posting": posting,
    "claimed": claimed,
    "issued": issued,
    "held": held,
    "canceled": canceled,
    "queued": queued,
}
DONE = {
    "cancel": {"queued": "canceled", "issued": "canceled", "claimed": "canceled", "retrying": "canceled",
               "held": "canceled", "canceled": "canceled"},
    "hold": {"queued": "held", "issued": "held", "claimed": "held", "retrying": "held", "held": "held"},
    "release": {"held": "queued", "queued": "queued", "issued": "queued", "claimed": "queued"},
    "retry": {"retrying": "retrying", "issued": "queued", "claimed": "queued"},
}  # fmt: skip


@pytest.mark.parametrize("order", DONE)
def test_an_order_does_what_it_says_or_says_in_words_why_not(place: Place, order: str) -> None:
    mails = {made: make(place) for made, make in MADE.items()}
    for made, mail_id in mails.items():
        before = status(place, mail_id)
        answer = place.run("mail", order, mail_id, "--format=json")
        expected = DONE[order].get(made)
        (told,) = answer.json
        assert (answer.status, told["done"]) == ((0, True) if expected else (1, False)), told
        assert status(place, mail_id) == (expected or before)
        assert told["words"]
    verified = place.run("verify")
    assert verified.status == 0, verified.out


@pytest.mark.parametrize("order", ["cancel", "hold"])
@pytest.mark.parametrize("made", ["queued", "issued", "claimed"])
def test_after_a_stop_no_post_of_the_mail_follows(place: Place, order: str, made: str) -> None:
    MADE[made](place)
    (mail_id,) = [row[0] for row in place.sql("SELECT id FROM atum.mail")]
    assert place.run("mail", order, mail_id).status == 0
    assert place.sql("SELECT 1 FROM atum.batch") == []
    assert place.sql("SELECT 1 FROM atum.ready") == []
    assert place.issue() == []


def test_a_mail_that_leaves_a_batch_leaves_the_others_in_it(place: Place) -> None:
    first, second, third = place.enqueue(3)
    (batch,) = place.issue()
    assert place.run("mail", "hold", second).status == 0
    token = place.post(batch)
    place.record(batch, token, SENT)
    assert [status(place, mail) for mail in (first, second, third)] == ["sent", "held", "sent"]


def test_several_ids_are_ordered_one_by_one_and_one_that_cannot_makes_status_one(place: Place) -> None:
    """B17: what is told is what was done, one by one."""
    (sent,), good, nobody = place.ended(SENT), queued(place), uuid.uuid4()
    answer = place.run("mail", "cancel", good, sent, nobody, good, "--by", "jane", "--note", "wrong price")
    assert answer.status == 1
    assert answer.out == f"{good}: canceled\n"
    assert f"{sent}: the provider has accepted it already" in answer.err
    assert f"{nobody}: no mail has this id" in answer.err
    assert audited(place) == [("operator:jane", "mail.canceled", {"mail": str(good), "note": "wrong price"})]


def test_every_order_is_in_the_audit_log_with_who_and_why(place: Place) -> None:
    """F3."""
    mail_id = place.ended(RETRYING)[0]
    for order in ("retry", "hold", "release", "cancel"):
        assert place.run("mail", order, mail_id, "--by", "jane", "--note", order).status == 0
    assert audited(place) == [
        ("operator:jane", f"mail.{word}", {"mail": str(mail_id), "note": order})
        for word, order in (
            ("hurried", "retry"),
            ("held", "hold"),
            ("released", "release"),
            ("canceled", "cancel"),
        )
    ]


def test_every_order_leaves_an_event_and_is_counted(place: Place) -> None:
    """I6, C7: one event per transition, none invented."""
    mail_id = place.ended(RETRYING)[0]
    for order in ("retry", "hold", "release", "cancel"):
        place.run("mail", order, mail_id)
    assert causes(place, mail_id)[2:] == ["hurried", "held_back", "released", "canceled"]
    counted = place.sql("SELECT cause FROM atum.transitions WHERE cause = ANY(%(all)s) ORDER BY at",
                        all=["hurried", "held_back", "released", "canceled"])  # fmt: skip
    assert [cause for (cause,) in counted] == ["hurried", "held_back", "released", "canceled"]


def test_a_retrying_mail_that_is_hurried_is_due_now_and_keeps_its_attempts(place: Place) -> None:
    (mail_id,) = place.ended(RETRYING)
    assert place.issue() == []
    assert place.run("mail", "retry", mail_id).out == f"{mail_id}: due now\n"
    ((due, attempts),) = place.sql("SELECT due_at <= now(), attempts FROM atum.mail")
    assert (due, attempts) == (True, 1)
    (batch,) = place.issue()
    place.end(batch, **{**SENT, "was": "retrying"})
    assert status(place, mail_id) == "sent"


def test_a_mail_that_is_on_its_way_is_not_hurried_and_has_no_event_of_it(place: Place) -> None:
    (mail_id,) = place.ended(RETRYING)
    place.run("mail", "retry", mail_id)
    place.issue()
    assert place.run("mail", "retry", mail_id).out == f"{mail_id}: it is on its way already\n"
    assert causes(place, mail_id).count("hurried") == 1


def test_hurrying_wakes_a_relay_that_sleeps(place: Place) -> None:
    (mail_id,) = place.ended(RETRYING)
    place.connection.execute("LISTEN atum_ready")
    relay_store.fall_asleep(place.connection, uuid.uuid4(), 60.0, for_mail=True, for_room=False)
    assert place.run("mail", "retry", mail_id).status == 0
    assert len(list(place.connection.notifies(timeout=60, stop_after=1))) == 1


def test_a_released_mail_keeps_its_own_time_and_forgets_why_it_was_held(place: Place) -> None:
    """C6: what is over is not shown any more."""
    later = datetime.now(UTC) + timedelta(hours=2)
    (mail_id,) = place.enqueue(send_at=later)
    assert place.run("mail", "hold", mail_id).status == 0
    ((reason,),) = place.sql("SELECT reason FROM atum.mail")
    assert reason == "held_back"
    assert place.run("mail", "release", mail_id).status == 0
    ((reason, detail, due),) = place.sql(
        "SELECT m.reason, m.detail, r.due_at FROM atum.mail m JOIN atum.ready r ON r.mail_id = m.id"
    )
    assert reason is None
    assert detail.startswith("by operator ")
    assert abs((due - later).total_seconds()) < 2
    assert place.issue() == []


def held_by_settling(place: Place) -> UUID:
    """A mail that was posted without an answer and not found."""
    (mail_id,) = place.ended(UNKNOWN)
    with place.connection.transaction():
        place.connection.execute("DELETE FROM atum.batch")
        moves.apply(place.connection, [Move(mail_id, "unknown", Cause.HELD, reason="not_found")])
    return mail_id


def test_a_mail_that_may_be_at_the_provider_is_released_only_by_who_wants_a_second_copy(place: Place) -> None:
    mail_id = held_by_settling(place)
    answer = place.run("mail", "release", mail_id)
    assert answer.status == 1
    assert "a second copy is possible; repeat with --yes" in answer.err
    assert status(place, mail_id) == "held"
    assert place.run("mail", "release", mail_id, "--yes").status == 0
    assert status(place, mail_id) == "queued"
    assert len(place.issue()) == 1
