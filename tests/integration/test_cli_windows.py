"""`queue status` about windows, `queue pause` and `queue resume`."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest

from atum_schema import database, flow_store
from atum_workers import store
from tests.nodes import eventually

if TYPE_CHECKING:
    from typing import Any

    from tests.command_line import Answer, Place

LANE = "transactional"


def window(place: Place) -> dict[str, Any]:
    (found,) = place.run("queue", "status", "--format=json").json["windows"]
    assert isinstance(found, dict)
    return found


def change(place: Place, **values: Any) -> None:
    with database.connect(place.url, name="tests") as connection:
        flow_store.change(connection, lambda row: row.window._replace(**values), lane=LANE, account="default")


def narrow(place: Place, *arguments: str) -> Answer:
    place.environment["COLUMNS"] = "100"
    return place.run(*arguments)


def test_an_open_lane_shows_its_window_and_how_long_it_will_take(place: Place) -> None:
    place.enqueue(40)
    place.issue(mails=10, window=3)
    assert eventually(lambda: window(place)["in_flight"] == 3)
    found = window(place)
    assert (found["state"], found["size"], found["ceiling"], found["rate"]) == ("open", 3, 3, None)
    assert (found["reason"], found["remedy"], found["drain_s"], found["next_probe_s"]) == (None,) * 4
    with database.connect(place.url, name="tests") as connection:
        (row,) = flow_store.read(connection)
    change(place, sent_rate=4.0, counted_at=row.now, rate=20.0)
    found = window(place)
    assert 9 < found["drain_s"] < 30
    assert found["rate"] == 20
    assert "20/s" in narrow(place, "queue", "status").out


@pytest.mark.parametrize(
    ("state", "reason", "words"),
    [
        ("paused", "token_refused", "set a valid ATUM_POSTMARK_TOKEN and restart the workers"),
        ("closed", "outage", "asked again by itself"),
    ],
)
def test_a_lane_that_stopped_says_why_since_when_what_mends_it_and_when_it_tries_again(
    place: Place, state: str, reason: str, words: str
) -> None:
    place.enqueue(1)
    place.issue()
    with database.connect(place.url, name="tests") as connection:
        (row,) = flow_store.read(connection)
    change(
        place,
        size=0,
        state=state,
        reason=reason,
        since=row.now,
        probe_at=row.now + 600,
        outage_at=1_790_000_000.0,
    )
    found = window(place)
    assert (found["state"], found["reason"], found["drain_s"]) == (state, reason, None)
    assert words in found["remedy"]
    assert 500 < found["next_probe_s"] <= 600
    assert found["outage_at"].startswith("2026-09-21T")
    out = narrow(place, "queue", "status").out
    assert f"{LANE} is {state} since " in out
    assert words in out
    assert f"atum-mailer queue resume {LANE}" in out
    assert max(map(len, out.splitlines())) <= 100
    assert "…" not in out


def test_silence_that_the_provider_asked_for_is_shown(place: Place) -> None:
    place.enqueue(1)
    place.issue()
    with database.connect(place.url, name="tests") as connection:
        (row,) = flow_store.read(connection)
    change(place, not_before=row.now + 90)
    assert 80 < window(place)["silent_s"] <= 90
    assert f"{LANE} is silent for 1." in place.run("queue", "status").out


def test_a_pause_takes_back_what_is_not_posted_and_says_who_and_why(place: Place) -> None:
    place.enqueue(9)
    first, *_ = place.issue(mails=3)
    place.post(first)
    answer = place.run("queue", "pause", LANE, "--reason", "wrong prices", "--by", "kim")
    assert answer.out == f"{LANE} is paused; 6 mails were taken back from batches that were not posted yet\n"
    found = window(place)
    assert (found["state"], found["reason"], found["paused_by"]) == ("paused", "wrong prices", "kim")
    assert found["remedy"] == f"paused by kim; to end it: atum-mailer queue resume {LANE}"
    assert place.sql("SELECT state, cardinality(mail_ids) FROM atum.batch") == [("posting", 3)]
    assert place.sql("SELECT count(*) FROM atum.ready") == [(6,)]
    causes = place.sql(
        "SELECT cause, detail, count(*) FROM atum.event WHERE cause <> 'accepted' GROUP BY 1, 2"
    )
    assert causes == [("reissued", "lane paused by kim", 6)]
    assert place.issue() == []
    assert place.run("verify").status == 0
    assert place.run("queue", "resume", LANE).out == f"{LANE} is open\n"
    # One batch is still in flight, and the window starts with one.
    assert place.issue() == []


def test_a_claimed_batch_of_a_paused_lane_is_not_posted(place: Place) -> None:
    place.enqueue(3)
    (batch,) = place.issue()
    token = uuid.uuid4()
    with database.connect(place.url, name="worker") as worker:
        assert store.claim(worker, batch=batch, token=token, worker="w", lease_s=60)
        place.run("queue", "pause", LANE, "--reason", "x")
        assert store.mark_posting(worker, batch=batch, token=token, lease_s=60) is None
    assert place.sql("SELECT count(*) FROM atum.ready") == [(3,)]


def test_who_pauses_is_the_user_of_the_system_unless_said(place: Place) -> None:
    place.enqueue(1)
    place.issue()
    place.environment["LOGNAME"] = "robin"
    place.run("queue", "pause", LANE, "--reason", "x")
    assert window(place)["paused_by"] == "robin"


def test_resuming_a_lane_that_stopped_by_itself_lets_it_try_at_once(place: Place) -> None:
    place.enqueue(1)
    place.issue()
    change(place, size=0, state="paused", reason="token_refused", probe_at=4_000_000_000.0)
    out = place.run("queue", "resume", LANE).out
    assert out.startswith(
        f"{LANE} is paused (token_refused) and tries one mail now; if it does not open: set a"
    )
    assert window(place)["next_probe_s"] == 0


@pytest.mark.parametrize("command", [["pause", "news", "--reason", "x"], ["resume", "news"]], ids=" ".join)
def test_a_lane_that_does_not_exist_is_refused_with_those_that_do(place: Place, command: list[str]) -> None:
    answer = place.run("queue", *command)
    assert answer.status == 1
    assert "no relay has served a lane 'news'; there are: none" in answer.err
    place.enqueue(1)
    place.issue()
    assert f"there are: {LANE}" in place.run("queue", *command).err


@pytest.mark.parametrize("reason", ["", "  ", "x" * 201])
def test_a_pause_needs_a_reason_in_a_few_words(place: Place, reason: str) -> None:
    answer = place.run("queue", "pause", LANE, "--reason", reason)
    assert answer.status == 2
    assert "must be 1 to 200 characters" in answer.err
