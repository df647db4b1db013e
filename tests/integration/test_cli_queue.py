"""`queue status`: its numbers are those of the mails."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from tests.command_line import DEAD, RETRYING, SENT, UNKNOWN, Place

LATER = datetime.now(UTC) + timedelta(days=1)


def test_an_empty_queue_has_no_lanes_and_no_dead_letters(place: Place) -> None:
    assert place.run("queue", "status", "--format=json").json == {
        "lanes": [],
        "windows": [],
        "dead": 0,
        "dead_unpublished": 0,
        "rejected_jobs": {},
        "held": 0,
        "unknown": 0,
        "failures": {
            "finished": 0,
            "failed": 0,
            "dead": 0,
            "expired": 0,
            "bounced": 0,
            "rate": None,
            "rate_before": None,
            "trend": "unclear",
        },
        "last_outage": None,
    }
    assert place.run("queue", "status").out.endswith("dead letters: 0\n")


def populate(place: Place) -> None:
    """3 unknown, 2 dead, 1 sent, 2 retrying; then 5 sending in 2 batches, one of them posting; 7 due, 4 later."""
    for outcome, number in ((UNKNOWN, 3), (DEAD, 2), (SENT, 1), (RETRYING, 2)):
        place.ended(outcome, number)
    place.enqueue(5)
    first, *_ = place.issue(mails=4)
    place.post(first)
    place.enqueue(7)
    place.enqueue(2, send_at=LATER)
    place.enqueue(6, lane="broadcast")
    place.sql(
        "UPDATE atum.dead_letter SET published_at = now() WHERE mail_id = (SELECT min(mail_id::text)::uuid"
        " FROM atum.dead_letter)"
    )


def test_every_mail_is_counted_where_it_is(place: Place) -> None:
    populate(place)
    answer = place.run("queue", "status", "--format=json")
    assert answer.status == 0
    document = answer.json
    ages = [lane.pop("oldest_s") for lane in document["lanes"]]
    next_due = [lane.pop("next_due_s") for lane in document["lanes"]]
    failures = document.pop("failures")
    assert (failures["finished"], failures["failed"], failures["dead"]) == (3, 2, 2)
    (window,) = document.pop("windows")
    assert (window["lane"], window["state"], window["size"], window["in_flight"]) == (
        "transactional",
        "open",
        4,
        2,
    )
    nothing = {"due": 0, "later": 0, "sending": 0, "unknown": 0, "batches": 0, "window": 0}
    assert document == {
        "lanes": [
            nothing | {"lane": "broadcast", "due": 6},
            {
                "lane": "transactional",
                "due": 7,
                "later": 4,
                "sending": 5,
                "unknown": 3,
                "batches": 2,
                "window": 4,
            },
        ],
        "dead": 2,
        "dead_unpublished": 1,
        "rejected_jobs": {},
        "held": 0,
        "unknown": 3,
        "last_outage": None,
    }
    assert next_due[0] is None
    assert 500 < next_due[1] <= 600
    assert all(0 < age < 60 for age in ages)


def test_the_table_says_the_same(place: Place) -> None:
    populate(place)
    out = place.run("queue", "status").out
    table = out.partition("Windows")[0]
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in table.splitlines() if "│" in line]
    assert [row[:6] for row in rows] == [
        ["broadcast", "6", "0", "0", "0", "0 of 0"],
        ["transactional", "7", "4", "5", "3", "2 of 4"],
    ]
    assert all(re.fullmatch(r"\d+\.\d s", row[6]) for row in rows)
    assert [row[8] for row in rows] == ["–", "–"]
    assert rows[0][7] == "–"
    assert re.fullmatch(r"in (10\.0|9\.\d) min", rows[1][7])
    assert "held: 0, unknown: 3\n" in out
    assert out.endswith("dead letters: 2 (1 not in mail.dead yet)\n")


def test_the_oldest_is_the_one_that_has_been_due_longest_wherever_it_is(place: Place) -> None:
    place.enqueue(2)
    place.sql(
        "UPDATE atum.ready SET due_at = now() - interval '90 minutes'"
        " WHERE mail_id = (SELECT min(mail_id::text)::uuid FROM atum.ready)"
    )
    (lane,) = place.run("queue", "status", "--format=json").json["lanes"]
    assert 5400 <= lane["oldest_s"] < 5460
    assert "1.5 h" in place.run("queue", "status").out
    place.issue()
    place.sql("UPDATE atum.batch SET issued_at = now() - interval '3 days'")
    assert "3.0 d" in place.run("queue", "status").out


def test_mail_that_is_not_due_yet_has_no_age(place: Place) -> None:
    place.enqueue(1, send_at=LATER)
    (lane,) = place.run("queue", "status", "--format=json").json["lanes"]
    assert (lane["later"], lane["oldest_s"]) == (1, 0)


def test_a_lane_that_is_paused_says_why_in_a_table_that_fits_120_columns(place: Place) -> None:
    populate(place)
    assert place.run("queue", "pause", "transactional", "--reason", "wrong prices").status == 0
    place.environment["COLUMNS"] = "120"
    out = place.run("queue", "status").out
    assert max(map(len, out.splitlines())) <= 120
    assert any("transactional" in line and "wrong prices" in line for line in out.splitlines())


def test_the_failure_rate_of_a_day_is_shown_beside_that_of_the_day_before(place: Place) -> None:
    """Weakness C17: all windows are of the database's own clock, in UTC."""
    for age, dead in (("1 hour", 20), ("30 hours", 5)):
        place.sql(
            "INSERT INTO atum.transition (at, lane, cause, from_status, to_status, reason, code, http_status, number)"
            " SELECT now() - %(age)s::interval, 'a', 'provider_accepted', 'queued', s, '', 0, 200, n"
            " FROM (VALUES ('sent', 100 - %(dead)s::int), ('dead', %(dead)s::int)) v(s, n)",
            age=age,
            dead=dead,
        )
    failures = place.run("queue", "status", "--format=json").json["failures"]
    assert (failures["rate"], failures["rate_before"], failures["trend"]) == (0.2, 0.05, "rising")
    assert (
        "failures in 24 h: 20.00% (20 of 100); rising, 5.00% the day before"
        in place.run("queue", "status").out
    )


def test_the_last_outage_of_any_lane_is_shown(place: Place) -> None:
    place.enqueue(1)
    place.issue()
    place.sql("UPDATE atum.flow SET outage_at = '2026-11-01T12:00Z', outage_end = '2026-11-01T12:30Z'")
    outage = place.run("queue", "status", "--format=json").json["last_outage"]
    assert outage["lane"] == "transactional"
    assert [datetime.fromisoformat(outage[each]) for each in ("began", "ended")] == [
        datetime(2026, 11, 1, 12, tzinfo=UTC),
        datetime(2026, 11, 1, 12, 30, tzinfo=UTC),
    ]


def test_mails_that_wait_for_a_person_are_counted(place: Place) -> None:
    place.sql("INSERT INTO atum.held (mail_id) SELECT gen_random_uuid() FROM generate_series(1, 3)")
    assert place.run("queue", "status", "--format=json").json["held"] == 3


def test_in_a_narrow_terminal_lanes_are_not_broken(place: Place) -> None:
    place.enqueue(1)
    place.issue(mails=1)
    place.environment["COLUMNS"] = "80"
    lines = place.run("queue", "status").out.splitlines()
    assert max(map(len, lines)) <= 80
    assert len([line for line in lines if line.startswith("│ transactional ")]) == 2
