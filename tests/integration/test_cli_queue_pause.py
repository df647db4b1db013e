"""`queue pause` and `queue resume`, for one lane and for all, with who and why.

Weakness A15: the kill switch did not stop the queue.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from atum_schema import flow_store

if TYPE_CHECKING:
    from tests.command_line import Place


def states(place: Place) -> dict[str, tuple[str, str | None]]:
    found = place.run("queue", "status", "--format=json").json["windows"]
    return {each["lane"]: (each["state"], each["reason"]) for each in found}


def audited(place: Place) -> list[tuple[Any, ...]]:
    return place.sql(
        "SELECT actor, action, detail->>'lane', detail->>'reason' FROM atum.audit ORDER BY detail->>'lane', id"
    )


def test_without_a_lane_all_lanes_are_paused_even_those_that_no_relay_has_served(place: Place) -> None:
    """Weakness A15: nothing is posted any more, and a relay that starts later finds the lanes paused."""
    place.enqueue(3)
    place.issue(mails=2)
    answer = place.run("queue", "pause", "--reason", "moving", "--by", "ada")
    assert answer.status == 0
    assert "transactional is paused; 3 mails were taken back" in answer.out
    assert states(place) == {"broadcast": ("paused", "moving"), "transactional": ("paused", "moving")}
    assert place.issue() == []
    assert audited(place) == [
        ("operator:ada", "lane.paused", "broadcast", "moving"),
        ("operator:ada", "lane.paused", "transactional", "moving"),
    ]


def test_without_a_lane_all_lanes_are_resumed(place: Place) -> None:
    place.enqueue(1)
    place.run("queue", "pause", "--reason", "moving")
    answer = place.run("queue", "resume", "--by", "ada", "--note", "moved")
    assert answer.out == "broadcast is open\ntransactional is open\n"
    assert len(place.issue()) == 1
    assert [row for row in audited(place) if row[1] == "lane.resumed"] == [
        ("operator:ada", "lane.resumed", "broadcast", "moved"),
        ("operator:ada", "lane.resumed", "transactional", "moved"),
    ]


def test_one_lane_is_paused_and_the_other_goes_on(place: Place) -> None:
    place.enqueue(1)
    place.enqueue(1, lane="broadcast")
    place.run("queue", "pause", "--reason", "all")
    place.run("queue", "resume", "transactional")
    assert states(place) == {"broadcast": ("paused", "all"), "transactional": ("open", None)}


def test_a_pause_needs_a_reason(place: Place) -> None:
    assert place.run("queue", "pause").status == 2
    assert place.run("queue", "pause", "--reason", " ").status == 2
    assert audited(place) == []


def test_limits_that_relays_have_set_outlive_a_pause_by_somebody_with_other_settings(place: Place) -> None:
    flow_store.ensure(place.connection, lane="broadcast", account="default", ceiling=8, rate=5.0)
    before = place.sql("SELECT ceiling, rate, burst FROM atum.flow WHERE lane = 'broadcast'")
    assert place.run("queue", "pause", "--reason", "moving").status == 0
    assert place.run("queue", "resume").status == 0
    assert place.sql("SELECT ceiling, rate, burst FROM atum.flow WHERE lane = 'broadcast'") == before
