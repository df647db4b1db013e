"""`mail show`: where a mail is, and the story of how it got there."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from tests.command_line import DEAD, RETRYING, SENT, UNKNOWN, Answer, Place

if TYPE_CHECKING:
    from uuid import UUID

SECRET = "the-words-of-the-body"


def shown(place: Place, mail_id: UUID) -> Any:
    answer = place.run("mail", "show", mail_id, "--format=json")
    assert answer.status == 0
    return answer.json


def rows(answer: Answer) -> list[list[str]]:
    """Read the cells of all tables."""
    return [
        [cell.strip() for cell in line.split("│")[1:-1]] for line in answer.out.splitlines() if "│" in line
    ]


def story(place: Place, mail_id: UUID) -> list[tuple[str, str | None, str]]:
    return [(e["cause"], e["from_status"], e["to_status"]) for e in shown(place, mail_id)["events"]]


def test_a_mail_that_was_sent_at_the_second_attempt_tells_its_story(place: Place) -> None:
    (mail_id,) = place.ended(RETRYING, subject="Invoice 7", tag="invoice", metadata={"order": "7"})
    place.sql("UPDATE atum.ready SET due_at = now()")
    (batch,) = place.issue()
    place.end(batch, **{**SENT, "was": "retrying"})
    assert story(place, mail_id) == [
        ("accepted", None, "queued"),
        ("retry_scheduled", "queued", "retrying"),
        ("provider_accepted", "retrying", "sent"),
    ]
    document = shown(place, mail_id)
    mail = document["mail"]
    assert (mail["status"], mail["attempts"], mail["tries"]) == ("sent", 2, 2)
    assert (mail["subject"], mail["tag"], mail["metadata"]) == ("Invoice 7", "invoice", {"order": "7"})
    assert mail["provider_message_id"] == SENT["provider_message_id"]
    assert document["batch"] is None
    assert [event["http_status"] for event in document["events"]] == [None, 429, 200]
    for event in document["events"][1:]:
        assert event["issued_at"] <= event["posting_at"] <= event["answered_at"]


def test_the_table_shows_fields_timeline_and_answers(place: Place) -> None:
    (mail_id,) = place.ended(DEAD, subject="Invoice 7")
    answer = place.run("mail", "show", mail_id)
    assert answer.status == 0
    cells = rows(answer)
    assert ["status", "dead"] in cells
    assert ["reason", "invalid"] in cells
    assert ["subject", "Invoice 7"] in cells
    accepted, rejected = [row for row in cells if len(row) == 5]
    assert accepted[1:] == ["accepted", "– → queued", "–", "–"]
    assert rejected[1:4] == ["provider_rejected", "queued → dead", "HTTP 200, code 300"]
    assert rejected[4] == DEAD["detail"]


def test_a_post_without_an_answer_says_so_and_the_batch_that_keeps_it_is_shown(place: Place) -> None:
    (mail_id,) = place.ended(UNKNOWN)
    assert shown(place, mail_id)["batch"]["state"] == "unknown"
    cells = rows(place.run("mail", "show", mail_id))
    assert [row[1:4] for row in cells if len(row) == 5][-1] == [
        "outcome_unknown",
        "queued → unknown",
        "no answer",
    ]
    assert ["state", "unknown"] in cells


def test_a_mail_that_travels_shows_its_batch_and_the_worker(place: Place) -> None:
    (mail_id,) = place.enqueue()
    (batch,) = place.issue()
    assert shown(place, mail_id)["batch"]["state"] == "issued"
    place.post(batch)
    document = shown(place, mail_id)["batch"]
    assert (document["id"], document["state"], document["claimed_by"]) == (str(batch), "posting", "tests/1")
    assert document["issued_at"] <= document["claimed_at"] <= document["posting_at"] < document["lease_until"]
    cells = rows(place.run("mail", "show", mail_id))
    assert ["state", "posting"] in cells
    assert ["claimed_by", "tests/1"] in cells


def test_a_cancelled_mail_says_who_ended_it(place: Place) -> None:
    (mail_id,) = place.enqueue()
    place.mailer.cancel(mail_id)
    assert story(place, mail_id)[-1] == ("canceled", "queued", "canceled")


def test_neither_form_shows_the_content(place: Place) -> None:
    (mail_id,) = place.enqueue(text=SECRET, html=f"<p>{SECRET}</p>")
    for form in ("json", "table"):
        answer = place.run("mail", "show", mail_id, f"--format={form}")
        assert answer.status == 0
        assert SECRET not in answer.out + answer.err


def test_an_id_that_nobody_has_is_one_line_and_status_one(place: Place) -> None:
    nobody = uuid.uuid4()
    answer = place.run("mail", "show", nobody)
    assert (answer.status, answer.out) == (1, "")
    assert answer.err == f"atum-mailer: no mail has the id {nobody}\n"


def test_an_id_that_is_none_is_wrong_usage(place: Place) -> None:
    answer = place.run("mail", "show", "order-7")
    assert answer.status == 2
    assert "'order-7' is not a valid UUID" in answer.err


def test_brackets_in_a_subject_are_shown_as_they_are(place: Place) -> None:
    (mail_id,) = place.enqueue(subject="[/x] [bold]Hi[/bold]")
    assert ["subject", "[/x] [bold]Hi[/bold]"] in rows(place.run("mail", "show", mail_id))
