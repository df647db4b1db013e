"""`mail recall`: everything that has not gone yet is stopped, and what cannot be is told."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from atum_ops import operations
from atum_ops.mails import orders_store, recall_store, recalling
from atum_schema import database
from tests.beside import Beside
from tests.command_line import DEAD, RETRYING, SENT, UNKNOWN, Answer, Place
from tests.nodes import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from uuid import UUID

TAG: dict[str, Any] = {"tag": "newsletter"}


def recall(place: Place, *arguments: str) -> Answer:
    return place.run("mail", "recall", "--tag", "newsletter", *arguments)


def statuses(place: Place) -> dict[str, int]:
    rows = place.sql("SELECT status, count(*) FROM atum.mail WHERE tag = 'newsletter' GROUP BY 1")
    return dict(rows)


def everything(place: Place) -> None:
    """One mail of the tag in every place where a mail can be, and one without it that waits."""
    place.ended(SENT, **TAG)
    place.ended(DEAD, **TAG)
    place.ended(RETRYING, **TAG)
    place.ended(UNKNOWN, **TAG)
    place.enqueue(**TAG)
    (batch,) = place.issue()
    place.post(batch)
    place.enqueue(**TAG)
    place.issue()
    place.enqueue(**TAG)
    (held,) = place.enqueue(**TAG)
    assert place.run("mail", "hold", held).status == 0
    place.enqueue(send_at=datetime.now(UTC) + timedelta(hours=1), **TAG)
    place.enqueue(tag="other")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recalling, "_PATIENCE_S", 0.3)


def test_without_yes_it_only_counts(place: Place) -> None:
    everything(place)
    answer = recall(place, "--format=json")
    assert answer.status == 0
    assert answer.json == {
        "stopped": {"queued": 1, "sending": 1, "retrying": 1, "held": 1, "scheduled": 1},
        "posting": 1,
        "unknown": 1,
        "gone": {"sent": 1, "dead": 1},
    }
    assert "canceled" not in statuses(place)
    assert "5 mails would be stopped; repeat with --yes" in recall(place).err
    assert place.sql("SELECT 1 FROM atum.operation") == []


@pytest.mark.usefixtures("impatient")
def test_it_stops_what_has_not_gone_and_tells_what_it_could_not_stop(place: Place) -> None:
    everything(place)
    answer = recall(place, "--yes", "--by", "jane", "--note", "wrong prices", "--format=json")
    assert answer.status == 1
    assert answer.json["counts"] == {"canceled": 5, "posting": 1, "unknown": 1}
    assert statuses(place) == {"sent": 1, "dead": 1, "unknown": 1, "queued": 1, "canceled": 5}
    assert place.sql("SELECT status FROM atum.mail WHERE tag = 'other'") == [("queued",)]
    assert place.sql(
        "SELECT actor, action, detail -> 'reason' FROM atum.audit WHERE action LIKE 'mail.recall%%'"
    ) == [
        ("operator:jane", "mail.recall.began", "wrong prices"),
        ("operator:jane", "mail.recall.ended", "wrong prices"),
    ]
    assert place.run("verify").status == 0


def test_what_it_stopped_is_never_posted(place: Place) -> None:
    place.enqueue(20, **TAG)
    batches = place.issue(mails=7)
    place.enqueue(10, **TAG)
    assert recall(place, "--yes").out == "stopped: 30\n"
    assert place.issue() == []
    assert place.sql("SELECT 1 FROM atum.batch WHERE id = ANY(%(ids)s)", ids=batches) == []


@contextmanager
def answered_meanwhile(place: Place, batch: UUID, outcome: Mapping[str, Any]) -> Iterator[None]:
    """Post a batch, and let the answer come once a recall has seen that it is being posted."""
    token = place.post(batch)
    seen = "SELECT 1 FROM atum.operation WHERE jsonb_array_length(last -> 'late') > 0"

    def answer() -> None:
        if eventually(lambda: bool(place.sql(seen))):
            place.record(batch, token, outcome)

    answering = threading.Thread(target=answer)
    answering.start()
    try:
        yield
    finally:
        answering.join()


def test_a_mail_that_comes_back_from_its_post_while_it_runs_is_stopped_too(place: Place) -> None:
    place.enqueue(**TAG)
    (batch,) = place.issue()
    with answered_meanwhile(place, batch, RETRYING):
        answer = recall(place, "--yes", "--format=json")
    assert (answer.status, answer.json["counts"]) == (0, {"canceled": 1})
    assert statuses(place) == {"canceled": 1}


def test_one_that_is_accepted_while_it_runs_has_gone(place: Place) -> None:
    place.enqueue(**TAG)
    (batch,) = place.issue()
    with answered_meanwhile(place, batch, SENT):
        answer = recall(place, "--yes", "--format=json")
    assert (answer.status, answer.json["counts"]) == (0, {"gone": 1})


def test_it_needs_to_be_told_what(place: Place) -> None:
    place.enqueue()
    for arguments in ((), ("--recipient", "r0@example.net")):
        answer = place.run("mail", "recall", *arguments, "--yes")
        assert answer.status == 1
        assert "at least one of --tag, --client, --lane, --since and --until" in answer.err
    assert place.sql("SELECT status FROM atum.mail") == [("queued",)]


@pytest.mark.parametrize(
    "words",
    [
        ("--client", "tests"),
        ("--lane", "transactional"),
        ("--since", "1h"),
        ("--client", "tests", "--domain", "example.net"),
    ],
)
def test_it_takes_the_same_filters_as_everything_else(place: Place, words: tuple[str, ...]) -> None:
    place.enqueue(3)
    assert place.run("mail", "recall", *words, "--yes").out == "stopped: 3\n"


def test_mails_before_and_after_its_times_stay(place: Place) -> None:
    place.enqueue()
    answer = place.run("mail", "recall", "--until", "1h", "--yes")
    assert (answer.status, answer.out) == (0, "stopped: 0\n")


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("answered", [True, False])
def test_interrupted_it_can_be_taken_up_again_and_counts_everything_once(
    place: Place, monkeypatch: pytest.MonkeyPatch, answered: bool
) -> None:
    """B17: the counts are of what was done."""
    place.enqueue(**TAG)
    (batch,) = place.issue()
    token = place.post(batch)
    place.enqueue(24, **TAG)
    monkeypatch.setattr(recall_store, "AT_ONCE", 10)
    carried = orders_store.carry_out
    calls: list[int] = []

    def breaking(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return carried(*args, **kwargs)

    monkeypatch.setattr(orders_store, "carry_out", breaking)
    with pytest.raises(KeyboardInterrupt):
        _straight(place)
    assert statuses(place) == {"canceled": 9, "queued": 16}
    if answered:
        place.record(batch, token, RETRYING)
    ((operation,),) = place.sql("SELECT id::text FROM atum.operation")
    answer = place.run("mail", "recall", "--resume", operation, "--yes", "--format=json")
    if answered:
        assert (answer.status, answer.json["counts"]) == (0, {"canceled": 25})
    else:
        assert (answer.status, answer.json["counts"]) == (1, {"canceled": 24, "posting": 1})
    again = place.run("mail", "recall", "--resume", operation, "--yes")
    assert again.status == 1
    assert "ended at" in again.err


def _straight(place: Place) -> None:
    from atum_ops.selection import Selection

    with database.connect(place.url, name="tests") as connection:
        operation = recalling.begin(connection, Selection(tag="newsletter"), by="jane", note=None)
        assert operations.find(connection, operation.id, recalling.KIND) == operation
        recalling.carry_on(connection, operation, by="jane", told=lambda _counts: None)


def test_a_relay_at_work_beside_it_takes_nothing_that_was_stopped(place: Place) -> None:
    ids = place.enqueue(300, **TAG)
    beside = Beside(place)
    beside.start()
    try:
        answer = recall(place, "--yes", "--format=json")
        known = set(beside.posted)
    finally:
        beside.stop()
    assert answer.status == 0
    canceled = answer.json["counts"].get("canceled", 0)
    assert statuses(place) == {
        status: number for status, number in (("canceled", canceled), ("sent", len(known))) if number
    }
    assert set(beside.posted) == known
    assert len(ids) == canceled + len(known)
