"""An order to suppress and a posting mark: whichever is first, no mark is set that does not know the order."""

from __future__ import annotations

import threading
import uuid
from typing import TYPE_CHECKING

import psycopg
import pytest

from atum_schema import suppression_orders as orders
from atum_workers import store
from tests.integration.test_suppression_delivery import suppress
from tests.nodes import eventually

if TYPE_CHECKING:
    from uuid import UUID

    from tests.command_line import Place


def test_an_order_waits_for_a_mark_that_is_being_made_and_one_that_comes_later_sees_it(place: Place) -> None:
    place.enqueue(1, to="a@example.com")
    (batch,) = place.issue()
    token = uuid.uuid4()
    assert store.claim(place.connection, batch=batch, token=token, worker="tests/1", lease_s=60)
    ordered = threading.Event()

    def order() -> None:
        suppress(place, "a@example.com")
        ordered.set()

    thread = threading.Thread(target=order)
    with place.connection.transaction():
        assert mark(place, batch, token) is not None
        thread.start()
        assert eventually(lambda: waiting_for_marks(place))
        assert not ordered.is_set()
    thread.join(60)
    assert ordered.is_set()
    assert store.release(place.connection, batch=batch, token=token, delay_s=0)
    assert store.claim(place.connection, batch=batch, token=token, worker="tests/1", lease_s=60)
    assert mark(place, batch, token) is None


def test_a_mark_that_waits_for_an_order_sees_it(place: Place) -> None:
    place.enqueue(1, to="a@example.com")
    (batch,) = place.issue()
    token = uuid.uuid4()
    assert store.claim(place.connection, batch=batch, token=token, worker="tests/1", lease_s=60)
    # As in a worker that runs for long: its statement is prepared.
    assert mark(place, uuid.uuid4(), token) is None
    marked: list[store.Marked | None] = []
    thread = threading.Thread(target=lambda: marked.append(mark(place, batch, token)))
    with psycopg.connect(place.url) as connection:
        orders.suppress(connection, "outbound", ["a@example.com"], actor="operator:tests", source="operator")
        thread.start()
        assert eventually(lambda: waiting_for_marks(place))
        assert marked == []
    thread.join(60)
    assert marked == [None]


def test_an_order_that_waits_too_long_for_others_fails_and_leaves_nothing(place: Place) -> None:
    place.enqueue(1, to="a@example.com")
    (batch,) = place.issue()
    with psycopg.connect(place.url) as other:
        other.execute("UPDATE atum.batch SET publishes = 0 WHERE id = %s", [batch])
        with psycopg.connect(place.url) as connection, pytest.raises(psycopg.errors.LockNotAvailable):
            orders.suppress(
                connection, "outbound", ["a@example.com"], actor="operator:tests", source="operator"
            )
    assert place.sql("SELECT count(*) FROM atum.suppression") == [(0,)]


def mark(place: Place, batch: UUID, token: UUID) -> store.Marked | None:
    return store.mark_posting(
        place.connection,
        batch=batch,
        token=token,
        lease_s=60,
        recipients=[("outbound", "a@example.com")],
    )


def waiting_for_marks(place: Place) -> bool:
    """Whether somebody waits for a lock on the table of batches."""
    return place.sql(
        "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'atum.batch'::regclass)"
    ) == [(True,)]
