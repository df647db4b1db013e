"""What the relay issues, under the lock of a window's row."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from atum_producers import relay_store
from atum_schema import database, flow, flow_store
from atum_schema.flow import Policy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from atum_producers.relay_store import Issued, Look
    from atum_schema.database import Connection
    from atum_schema.flow import Window
    from atum_schema.flow_store import Flow
    from tests.command_line import Place

LANE = "transactional"
ALWAYS = datetime(2000, 1, 1, tzinfo=UTC)
POLICY = Policy(probe_s=60.0)


@pytest.fixture
def connection(place: Place) -> Iterator[Connection]:
    with database.connect(place.url, name="tests") as connection:
        yield connection


def issue(connection: Connection, *, mails: int = 10) -> Issued:
    return relay_store.issue(
        connection,
        lane=LANE,
        lanes=[LANE],
        account="default",
        mark=ALWAYS,
        batch_mails=mails,
        batch_bytes=1_000_000,
        publish_timeout_s=5,
        policy=POLICY,
    )


def look(connection: Connection) -> Look:
    (found,) = relay_store.look(connection, lanes=[LANE], marks=[ALWAYS], orphaned=[], account="default")
    return found


def ensure(connection: Connection, *, ceiling: int = 32, rate: float | None = None) -> None:
    flow_store.ensure(connection, lane=LANE, account="default", ceiling=ceiling, rate=rate)


def change(connection: Connection, decide: Callable[[Flow], Window]) -> None:
    assert flow_store.change(connection, decide, lane=LANE, account="default") is not None


def close(connection: Connection, *, probe_in: float) -> None:
    change(
        connection,
        lambda row: row.window._replace(
            size=0, state="closed", reason="outage", since=row.now, probe_at=row.now + probe_in
        ),
    )


def window(connection: Connection) -> Window:
    return flow_store.read(connection, lanes=[LANE])[0].window


def sizes(place: Place) -> list[int]:
    return [n for (n,) in place.sql("SELECT cardinality(mail_ids) FROM atum.batch ORDER BY 1")]


def test_a_window_comes_back_as_it_was_written(connection: Connection) -> None:
    ensure(connection)
    written = flow.Window(
        size=2,
        ceiling=9,
        threshold=3,
        credit=1.5,
        state="paused",
        reason="why",
        paused_by="kim",
        since=1_800_000_000.25,
        probe_at=1_800_000_001.5,
        probes=4,
        not_before=1_800_000_002.75,
        cut_at=1_800_000_003.0,
        good=5.5,
        bad=6.5,
        counted_at=1_800_000_004.0,
        rate=7.5,
        burst=8.5,
        tokens=9.5,
        tokens_at=1_800_000_005.5,
        sent_rate=10.5,
        outage_at=1_800_000_006.5,
        outage_end=1_800_000_007.5,
    )
    change(connection, lambda _: written)
    assert window(connection) == written


def test_settings_change_limits_only(connection: Connection) -> None:
    ensure(connection)
    assert (window(connection).size, window(connection).ceiling) == (4, 32)
    change(connection, lambda row: row.window._replace(size=20, threshold=10))
    ensure(connection, ceiling=16, rate=5.0)
    now = window(connection)
    assert (now.size, now.ceiling, now.threshold, now.rate, now.burst) == (16, 16, 10, 5.0, 5.0)


def test_no_more_batches_are_issued_than_the_window_holds(place: Place, connection: Connection) -> None:
    ensure(connection, ceiling=3)
    place.enqueue(100)
    assert look(connection).room == 3
    assert len(issue(connection).batches) == 3
    assert issue(connection).batches == ()
    assert (look(connection).room, look(connection).wait_s) == (0, None)
    place.sql("UPDATE atum.batch SET state = 'claimed', token = gen_random_uuid(), lease_until = now()")
    assert issue(connection).batches == ()


def test_batches_of_an_unknown_outcome_do_not_occupy_the_window(place: Place, connection: Connection) -> None:
    ensure(connection, ceiling=1)
    place.enqueue(20)
    issue(connection)
    place.sql(
        "UPDATE atum.batch SET state = 'unknown', token = gen_random_uuid(), posting_at = now(), anchor_at = now(),"
        " search_at = now()"
    )
    assert look(connection).room == 1
    assert len(issue(connection).batches) == 1


def test_two_relays_never_issue_more_than_one_may(place: Place, connection: Connection) -> None:
    ensure(connection, ceiling=4)
    place.enqueue(300)
    with database.connect(place.url, name="other") as other:
        start = threading.Barrier(2)

        def work(connection: Connection) -> None:
            start.wait()
            for _ in range(20):
                issue(connection)

        threads = [threading.Thread(target=work, args=(each,)) for each in (connection, other)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sizes(place) == [10] * 4


def test_a_rate_cuts_batches_short_and_two_relays_share_it(place: Place, connection: Connection) -> None:
    ensure(connection, rate=20.0)
    place.enqueue(200)
    started = time.monotonic()
    with database.connect(place.url, name="other") as other:
        issue(connection)
        issue(other)
        # The burst of one second, and what has come since.
        assert 20 <= sum(sizes(place)) <= 20 + 20 * (time.monotonic() - started)
        seen = look(connection)
        assert seen.room > 0 or (seen.wait_s is not None and 0 < seen.wait_s <= 0.1)
        while time.monotonic() - started < 1.5:
            issue(connection)
            issue(other)
            place.sql("DELETE FROM atum.batch WHERE false")
        lasted = time.monotonic() - started
        total = sum(sizes(place))
    assert total <= 20 + 20 * lasted


def test_a_closed_window_gets_one_mail_when_its_probe_is_due_and_only_one(
    place: Place, connection: Connection
) -> None:
    ensure(connection)
    place.enqueue(50)
    close(connection, probe_in=600)
    seen = look(connection)
    assert seen.room == 0
    assert seen.wait_s is not None
    assert 500 < seen.wait_s <= 600
    assert issue(connection).batches == ()
    close(connection, probe_in=-1)
    assert look(connection).room == 1
    assert len(issue(connection).batches) == 1
    assert sizes(place) == [1]
    assert look(connection).room == 0
    # The probe is lost with its worker: the next one is due all the same, later.
    place.sql("DELETE FROM atum.batch")
    assert look(connection).room == 0
    assert 1 < (look(connection).wait_s or 0) <= 60


def test_probes_rotate_among_mails_and_take_suspected_ones_in_turn(
    place: Place, connection: Connection
) -> None:
    ensure(connection)
    ids = set(place.enqueue(4))
    place.sql("UPDATE atum.ready SET at_most = 1")
    probed = set()
    for turn in range(4):
        close(connection, probe_in=-1)
        (batch,) = issue(connection).batches
        ((mail,),) = place.sql("SELECT mail_ids[1] FROM atum.batch WHERE id = %(id)s", id=batch)
        probed.add(mail)
        # The first fails and comes back later; the second leaves as unknown; …
        place.sql("DELETE FROM atum.batch")
        if turn != 1:
            place.sql(
                "INSERT INTO atum.ready (mail_id, lane, due_at, size, at_most)"
                " VALUES (%(mail)s, %(lane)s, clock_timestamp(), 100, 1)",
                mail=mail,
                lane=LANE,
            )
    assert probed == ids


def test_silence_that_was_asked_for_is_waited_for(place: Place, connection: Connection) -> None:
    ensure(connection)
    place.enqueue(5)
    change(connection, lambda row: row.window._replace(not_before=row.now + 300))
    assert issue(connection).batches == ()
    assert 200 < (look(connection).wait_s or 0) <= 300
    change(connection, lambda row: row.window._replace(not_before=row.now - 1))
    assert len(issue(connection).batches) == 1
