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
    }
    assert all(0 < age < 60 for age in ages)


def test_the_table_says_the_same(place: Place) -> None:
    populate(place)
    out = place.run("queue", "status").out
    table = out.partition("Windows")[0]
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in table.splitlines() if "│" in line]
    assert [row[:-1] for row in rows] == [
        ["broadcast", "6", "0", "0", "0", "0 of 0"],
        ["transactional", "7", "4", "5", "3", "2 of 4"],
    ]
    assert all(re.fullmatch(r"\d+\.\d s", row[-1]) for row in rows)
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
