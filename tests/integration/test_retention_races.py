"""A month is dropped while everybody works on: nobody waits for long, and what moves meanwhile is never lost."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from atum_schema import database, moves, retention_store
from atum_schema.moves import Move
from atum_schema.status import Cause, Status
from atum_workers import inbox_store
from tests.aging import counts, ended_in, make, month, partitions, retain
from tests.command_line import DEAD, RETRYING, SENT
from tests.nodes import eventually
from tests.telling import applying, event, tell

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from uuid import UUID

    from psycopg_pool import ConnectionPool

    from tests.command_line import Place

OLD = 8
#: What delivery may wait for a month to be dropped, on a machine that stands still for seconds now and then. Behind a
#: reader that is waited for it would be for ever.
MOMENT_S = 15.0


@pytest.fixture
def pool(place: Place) -> Iterator[ConnectionPool[Any]]:
    with database.pool(place.url, name="tests", size=8) as one:
        yield one


def replay(connection: psycopg.Connection[Any], ids: Collection[UUID]) -> int:
    """Replay dead mails, as every order does: lock what holds them, lock them, move them; give how many there were."""
    while True:
        with connection.transaction():
            found = moves.lock_with_owners(connection, ids)
            if found is None:
                continue
            dead = [mail for mail in found[1] if mail.status == Status.DEAD]
            moves.apply(
                connection, [Move(mail.mail_id, mail.status, Cause.REPLAYED, due_s=0.0) for mail in dead]
            )
            return len(dead)


def blocked(place: Place, pid: int) -> Callable[[], bool]:
    """Ask whether somebody waits for this backend."""
    statement = "SELECT pid FROM pg_stat_activity WHERE %(pid)s = ANY(pg_blocking_pids(pid))"
    return lambda: bool(place.sql(statement, pid=pid))


def statuses(place: Place, ids: Collection[UUID]) -> dict[str, int]:
    rows = place.sql(
        "SELECT status, count(*) FROM atum.mail WHERE id = ANY(%(ids)s) GROUP BY 1", ids=list(ids)
    )
    return dict(rows)


def test_a_long_reader_puts_a_month_off_and_delivery_does_not_wait_for_it(
    place: Place, pool: ConnectionPool[Any]
) -> None:
    old = make(place, month(OLD))
    ids = ended_in(place, old, SENT, 3)
    slowest = 0.0
    with psycopg.connect(place.url) as reader:
        reader.execute("SELECT count(*) FROM atum.mail").fetchall()
        with ThreadPoolExecutor(1) as threads:
            run = threads.submit(retain, place, pool, pauses_s=(0.05, 0.05))
            while not run.done():
                began = time.monotonic()
                place.ended(SENT)
                slowest = max(slowest, time.monotonic() - began)
            retained = run.result()
        assert (retained.busy, retained.months) == ([str(old)], [])
        assert counts(place, ids)["mail"] == 3
        assert slowest < MOMENT_S
    retained = retain(place, pool)
    assert (retained.busy, retained.months) == ([], [str(old)])


def test_a_worker_looks_again_soon_after_a_month_was_in_use(place: Place, pool: ConnectionPool[Any]) -> None:
    from tests import aging

    make(place, month(OLD))
    with psycopg.connect(place.url) as reader:
        reader.execute("SELECT count(*) FROM atum.event").fetchall()
        assert aging.retaining(place, pool).task(aging.begun(place, pool)) == 600.0


def test_months_are_dropped_under_load_without_an_error_and_nothing_is_lost(
    place: Place, pool: ConnectionPool[Any]
) -> None:
    months = [make(place, month(back)) for back in range(OLD, OLD + 6)]
    dead = [each for old in months for each in ended_in(place, old, DEAD, 4)]
    for old in months:
        ended_in(place, old, SENT, 20)
    stop = threading.Event()
    slowest: list[float] = []

    def work() -> int:
        made = 0
        while not stop.is_set():
            began = time.monotonic()
            place.ended(SENT, 5)
            slowest.append(time.monotonic() - began)
            made += 5
        return made

    with ThreadPoolExecutor(1) as threads:
        working = threads.submit(work)
        try:
            retained = retain(place, pool, pauses_s=(0.05,) * 200)
        finally:
            stop.set()
        sent = working.result()
    assert (retained.months, retained.busy) == (sorted(map(str, months)), [])
    assert (retained.dropped, retained.aside) == (120, 24)
    assert max(slowest) < MOMENT_S
    assert counts(place, dead)["content"] == 24
    report = place.run("verify", "--format=json").json
    assert (report["mails"], report["lost"], report["unexplained"]) == (24 + sent, 0, 0)


def test_a_mail_that_is_being_moved_puts_its_month_off_and_is_put_aside_afterwards(place: Place) -> None:
    old = make(place, month(OLD))
    ids = ended_in(place, old, DEAD, 2)
    with psycopg.connect(place.url, autocommit=True) as mover:
        with mover.transaction():
            assert replay(mover, ids) == 2
            with pytest.raises(retention_store.Busy):
                retention_store.drop(place.connection, old, staying=ids, number=2, actor="tests")
        assert retention_store.drop(place.connection, old, staying=[], number=2, actor="tests") == 2
    assert statuses(place, ids) == {"queued": 2}
    for batch in place.issue():
        place.end(batch, **SENT)
    assert statuses(place, ids) == {"sent": 2}


def test_who_comes_to_move_a_mail_while_its_month_is_dropped_moves_it_where_it_was_put(place: Place) -> None:
    old = make(place, month(OLD))
    dead = ended_in(place, old, DEAD, 3)
    gone = ended_in(place, old, SENT, 3)
    with psycopg.connect(place.url) as dropper, psycopg.connect(place.url, autocommit=True) as mover:
        dropper.execute(
            "SELECT atum.drop_month(%(month)s, %(dead)s, 1000, 1000)", {"month": old.day, "dead": dead}
        )
        with ThreadPoolExecutor(1) as threads:
            moved = threads.submit(replay, mover, [*dead, *gone])
            waited = eventually(blocked(place, dropper.info.backend_pid))
            dropper.commit()
            assert waited
            assert moved.result() == 3
    assert statuses(place, dead) == {"queued": 3}
    assert statuses(place, gone) == {}
    assert place.run("verify", "--format=json").json["lost"] == 0


def test_what_moves_after_a_month_was_looked_through_is_kept_by_its_owner(place: Place) -> None:
    old = make(place, month(OLD))
    ended = ended_in(place, old, DEAD, 2)
    with place.connection.transaction():
        found = moves.lock_with_owners(place.connection, ended)
        assert found is not None
        moves.apply(place.connection, [Move(m.mail_id, m.status, Cause.DISCARDED) for m in found[1]])
    # Looked through now, both would go. One is moved by hand before the month is locked.
    with place.connection.transaction():
        moves.lock(place.connection, ended[:1])
        moves.apply(place.connection, [Move(ended[0], "canceled", Cause.REPLAYED, due_s=0.0)])
    assert retention_store.drop(place.connection, old, staying=[], number=2, actor="tests") == 1
    assert statuses(place, ended) == {"queued": 1}


def test_dead_mails_are_replayed_while_their_months_are_dropped_and_none_is_lost(
    place: Place, pool: ConnectionPool[Any]
) -> None:
    months = [make(place, month(back)) for back in range(OLD, OLD + 4)]
    dead = [each for old in months for each in ended_in(place, old, DEAD, 30)]
    retrying = [each for old in months for each in ended_in(place, old, RETRYING, 10)]
    start = threading.Barrier(4, timeout=120)

    def move(mine: list[UUID]) -> int:
        with psycopg.connect(place.url, autocommit=True) as connection:
            start.wait()
            return sum(replay(connection, mine[at : at + 3]) for at in range(0, len(mine), 3))

    def hurry() -> None:
        with psycopg.connect(place.url, autocommit=True) as connection:
            start.wait()
            for mail_id in retrying:
                with connection.transaction():
                    found = moves.lock_with_owners(connection, [mail_id])
                    assert found is not None
                    moves.apply(connection, [Move(mail_id, found[1][0].status, Cause.HURRIED)])

    with ThreadPoolExecutor(3) as threads:
        # Two movers go over the same mails in opposite orders.
        movers = [threads.submit(move, dead), threads.submit(move, dead[::-1])]
        hurrying = threads.submit(hurry)
        start.wait()
        retained = retain(place, pool, pauses_s=(0.05,) * 400)
        moved = movers[0].result() + movers[1].result()
        hurrying.result()
    assert (retained.months, retained.busy, retained.aside) == (sorted(map(str, months)), [], 160)
    assert moved == 120
    assert statuses(place, dead) == {"queued": 120}
    assert counts(place, dead)["content"] == 120
    events = place.sql("SELECT count(*) FROM atum.event WHERE cause = 'hurried'")
    assert events == [(40,)]
    assert not {old.partition("mail") for old in months} & partitions(place)
    report = place.run("verify", "--format=json").json
    assert (report["lost"], report["unexplained"]) == (0, 0)


def test_who_holds_a_mail_that_was_put_aside_keeps_it_and_nobody_waits(
    place: Place, pool: ConnectionPool[Any]
) -> None:
    old = make(place, month(OLD))
    ids = ended_in(place, old, DEAD, 2)
    retain(place, pool)
    place.sql("UPDATE atum.mail SET status = 'canceled'")
    place.sql("DELETE FROM atum.dead_letter")
    with psycopg.connect(place.url) as holder:
        holder.execute("SELECT FROM atum.mail WHERE id = %s FOR UPDATE", (ids[0],))
        assert retain(place, pool).deleted == 1
    assert retain(place, pool).deleted == 1
    assert counts(place, ids)["event"] == 0


def test_an_event_whose_mail_goes_while_it_is_applied_finds_none_and_leaves_nothing(
    place: Place, pool: ConnectionPool[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    old = make(place, month(OLD))
    (mail_id,) = ended_in(place, old, DEAD)
    ((batch,),) = place.sql("SELECT batch_id FROM atum.attempt")
    retain(place, pool)
    place.sql("UPDATE atum.mail SET status = 'canceled'")
    place.sql("DELETE FROM atum.dead_letter")
    tell(place, event("Delivery", mail_id, batch))
    about = inbox_store.about

    def then_gone(connection: psycopg.Connection[Any], ids: Any) -> Any:
        known = about(connection, ids)
        assert retain(place, pool).deleted == 1
        return known

    monkeypatch.setattr(inbox_store, "about", then_gone)
    assert applying(place).round(place.connection) == 1
    assert place.sql("SELECT state, reason FROM atum.webhook_inbox") == [("parked", "no_such_mail")]
    assert counts(place, [mail_id])["recipient_event"] == 0
