"""However many mails wait, a reading of the backlog takes no longer than of a bounded number, and every threshold is reached."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from atum_ops.alerts import catalogue
from atum_ops.alerts.alert import Seen
from atum_ops.exporter.link import Link
from atum_ops.signals import store
from tests.exporting import loaded
from tests.filling import pile_up
from tests.nodes import Databases

if TYPE_CHECKING:
    from collections.abc import Iterator

    from atum_ops.signals.snapshot import Snapshot
    from atum_ops.stack.postgres import PostgresNode
    from atum_schema.settings import Settings

DUE = 210_000
LATER = 120_000
ROWS = """
SELECT t.seq_tup_read, (SELECT sum(i.idx_tup_read) FROM pg_stat_user_indexes i WHERE i.relid = t.relid)
FROM pg_stat_user_tables t WHERE t.schemaname = 'atum' AND t.relname = 'ready'
"""


@pytest.fixture(scope="module")
def link(postgres_node: PostgresNode) -> Iterator[Link]:
    """The exporter's connection, which has read often while nothing waited; now much does."""
    with Databases(postgres_node).fresh() as url, Link(url, statement_s=30) as link:
        with psycopg.connect(url, autocommit=True) as connection:
            # Nothing that happens to be in time may help: no statistics, no map of what is visible to all, no new plan.
            connection.execute("ALTER TABLE atum.ready SET (autovacuum_enabled = off)")
        for _ in range(8):
            store.read(link.connection(), settings())
        pile_up(url, DUE, lane="broadcast", since_s=4000)
        pile_up(url, LATER, lane="broadcast", since_s=-4000)
        pile_up(url, 30, lane="transactional", since_s=50)
        yield link


def settings(**changed: Any) -> Settings:
    return loaded("postgresql://127.0.0.1/x", **changed)


def rows(link: Link) -> tuple[int, int]:
    """Give how many rows, and how many entries of indexes, of those that wait were read so far."""
    link.connection().execute("SELECT pg_stat_force_next_flush()")
    row = link.connection().execute(ROWS).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


def met(snapshot: Snapshot, configured: Settings) -> dict[str, float]:
    found = {
        alert.name: alert.look(Seen(snapshot))
        for alert in catalogue.alerts(configured)
        if alert.look is not None and alert.name.startswith(("AtumBacklog", "AtumOldest"))
    }
    return {name: value for name, value in found.items() if value is not None}


def test_as_many_as_need_be_are_counted_in_each_lane_and_the_oldest_is_the_oldest(link: Link) -> None:
    before = rows(link)
    snapshot = store.read(link.connection(), settings())
    after = rows(link)
    assert {lane.lane: (lane.due, lane.later) for lane in snapshot.lanes} == {
        "broadcast": (store.MOST, store.MOST),
        "transactional": (30, 0),
    }
    assert after[0] == before[0]
    assert after[1] - before[1] == pytest.approx(2 * store.MOST, abs=100)
    ages = {lane.lane: snapshot.at - (lane.oldest_at or 0) for lane in snapshot.lanes}
    assert ages["broadcast"] > 4000
    assert 50 <= ages["transactional"] < 3600


def test_the_backlog_s_alerts_are_met_as_if_all_had_been_counted(link: Link) -> None:
    configured = settings()
    assert met(store.read(link.connection(), configured), configured).keys() == {
        "AtumBacklogHigh",
        "AtumBacklogCritical",
        "AtumOldestMailOld",
        "AtumOldestMailVeryOld",
    }


def test_a_threshold_above_what_is_counted_else_is_reached_too(link: Link) -> None:
    reached = {"alert_queue_backlog_threshold": 200, "alert_queue_backlog_critical_threshold": DUE - 10}
    configured = settings(**reached)
    assert met(store.read(link.connection(), configured), configured)["AtumBacklogCritical"] >= DUE - 10
    # And one that is not is not.
    configured = settings(**reached | {"alert_queue_backlog_critical_threshold": DUE + 31})
    assert "AtumBacklogCritical" not in met(store.read(link.connection(), configured), configured)
