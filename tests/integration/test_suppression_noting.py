"""Words about addresses in Postgres: the same state whatever their order; and comparing lists with the provider."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from atum_schema import suppression
from atum_schema import suppression_orders as orders
from atum_schema.script import run
from atum_schema.suppression import MARGIN, Entry, Synced, Word, latest
from tests.unit.test_suppression import DAY, WORDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.command_line import Place

NOW = datetime.now(UTC)
_LAW = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


def note(place: Place, words: Sequence[Word]) -> int:
    with place.connection.transaction():
        return run(place.connection, suppression.noting(words))


def sync(place: Place, *entries: Entry, asked_at: datetime = NOW) -> Synced:
    with place.connection.transaction():
        return run(place.connection, suppression.syncing("outbound", entries, asked_at))


def state(
    place: Place, address: str = "jane@example.com", stream: str = "outbound"
) -> tuple[bool, str, str | None]:
    (known,) = orders.know(place.connection, stream, [address])
    return known.suppressed, known.reason, known.pending


def order(place: Place, address: str = "jane@example.com") -> None:
    with place.connection.transaction():
        orders.suppress(place.connection, "outbound", [address], actor="operator:tests", source="operator")


def lift(place: Place, address: str = "jane@example.com") -> orders.Answer:
    with place.connection.transaction():
        (answer,) = orders.lift(place.connection, "outbound", [address], actor="operator:tests").values()
    return answer


def word(
    at: datetime, *, suppressed: bool = True, reason: str = "hard_bounce", address: str = "jane@example.com"
) -> Word:
    return Word("outbound", address, suppressed, reason, "recipient", "webhook", at)


def entry(
    address: str = "jane@example.com", *, reason: str = "hard_bounce", age: timedelta = timedelta(days=1)
) -> Entry:
    return Entry(address, reason, "recipient", NOW - age)


def test_the_state_is_that_of_the_pure_law_in_whatever_order_and_groups_words_come(place: Place) -> None:
    numbers = count()

    @_LAW
    @given(st.lists(st.lists(WORDS, min_size=1, max_size=4), min_size=1, max_size=4))
    def law(groups: list[list[Word]]) -> None:
        number = next(numbers)
        ours = [[each._replace(address=f"{number}-{each.address}") for each in group] for group in groups]
        for group in ours:
            note(place, group)
        expected = latest([each for group in ours for each in group])
        rows = place.connection.execute(
            "SELECT stream, address, suppressed, reason, origin, source, changed_at FROM atum.suppression"
            ' WHERE address LIKE %s ORDER BY stream COLLATE "C", address COLLATE "C"',
            [f"{number}-%"],
        ).fetchall()
        assert [Word(*row) for row in rows] == expected

    law()


def test_what_is_told_twice_changes_nothing_the_second_time(place: Place) -> None:
    assert note(place, [word(DAY), word(DAY)]) == 1
    assert note(place, [word(DAY)]) == 0
    assert note(place, []) == 0


def test_what_the_provider_lists_is_suppressed_and_what_it_lists_no_more_is_lifted(place: Place) -> None:
    assert sync(place, entry(), entry("Joe@Example.com", reason="manual")) == Synced(noted=2, lifted=0)
    assert sync(place, entry()) == Synced(noted=0, lifted=1)
    assert state(place) == (True, "hard_bounce", None)
    assert state(place, "joe@example.com")[0] is False


def test_what_is_younger_than_the_margin_is_not_lifted_because_the_list_may_be_late(place: Place) -> None:
    note(place, [word(NOW - MARGIN + timedelta(seconds=1))])
    assert sync(place) == Synced(noted=0, lifted=0)
    assert state(place)[0] is True
    assert sync(place, asked_at=NOW + timedelta(seconds=2)) == Synced(noted=0, lifted=1)


def test_a_complaint_stays_whatever_the_list_says(place: Place) -> None:
    note(place, [word(NOW - timedelta(days=9), reason="complaint")])
    assert sync(place) == Synced(noted=0, lifted=0)
    note(place, [word(NOW, suppressed=False)])
    assert state(place) == (True, "complaint", None)


def test_a_list_that_was_lifted_from_before_a_later_word_does_not_lift_it(place: Place) -> None:
    sync(place, entry())
    note(place, [word(NOW - timedelta(minutes=1))])
    assert sync(place) == Synced(noted=0, lifted=0)


def test_an_order_that_the_provider_was_not_told_yet_is_no_absence(place: Place) -> None:
    order(place)
    assert sync(place, asked_at=NOW + timedelta(days=1)) == Synced(noted=0, lifted=0)
    assert state(place) == (True, "manual", "add")


def test_an_order_to_lift_is_not_overtaken_by_the_list(place: Place) -> None:
    sync(place, entry())
    lift(place)
    assert sync(place) == Synced(noted=0, lifted=0)
    assert state(place) == (True, "hard_bounce", "remove")


def test_an_order_that_the_provider_has_refused_is_not_lifted_by_its_list(place: Place) -> None:
    order(place)
    place.sql("UPDATE atum.suppression SET pending = NULL, due_at = NULL, tries = 1")
    assert sync(place, asked_at=NOW + timedelta(days=1)) == Synced(noted=0, lifted=0)
    assert state(place) == (True, "manual", None)


def test_an_order_to_suppress_is_the_latest_word_whatever_came_before(place: Place) -> None:
    note(place, [word(NOW + timedelta(days=1), suppressed=False)])
    order(place)
    note(place, [word(NOW + timedelta(days=2), suppressed=False)])
    assert state(place) == (True, "manual", "add")


def test_the_providers_own_later_word_makes_telling_it_needless(place: Place) -> None:
    order(place)
    note(place, [word(datetime.now(UTC) + timedelta(minutes=1))])
    assert state(place) == (True, "hard_bounce", None)


def test_an_order_to_lift_leaves_it_suppressed_and_outlives_older_words(place: Place) -> None:
    note(place, [word(NOW - timedelta(days=2))])
    assert lift(place) is orders.Answer.LIFTING
    assert state(place) == (True, "hard_bounce", "remove")
    note(place, [word(NOW - timedelta(days=1), reason="manual")])
    assert state(place) == (True, "manual", "remove")
    note(place, [word(datetime.now(UTC) + timedelta(minutes=1))])
    assert state(place) == (True, "hard_bounce", None)


def test_an_order_to_suppress_takes_back_one_to_lift(place: Place) -> None:
    order(place)
    lift(place)
    order(place)
    assert state(place) == (True, "manual", "add")


def test_a_complaint_is_not_lifted_by_order_and_needs_none(place: Place) -> None:
    note(place, [word(NOW, reason="complaint")])
    assert lift(place) is orders.Answer.COMPLAINT
    order(place)
    assert state(place) == (True, "complaint", None)
    assert place.sql("SELECT count(*) FROM atum.audit") == [(0,)]


def test_there_is_nothing_to_lift_where_nothing_is_suppressed(place: Place) -> None:
    assert lift(place) is orders.Answer.NOT_SUPPRESSED
    note(place, [word(NOW, suppressed=False)])
    assert lift(place) is orders.Answer.NOT_SUPPRESSED


def test_orders_are_recorded_with_who_gave_them(place: Place) -> None:
    order(place, "Jane@Example.com")
    lift(place)
    about = {"stream": "outbound", "address": "jane@example.com"}
    assert place.sql("SELECT actor, action, detail FROM atum.audit ORDER BY id") == [
        ("operator:tests", "suppression.add", about),
        ("operator:tests", "suppression.remove", about),
    ]
