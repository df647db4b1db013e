"""`report`: what happened, from counted transitions and a bounded sample, never from a walk over the log."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atum_ops import reporting
from atum_ops.failing import Counts
from atum_ops.transitions_store import Slot
from tests.command_line import DEAD, RETRYING, SENT

if TYPE_CHECKING:
    from tests.command_line import Place


def populate(place: Place) -> None:
    for outcome, number in ((SENT, 10), (DEAD, 3), (RETRYING, 2)):
        place.ended(outcome, number)


def test_failures_reasons_lanes_and_dead_letters_are_told(place: Place) -> None:
    populate(place)
    answer = place.run("report", "--since", "24h", "--format=json")
    assert answer.status == 0
    made = answer.json
    assert (made["total"]["finished"], made["total"]["failed"], made["total"]["dead"]) == (13, 3, 3)
    assert (made["unit"], len(made["slots"])) == ("hour", 25)
    assert made["reasons"] == [
        {"to_status": "dead", "reason": "invalid", "http_status": 200, "code": 300, "mails": 3},
        {"to_status": "retrying", "reason": "rate_limited", "http_status": 429, "code": 0, "mails": 2},
    ]
    (lane,) = made["lanes"]
    assert (lane["lane"], lane["finished"], lane["sent"], lane["failed"], lane["sample"]) == (
        "transactional",
        13,
        10,
        3,
        10,
    )
    assert 0 <= lane["p50_s"] <= lane["p95_s"] < 60
    assert (made["dead_letters"]["fresh"], made["dead_letters"]["kept"]) == (3, 3)


def test_the_slowest_lane_comes_first(place: Place) -> None:
    place.ended(SENT, 5)
    place.sql("UPDATE atum.mail SET finished_at = accepted_at + interval '3 s'")
    place.enqueue(4, lane="broadcast")
    for batch in place.issue(lane="broadcast"):
        place.end(batch, **SENT)
    place.sql(
        "UPDATE atum.mail SET finished_at = accepted_at + interval '90 minutes' WHERE lane = 'broadcast'"
    )
    lanes = place.run("report", "--format=json").json["lanes"]
    assert [(lane["lane"], lane["p95_s"]) for lane in lanes] == [
        ("broadcast", 5400.0),
        ("transactional", 3.0),
    ]
    assert "1.5 h" in place.run("report").out


def test_a_mail_for_later_waits_from_the_time_that_was_asked_for(place: Place) -> None:
    place.ended(SENT, 1)
    place.sql(
        "UPDATE atum.mail SET accepted_at = now() - interval '1 day', send_at = now() - interval '4 s',"
        " finished_at = now()"
    )
    (lane,) = place.run("report", "--format=json").json["lanes"]
    assert 3.9 < lane["p50_s"] < 4.1


def test_the_table_fits_120_columns_and_has_a_bar_for_each_hour(place: Place) -> None:
    populate(place)
    place.environment["COLUMNS"] = "120"
    out = place.run("report", "--since", "3h").out
    assert max(map(len, out.splitlines())) <= 120
    assert out.count("█" * 16) == 1
    assert "3 of 13 failed (too few for a rate)" in out
    assert "dead letters: 3 new, 3 in all" in out


def test_csv_has_the_failures_over_time(place: Place) -> None:
    populate(place)
    lines = place.run("report", "--since", "7d", "--format=csv").out.splitlines()
    assert lines[0] == "from (UTC),finished,failed,dead,expired,bounced,rate"
    assert len(lines) == 1 + 8
    # Of two days, where midnight came between.
    days = [list(map(int, line.split(",")[1:4])) for line in lines[1:]]
    assert [sum(numbers) for numbers in zip(*days, strict=True)] == [13, 3, 3]


def test_an_empty_log_is_reported_too(place: Place) -> None:
    answer = place.run("report")
    assert (answer.status, "0 of 0 failed" in answer.out) == (0, True)


@pytest.mark.parametrize("wrong", ["0", "-1d", "yesterday"])
def test_a_span_that_cannot_be_read_is_wrong_usage(place: Place, wrong: str) -> None:
    assert place.run("report", "--since", wrong).status == 2


moments = st.datetimes(datetime(2025, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@settings(deadline=None)
@given(moments, st.integers(1, 40 * 24), st.sampled_from(["hour", "day"]))
def test_no_hour_or_day_is_left_out_and_none_is_lost(until: datetime, hours: int, unit: str) -> None:
    since = until - timedelta(hours=hours)
    last = until.replace(minute=0, second=0, microsecond=0)
    last = last.replace(hour=0) if unit == "day" else last
    slots = reporting.filled([Slot(last, Counts(finished=7))], since, until, unit)
    step = timedelta(hours=1) if unit == "hour" else timedelta(days=1)
    assert all(later.at - earlier.at == step for earlier, later in pairwise(slots))
    assert slots[0].at <= since
    assert slots[-1] == Slot(last, Counts(finished=7))


@settings(deadline=None)
@given(moments, st.integers(1, 400))
def test_the_sample_covers_the_span_without_a_gap(until: datetime, days: int) -> None:
    parts = reporting.parts(until - timedelta(days=days), until)
    assert all(first < last for first, last in parts)
    assert all(earlier[1] == later[0] for earlier, later in pairwise(parts))


def test_a_code_of_the_provider_is_shown_as_it_is_searched_for(place: Place) -> None:
    place.ended({**DEAD, "code": 9876})
    out = place.run("report").out
    assert "│ 9876 " in out
    assert "9,876" not in out
