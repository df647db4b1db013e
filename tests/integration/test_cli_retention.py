"""`retention status` and `retention run`: settings against reality, and what is dropped by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg

from atum_schema import maintenance
from tests.aging import counts, days_since, ended_in, make, month
from tests.command_line import DEAD, SENT

if TYPE_CHECKING:
    from tests.command_line import Place

OLD = 8


def test_a_young_system_needs_no_attention(place: Place) -> None:
    place.ended(SENT)
    answer = place.run("retention", "status")
    assert answer.status == 0, answer.out
    assert "90 days, by month" in answer.out
    assert "none after acceptance" in answer.out
    assert "last run: never" in answer.out
    document = place.run("retention", "status", "--format=json").json
    assert document["settings"] == {"retention_days": 90, "content_retention_days": 30, "privacy": "metadata"}
    assert (document["attention"], document["next_run"]["months"]) == ([], [])


def test_what_is_overdue_is_shown_with_what_would_be_dropped_and_what_would_stay(place: Place) -> None:
    old = make(place, month(OLD))
    ended_in(place, old, SENT, 5)
    ended_in(place, old, DEAD, 2)
    place.sql("ANALYZE atum.mail")
    answer = place.run("retention", "status")
    assert answer.status == 1
    assert f"attention: {old} should have been dropped" in answer.out
    document = place.run("retention", "status", "--format=json").json
    ((due),) = document["next_run"]["months"]
    assert (due["month"], due["mails"], due["dropped_whole"]) == (str(old), 7, True)
    assert due["put_aside"] == {"dead": 2, "held": 0, "unknown": 0, "waiting": 0, "sending": 0}
    assert due["bytes"] > 8192
    assert document["oldest_month"] == str(old)
    assert "2 dead" in answer.out


def test_every_table_fits_a_terminal(place: Place) -> None:
    old = make(place, month(OLD))
    ended_in(place, old, DEAD, 2)
    place.environment["COLUMNS"] = "120"
    assert max(map(len, place.run("retention", "status").out.splitlines())) <= 120


def test_missing_partitions_need_attention(place: Place) -> None:
    place.connection.execute(f"DROP TABLE atum.{month(-1).partition('attempt')}".encode())
    answer = place.run("retention", "status", "--format=json")
    assert answer.status == 1
    assert answer.json["missing_partitions"] == [month(-1).partition("attempt")]


def test_content_of_a_sent_mail_that_is_too_old_needs_attention(place: Place) -> None:
    place.environment["ATUM_PRIVACY"] = "full"
    (kept,) = place.enqueue()
    for batch in place.issue():
        place.end(batch, **SENT)
    place.sql("INSERT INTO atum.content (mail_id, key_id, body) VALUES (%(id)s, 'test', 'x')", id=kept)
    answer = place.run("retention", "status", "--format=json")
    assert answer.status == 0
    assert answer.json["oldest_content_of_a_sent_mail"] is not None
    place.environment["ATUM_PRIVACY"] = "metadata"
    place.sql("UPDATE atum.mail SET finished_at = now() - interval '2 days'")
    answer = place.run("retention", "status")
    assert (answer.status, "1 contents" in answer.out) == (1, True)


def test_a_run_does_nothing_unless_it_is_meant(place: Place) -> None:
    old = make(place, month(OLD))
    ids = ended_in(place, old, SENT, 3)
    answer = place.run("retention", "run")
    assert (answer.status, "nothing was done" in answer.out) == (0, True)
    assert place.run("retention", "run", "--format=json").json["months"][0]["month"] == str(old)
    assert counts(place, ids)["mail"] == 3
    assert place.sql("SELECT count(*) FROM atum.audit") == [(0,)]


def test_a_run_drops_says_real_numbers_and_is_in_the_audit_log_with_who_and_why(place: Place) -> None:
    old = make(place, month(OLD))
    gone = ended_in(place, old, SENT, 3)
    kept = ended_in(place, old, DEAD, 2)
    answer = place.run("retention", "run", "--yes", "--by", "kim", "--note", "disk", "--format=json")
    assert answer.status == 0, answer.err
    assert (answer.json["months"], answer.json["dropped"], answer.json["aside"]) == ([str(old)], 3, 2)
    assert (counts(place, gone)["mail"], counts(place, kept)["mail"]) == (0, 2)
    audited = place.sql("SELECT actor, action, detail FROM atum.audit ORDER BY id")
    assert [(actor, action) for actor, action, _ in audited] == [
        ("operator:kim", "retention.run.began"),
        ("operator:kim", "retention.month_dropped"),
        ("operator:kim", "retention.run.ended"),
    ]
    assert (audited[0][2]["reason"], audited[2][2]["counts"]["dropped"]) == ("disk", 3)
    again = place.run("retention", "run", "--yes")
    assert "0 mails went with their months" in again.out
    assert place.run("retention", "status").status == 0


def test_a_month_that_somebody_reads_is_left_for_later_and_said(place: Place) -> None:
    old = make(place, month(OLD))
    with psycopg.connect(place.url) as reader:
        reader.execute("SELECT count(*) FROM atum.mail").fetchall()
        answer = place.run("retention", "run", "--yes")
    assert (answer.status, f"{old} is in use" in answer.err) == (1, True)
    assert place.run("retention", "run", "--yes").status == 0


def test_a_run_while_a_worker_is_at_it_is_refused(place: Place) -> None:
    ((task,),) = place.sql("SELECT id FROM atum.maintenance WHERE name = 'retain'")
    assert maintenance.begin(place.connection, task) is not None
    answer = place.run("retention", "run", "--yes")
    assert (answer.status, "a worker is at it" in answer.err) == (1, True)


def test_a_shell_without_the_workers_privacy_mode_deletes_no_content(place: Place) -> None:
    place.environment["ATUM_PRIVACY"] = "full"
    assert place.run("retention", "run", "--yes").status == 0
    (kept,) = place.ended(SENT)
    place.sql("INSERT INTO atum.content (mail_id, key_id, body) VALUES (%(id)s, 'test', 'x')", id=kept)
    del place.environment["ATUM_PRIVACY"]
    answer = place.run("retention", "run", "--yes")
    assert (answer.status, "ATUM_PRIVACY" in answer.err) == (1, True)
    assert counts(place, [kept])["content"] == 1
    assert place.run("retention", "status").status == 1


def test_what_is_set_in_the_database_is_what_counts(place: Place) -> None:
    old = make(place, month(OLD))
    place.environment["ATUM_RETENTION_DAYS"] = str(int(days_since(old)) + 60)
    assert place.run("retention", "status").status == 0
    place.sql("INSERT INTO atum.setting (name, value, version) VALUES ('retention_days', '30', 1)")
    assert place.run("retention", "status").status == 1


def test_nothing_is_dropped_by_a_setting_that_somebody_stored_by_hand_and_is_not_valid(place: Place) -> None:
    old = make(place, month(OLD))
    gone = ended_in(place, old, SENT, 2)
    place.sql("INSERT INTO atum.setting (name, value, version) VALUES ('retention_days', 'ten years', 1)")
    answer = place.run("retention", "run", "--yes")
    assert (answer.status, answer.err.strip().count("\n")) == (1, 0), answer.err
    assert "ATUM_RETENTION_DAYS" in answer.err
    assert counts(place, gone)["mail"] == 2
    # Looking is no deed: it goes by what can be used.
    assert place.run("retention", "status", "--format=json").json["settings"]["retention_days"] == 90
