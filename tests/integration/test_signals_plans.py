"""Reading a snapshot never touches the log, and of what it reads only what is recent or waits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, LiteralString

import psycopg
import pytest

from atum_ops.exporter.link import Link
from atum_ops.signals import store
from tests.exporting import loaded
from tests.nodes import Databases

if TYPE_CHECKING:
    from collections.abc import Iterator

    from atum_ops.stack.postgres import PostgresNode
    from atum_schema.database import Connection

#: Two years of sums, of which a day has some thousands; dead letters, suppressions and events that are over.
FILL: tuple[LiteralString, ...] = (
    (
        "INSERT INTO atum.transition_sum (at, lane, cause, from_status, to_status, reason, code, http_status, number)"
        " SELECT date_trunc('minute', now()) - make_interval(mins => 5 * n), 'transactional', 'provider_rejected',"
        " 'queued', 'dead', 'invalid', 300, 200, 2 FROM generate_series(0, 199999) AS n"
    ),
    (
        "INSERT INTO atum.dead_letter (mail_id, cycle, reason, attempts, published_at)"
        " SELECT gen_random_uuid(), 1, 'x', 1, now() FROM generate_series(1, 20000)"
    ),
    (
        "INSERT INTO atum.suppression (stream, address, suppressed, reason, origin, source, changed_at)"
        " SELECT 'outbound', n || '@example.org', n % 10 <> 0, 'hard_bounce', 'recipient', 'webhook', now()"
        " FROM generate_series(1, 20000) AS n"
    ),
    (
        "INSERT INTO atum.webhook_inbox (id, dedupe, source, state, done_at, kind, key_id, body)"
        " SELECT gen_random_uuid(), sha256(n::text::bytea), 'catch_up', 'applied', now(), 'Delivery', 'k', ''"
        " FROM generate_series(1, 20000) AS n"
    ),
    "VACUUM (ANALYZE) atum.transition_sum, atum.dead_letter, atum.suppression, atum.webhook_inbox",
)
DAY: int = 24 * 60 // 5 + 1
READ: LiteralString = """
SELECT relname, seq_tup_read + coalesce(idx_tup_fetch, 0), seq_scan + coalesce(idx_scan, 0)
FROM pg_stat_user_tables WHERE schemaname = 'atum'
"""
LOG = ("mail", "event", "attempt", "content", "recipient_event", "idempotency", "audit")


@pytest.fixture(scope="module")
def connection(postgres_node: PostgresNode) -> Iterator[Connection]:
    """The exporter's connection to a large database."""
    with Databases(postgres_node).fresh() as url, Link(url) as link:
        with psycopg.connect(url, autocommit=True) as filling:
            for statement in FILL:
                filling.execute(statement)
        yield link.connection()


def plan(connection: Connection, statement: str) -> list[dict[str, Any]]:
    """Give all nodes of a plan as a reading makes it."""
    with connection.transaction():
        connection.execute(store.PLANNING)
        values = {"most": store.MOST} if "%(most)s" in statement else None
        explained = f"EXPLAIN (FORMAT JSON) {statement}".encode()
        ((found,),) = connection.execute(explained, values).fetchall()
    nodes: list[dict[str, Any]] = []
    left = [found[0]["Plan"]]
    while left:
        node = left.pop()
        nodes.append(node)
        left += node.get("Plans", [])
    return nodes


def reads(connection: Connection) -> tuple[dict[str, int], dict[str, int]]:
    """Give how many rows of each table were read so far, and how often each was looked into."""
    connection.execute("SELECT pg_stat_force_next_flush()")
    rows = connection.execute(READ).fetchall()
    return {name: number for name, number, _ in rows}, {name: number for name, _, number in rows}


def difference(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    return {name: after[name] - before[name] for name in after if after[name] > before[name]}


def test_no_partition_of_the_log_is_looked_into_and_only_a_day_of_sums_is_read(
    connection: Connection,
) -> None:
    configured = loaded("postgresql://127.0.0.1/x")
    snapshot = store.read(connection, configured)
    assert snapshot.dead.number == 20_000
    assert snapshot.suppressed == 18_000
    assert snapshot.recently("24h", "dead") == pytest.approx(2 * DAY, abs=4)
    rows, looks = reads(connection)
    store.read(connection, configured)
    rows_after, looks_after = reads(connection)
    assert [name for name in difference(looks, looks_after) if name.startswith(LOG)] == []
    read = difference(rows, rows_after)
    assert read.pop("transition_sum", 0) == pytest.approx(DAY, abs=2)
    # Counts of what is kept come from indexes alone; nothing else is large.
    assert sum(read.values()) < 200


@pytest.mark.parametrize("name", ["LANES", "COUNTS", "BATCHES", "EVENTS", "RECENT", "TOTALS", "TALLIES"])
def test_no_statement_walks_a_table_that_grows(connection: Connection, name: str) -> None:
    walked = {
        node["Relation Name"]
        for node in plan(connection, getattr(store, name))
        if node["Node Type"] == "Seq Scan"
    }
    assert walked <= {"transition", "transition_total", "batch", "held", "tally"}


def test_sums_of_a_day_are_found_by_their_time_and_are_not_sorted(connection: Connection) -> None:
    nodes = plan(connection, store.RECENT)
    conditions = [node.get("Index Cond", "") for node in nodes]
    assert any("at >=" in condition for condition in conditions)
    assert not {"Sort", "Gather", "Gather Merge"} & {node["Node Type"] for node in nodes}


def test_what_is_kept_is_counted_by_indexes_alone(connection: Connection) -> None:
    nodes = plan(connection, store.COUNTS) + plan(connection, store.EVENTS)
    alone = {node["Relation Name"] for node in nodes if node["Node Type"] == "Index Only Scan"}
    assert {"dead_letter", "suppression"} <= alone
    last = [node for node in nodes if node.get("Index Name") == "webhook_inbox_told"]
    assert [node["Scan Direction"] for node in last] == ["Backward"]
