"""Orders on many mails: kept as they go, taken up again, and audited at both ends."""

from __future__ import annotations

import uuid

import pytest

from atum_ops import operations
from atum_ops.selection import MATCHES, Selection
from atum_schema import audit
from atum_schema.errors import AtumError
from tests.command_line import DEAD, SENT, Place


def test_an_order_that_was_interrupted_is_taken_up_where_it_was(place: Place) -> None:
    begun = operations.begin(
        place.connection,
        "dead.replay",
        actor="operator:eva",
        reason="outage is over",
        selection={"lane": "x"},
    )
    with place.connection.transaction():
        operations.advance(place.connection, begun.id, last={"mail": "a"}, counts={"replayed": 3})
    found = operations.find(place.connection, begun.id, "dead.replay")
    assert (found.last, found.counts, found.selection) == ({"mail": "a"}, {"replayed": 3}, {"lane": "x"})


def test_an_order_tells_the_audit_log_who_what_how_many_and_why(place: Place) -> None:
    begun = operations.begin(
        place.connection,
        "dead.replay",
        actor="operator:eva",
        reason="outage is over",
        selection={"lane": "x"},
    )
    operations.end(place.connection, begun.id, actor="operator:eva", counts={"replayed": 3})
    operations.end(place.connection, begun.id, actor="operator:eva", counts={"replayed": 3})
    told = place.sql("SELECT actor, action, detail FROM atum.audit ORDER BY id")
    assert [row[:2] for row in told] == [
        ("operator:eva", "dead.replay.began"),
        ("operator:eva", "dead.replay.ended"),
    ]
    assert told[1][2] == {
        "operation": str(begun.id),
        "reason": "outage is over",
        "selection": {"lane": "x"},
        "counts": {"replayed": 3},
    }


def test_an_order_that_has_ended_is_not_taken_up_again(place: Place) -> None:
    begun = operations.begin(place.connection, "dead.replay", actor="o", reason=None, selection={})
    operations.end(place.connection, begun.id, actor="o", counts={})
    with pytest.raises(AtumError, match="ended at"):
        operations.find(place.connection, begun.id, "dead.replay")
    with pytest.raises(AtumError, match="ended by somebody else"):
        operations.advance(place.connection, begun.id, last={}, counts={})


def test_an_order_of_another_kind_is_not_found(place: Place) -> None:
    begun = operations.begin(place.connection, "dead.replay", actor="o", reason=None, selection={})
    with pytest.raises(AtumError, match="no operation"):
        operations.find(place.connection, begun.id, "mail.recall")
    with pytest.raises(AtumError, match="no operation"):
        operations.find(place.connection, uuid.uuid4(), "dead.replay")


def test_nothing_of_a_transaction_that_fails_is_in_the_audit_log(place: Place) -> None:
    def record_and_fail() -> None:
        with place.connection.transaction():
            audit.record(place.connection, "operator:eva", "mail.canceled", {"mail": "a"})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        record_and_fail()
    assert place.sql("SELECT * FROM atum.audit") == []


def matching(place: Place, selection: Selection) -> set[str]:
    """Give the subjects of the mails that a selection means."""
    statement = f"SELECT m.subject FROM atum.mail m WHERE {MATCHES} AND m.id >= %(first)s AND m.id < %(last)s"  # noqa: S608
    return {subject for (subject,) in place.connection.execute(statement, selection.values())}


def test_every_filter_means_the_mails_that_people_expect(place: Place) -> None:
    place.ended(DEAD, subject="dead one", to="Jane Doe <Jane@Example.org>", tag="invoice")
    place.ended(
        SENT,
        subject="sent one",
        to="joe@sub.example.org",
        cc="jane@example.net",
        stream="broadcast",
        lane="transactional",
    )
    place.enqueue(subject="flying one", to="max@example.com")
    place.issue()
    place.enqueue(subject="waiting one", to="eve@example.com")
    expectations: list[tuple[dict[str, object], set[str]]] = [
        ({}, {"dead one", "sent one", "flying one", "waiting one"}),
        ({"statuses": ("dead",)}, {"dead one"}),
        ({"statuses": ("failed",)}, {"dead one"}),
        ({"statuses": ("sending",)}, {"flying one"}),
        ({"statuses": ("queued",)}, {"waiting one"}),
        ({"statuses": ("queued", "sent")}, {"waiting one", "sent one"}),
        ({"tag": "invoice"}, {"dead one"}),
        ({"stream": "broadcast"}, {"sent one"}),
        ({"client": "tests", "lane": "transactional"}, {"dead one", "sent one", "flying one", "waiting one"}),
        ({"lane": "broadcast"}, set()),
        ({"client": "nobody"}, set()),
        ({"reason": "invalid"}, {"dead one"}),
        ({"recipient": "JANE@example.org"}, {"dead one"}),
        ({"recipient": "jane@example.net"}, {"sent one"}),
        ({"recipient": "ane@example.net"}, set()),
        ({"domain": "example.org"}, {"dead one"}),
        ({"domain": "sub.example.org"}, {"sent one"}),
        ({"search": "FLYING"}, {"flying one"}),
        ({"search": "jane@"}, {"dead one", "sent one"}),
        ({"search": "pm_300"}, {"dead one"}),
        ({"search": "http_2"}, {"dead one", "sent one"}),
        ({"search": "pm_406"}, set()),
    ]
    found = [(filters, matching(place, Selection(**filters))) for filters, _ in expectations]  # type: ignore[arg-type]
    assert found == expectations
