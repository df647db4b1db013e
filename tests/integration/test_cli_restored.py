"""`restored`: everything that waits is searched for before it is sent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.command_line import UNKNOWN, Place


def test_nothing_changes_without_yes(place: Place) -> None:
    place.enqueue(3)
    answer = place.run("restored")
    assert answer.status == 0
    assert answer.out.startswith("3 mails would be searched for")
    assert place.sql("SELECT count(*) FROM atum.ready") == [(3,)]


def test_what_waits_and_is_due_becomes_unknown_to_be_searched_by_each_mails_id(place: Place) -> None:
    place.ended(UNKNOWN, 2)
    claimed, posting = place.enqueue(2)
    _, batch = place.issue(mails=1)
    place.post(batch)
    place.enqueue(250)
    later = place.enqueue(1, send_at=datetime.now(UTC) + timedelta(days=1))
    answer = place.run("restored", "--yes")
    assert answer.out == "252 mails are unknown now and will be searched for\n"
    assert place.sql("SELECT status, count(*) FROM atum.mail GROUP BY 1 ORDER BY 1") == [
        ("scheduled", 1),
        ("unknown", 254),
    ]
    assert place.sql("SELECT mail_id FROM atum.ready") == [(later[0],)]
    assert place.sql("SELECT DISTINCT state, by_mail FROM atum.batch") == [("unknown", True)]
    # Two single ones, the one that was unknown before, and 250 in hundreds.
    assert place.sql("SELECT count(*), sum(cardinality(mail_ids)) FROM atum.batch") == [(6, 254)]
    events = place.sql(
        "SELECT detail FROM atum.event WHERE mail_id = ANY(%(ids)s) AND cause = 'outcome_unknown'",
        ids=[claimed, posting],
    )
    assert events == [("the database was restored: it may have been posted",)] * 2
    assert place.run("verify").status == 0


def test_what_may_have_been_sent_before_the_restore_is_left_to_the_provider_that_can_be_asked(
    place: Place,
) -> None:
    place.enqueue(2)
    assert place.run("restored", "--yes").status == 0
    assert place.sql("SELECT DISTINCT account FROM atum.mail") == [("default",)]
