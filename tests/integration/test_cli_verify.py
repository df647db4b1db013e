"""`verify`: a sound log is sound, and every kind of damage is found, named and exit status 1."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from atum_ops.simulator.ledger import MAIL_KEY
from tests.command_line import DEAD, RETRYING, SENT, UNKNOWN, Place

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from typing import LiteralString
    from uuid import UUID


def write_ledger(path: Path, ids: Iterable[UUID]) -> Path:
    """Write the ledger file of a provider that has accepted these mails."""
    path.write_bytes(b"".join(orjson.dumps(_line(place, each)) + b"\n" for place, each in enumerate(ids, 1)))
    return path


def found(place: Place, *arguments: object) -> Any:
    """Run the check that must find something; give its report."""
    answer = place.run("verify", "--format=json", *arguments)
    assert answer.status == 1
    people = place.run("verify", *arguments)
    assert people.status == 1
    assert "The log DISAGREES with itself" in people.out
    for finding in answer.json["findings"]:
        assert finding in people.out
    return answer.json


def test_a_log_with_mail_in_every_state_is_sound(place: Place) -> None:
    for outcome in (UNKNOWN, DEAD, SENT, RETRYING):
        place.ended(outcome, 2)
    place.mailer.cancel(place.enqueue()[0])
    place.enqueue(3)
    first, _ = place.issue(mails=2)
    place.post(first)
    place.enqueue(4)
    answer = place.run("verify", "--format=json")
    assert answer.status == 0
    assert answer.json == {
        "mails": 16,
        "by_status": {"canceled": 1, "dead": 2, "queued": 7, "retrying": 2, "sent": 2, "unknown": 2},
        "lost": 0,
        "duplicates": 0,
        "extra_copies": 0,
        "unexplained": 0,
        "foreign": 0,
        "compared_with_provider": False,
        "findings": [],
    }
    people = place.run("verify")
    assert people.status == 0
    assert people.out.endswith("The log agrees with itself (no provider's ledger was given).\n")


LOST: list[tuple[LiteralString, str]] = [
    ("DELETE FROM atum.ready WHERE mail_id = %(id)s", "is queued and has 0 owners"),
]
UNEXPLAINED: list[tuple[LiteralString, str]] = [
    ("DELETE FROM atum.content WHERE mail_id = %(id)s", "is queued and its content is gone"),
    ("DELETE FROM atum.event WHERE mail_id = %(id)s", "is queued and its last event says None"),
    (
        "UPDATE atum.mail SET status = 'retrying' WHERE id = %(id)s",
        "is retrying and its last event says queued",
    ),
    (
        "INSERT INTO atum.dead_letter (mail_id, cycle, reason, attempts) VALUES (%(id)s, 1, 'x', 1)",
        "is queued and has a dead letter",
    ),
    (
        (
            "INSERT INTO atum.batch (id, lane, account, mail_ids, publish_after)"
            " VALUES (gen_random_uuid(), 'transactional', 'default', ARRAY[%(id)s::uuid], now())"
        ),
        "is queued and has 2 owners",
    ),
]


@pytest.mark.parametrize(
    ("damage", "finding", "lost"),
    [*((*each, 1) for each in LOST), *((*each, 0) for each in UNEXPLAINED)],
    ids=["ready", "content", "event", "status", "dead letter", "two owners"],
)
def test_damage_to_a_waiting_mail_is_named_and_charged_to_it_alone(
    place: Place, damage: LiteralString, finding: str, lost: int
) -> None:
    victim, *_ = place.enqueue(3)
    place.sql(damage, id=victim)
    report = found(place)
    assert report["findings"] == [f"{victim} {finding}"]
    assert (report["lost"], report["unexplained"]) == (lost, 1 - lost)


@pytest.mark.parametrize(
    ("outcome", "damage", "findings"),
    [
        (
            SENT,
            "UPDATE atum.mail SET status = 'queued' WHERE id = %(id)s",
            ["is queued and has 0 owners", "is queued and its last event says sent", "is queued and its content is gone"],
        ),
        (
            SENT,
            "UPDATE atum.mail SET provider_message_id = NULL WHERE id = %(id)s",
            ["is sent and carries no MessageID"],
        ),
        (
            SENT,
            "INSERT INTO atum.ready (mail_id, lane, due_at, size) VALUES (%(id)s, 'transactional', now(), 1)",
            ["is sent and something still owns it"],
        ),
        (
            DEAD,
            "DELETE FROM atum.dead_letter WHERE mail_id = %(id)s",
            ["is dead and has no dead letter"],
        ),
        (
            DEAD,
            "DELETE FROM atum.content WHERE mail_id = %(id)s",
            ["is dead and its content is gone"],
        ),
        (
            UNKNOWN,
            "DELETE FROM atum.batch WHERE %(id)s = ANY(mail_ids)",
            ["is unknown and has 0 owners"],
        ),
    ],
    ids=["sent flipped", "no proof", "owned again", "no dead letter", "no content", "forgotten"],
)  # fmt: skip
def test_damage_to_a_mail_that_was_posted_is_named(
    place: Place, outcome: dict[str, Any], damage: LiteralString, findings: list[str]
) -> None:
    (victim,) = place.ended(outcome)
    assert place.run("verify").status == 0
    place.sql(damage, id=victim)
    assert found(place)["findings"] == [f"{victim} {finding}" for finding in findings]


def test_a_ledger_with_each_sent_mail_once_agrees(place: Place, tmp_path: Path) -> None:
    ids = place.ended(SENT, 3)
    place.enqueue(2)
    answer = place.run("verify", "--ledger", write_ledger(tmp_path / "ledger", ids))
    assert answer.status == 0
    assert answer.out.endswith("The log agrees with itself and the provider's ledger.\n")


def test_an_unknown_mail_may_be_at_the_provider_or_not(place: Place, tmp_path: Path) -> None:
    there, _ = place.ended(UNKNOWN, 2)
    assert place.run("verify", "--ledger", write_ledger(tmp_path / "ledger", [there])).status == 0


def test_a_mail_that_the_provider_has_twice_is_a_duplicate(place: Place, tmp_path: Path) -> None:
    once, thrice = place.ended(SENT, 2)
    report = found(place, "--ledger", write_ledger(tmp_path / "ledger", [once, thrice, thrice, thrice]))
    assert (report["duplicates"], report["extra_copies"]) == (1, 2)
    assert report["findings"] == [f"{thrice} was accepted 3 times"]
    assert report["compared_with_provider"] is True


def test_a_sent_mail_that_the_provider_does_not_know_is_lost(place: Place, tmp_path: Path) -> None:
    known, unheard = place.ended(SENT, 2)
    report = found(place, "--ledger", write_ledger(tmp_path / "ledger", [known]))
    assert (report["lost"], report["unexplained"]) == (1, 0)
    assert report["findings"] == [f"{unheard} is sent and the provider does not know it"]


def test_a_waiting_mail_that_the_provider_has_is_unexplained(place: Place, tmp_path: Path) -> None:
    (waiting,) = place.enqueue()
    report = found(place, "--ledger", write_ledger(tmp_path / "ledger", [waiting]))
    assert report["unexplained"] == 1
    assert report["findings"] == [f"{waiting} is queued and the provider has accepted it"]


def test_a_message_that_the_log_never_heard_of_is_foreign(place: Place, tmp_path: Path) -> None:
    report = found(place, "--ledger", write_ledger(tmp_path / "ledger", [uuid.uuid4(), uuid.uuid4()]))
    assert report["foreign"] == 2


def test_a_ledger_that_is_none_is_one_line_that_names_the_place(place: Place, tmp_path: Path) -> None:
    ledger = write_ledger(tmp_path / "ledger", place.ended(SENT))
    ledger.write_bytes(ledger.read_bytes() + b"{}\n")
    answer = place.run("verify", "--ledger", ledger)
    assert (answer.status, answer.out) == (1, "")
    assert answer.err == f"atum-mailer: {ledger}:2: not a ledger record (KeyError)\n"


def test_at_most_fifty_findings_are_named_and_all_are_counted(place: Place) -> None:
    place.enqueue(60)
    place.sql("DELETE FROM atum.ready")
    report = found(place)
    assert report["lost"] == 60
    assert len(report["findings"]) == 50


def _line(number: int, mail_id: UUID) -> dict[str, object]:
    return {
        "seq": number,
        "accepted_at": 1_795_000_000.0 + number,
        "message_id": str(uuid.uuid4()),
        "request": number,
        "stream": "outbound",
        "from": "app@example.com",
        "to": ["r@example.net"],
        "cc": [],
        "bcc": [],
        "subject": "Hello",
        "tag": "",
        "metadata": {MAIL_KEY: str(mail_id)},
    }
