"""The log by month: partitions are made ahead, and a wrong clock loses no mail."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import tuple_row

from atum_producers import relay_store
from atum_schema.ids import new_mail_id

if TYPE_CHECKING:
    from collections.abc import Iterator

KEYS: Final = (("mail", "id"), ("event", "mail_id"), ("attempt", "mail_id"))
PARENTS: Final = tuple(parent for parent, _ in KEYS)
MAIL: Final = """
INSERT INTO atum.mail (id, client, lane, stream, status, sender, to_line, subject, size)
VALUES (%s, 'test', 'a', 'outbound', 'queued', 's@example.com', 't@example.org', 'x', 1)
"""
EVENT: Final = "INSERT INTO atum.event (mail_id, cause, to_status) VALUES (%s, 'accepted', 'queued')"
ATTEMPT: Final = """
INSERT INTO atum.attempt (mail_id, batch_id, token, outcome, charged, issued_at, posting_at)
VALUES (%s, gen_random_uuid(), gen_random_uuid(), 'accepted', false, now(), now())
"""


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database_url, autocommit=True, row_factory=tuple_row) as connection:
        yield connection


def month(offset: int) -> tuple[int, int]:
    now = datetime.now(UTC)
    months = now.year * 12 + now.month - 1 + offset
    return months // 12, months % 12 + 1


def mail_id(moment: datetime, *, tail: int = 0x7000_8000_0000_0000_0000) -> uuid.UUID:
    """A UUIDv7 as a producer makes it whose clock says `moment` (RFC 9562 §5.7)."""
    return uuid.UUID(int=(round(moment.timestamp() * 1000) << 80) | tail)


def start_of(offset: int) -> datetime:
    year, number = month(offset)
    return datetime(year, number, 1, tzinfo=UTC)


def partitions(connection: psycopg.Connection[Any], parent: str) -> set[str]:
    rows = connection.execute(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass", (f"atum.{parent}",)
    )
    return {row[0].removeprefix("atum.") for row in rows}


def partition_of(connection: psycopg.Connection[Any], parent: str, column: str, of: uuid.UUID) -> str:
    query = sql.SQL("SELECT tableoid::regclass::text FROM {} WHERE {} = %s")
    row = connection.execute(
        query.format(sql.Identifier("atum", parent), sql.Identifier(column)), (of,)
    ).fetchone()
    assert row is not None
    return str(row[0]).removeprefix("atum.")


def store(connection: psycopg.Connection[Any], of: uuid.UUID) -> list[str]:
    """Store a mail with an event and an attempt; give the partitions they fell into."""
    for statement in (MAIL, EVENT, ATTEMPT):
        connection.execute(statement, (of,))
    return [partition_of(connection, parent, column, of) for parent, column in KEYS]


def names(offset: int) -> list[str]:
    year, number = month(offset)
    return [f"{parent}_{year}_{number:02d}" for parent in PARENTS]


def test_a_new_database_has_last_month_this_month_three_ahead_and_one_for_the_rest(
    connection: psycopg.Connection[Any],
) -> None:
    wanted = {name for offset in range(-1, 4) for name in names(offset)} | {f"{p}_default" for p in PARENTS}
    assert {name for parent in PARENTS for name in partitions(connection, parent)} == wanted


def test_making_partitions_again_makes_none(connection: psycopg.Connection[Any]) -> None:
    before = [partitions(connection, parent) for parent in PARENTS]
    assert relay_store.ensure_partitions(connection) == 0
    assert [partitions(connection, parent) for parent in PARENTS] == before


def test_a_month_that_is_missing_is_made_for_all_three_tables(connection: psycopg.Connection[Any]) -> None:
    for name in names(2):
        connection.execute(f"DROP TABLE atum.{name}".encode())
    assert relay_store.ensure_partitions(connection) == 3
    assert set(names(2)) <= {name for parent in PARENTS for name in partitions(connection, parent)}
    assert relay_store.ensure_partitions(connection) == 0


def test_more_months_ahead_can_be_asked_for(connection: psycopg.Connection[Any]) -> None:
    assert connection.execute("SELECT atum.ensure_partitions(14)").fetchone() == (11 * 4,)
    assert set(names(14)) <= {name for parent in PARENTS for name in partitions(connection, parent)}


def test_a_mail_of_now_falls_into_this_month_with_all_that_explains_it(
    connection: psycopg.Connection[Any],
) -> None:
    of = new_mail_id()
    made = datetime.fromtimestamp((of.int >> 80) / 1000, UTC)
    assert store(connection, of) == [f"{parent}_{made:%Y_%m}" for parent in PARENTS]


@pytest.mark.parametrize("offset", [-1, 0, 1, 2, 3])
def test_the_first_and_the_last_millisecond_of_a_month_fall_into_it(
    connection: psycopg.Connection[Any], offset: int
) -> None:
    first = mail_id(start_of(offset), tail=0)
    last = uuid.UUID(int=mail_id(start_of(offset + 1), tail=0).int - 1)
    assert store(connection, first) == names(offset)
    assert store(connection, last) == names(offset)


@pytest.mark.parametrize(
    "moment",
    [
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(2020, 2, 29, tzinfo=UTC),
        datetime(2099, 12, 31, tzinfo=UTC),
        datetime(9999, 12, 31, tzinfo=UTC),
    ],
    ids=str,
)
def test_a_wrong_clock_of_a_producer_makes_no_insert_fail(
    connection: psycopg.Connection[Any], moment: datetime
) -> None:
    of = mail_id(moment)
    assert store(connection, of) == ["mail_default", "event_default", "attempt_default"]
    assert connection.execute("SELECT id FROM atum.mail WHERE id = %s", (of,)).fetchone() == (of,)


def test_mail_of_a_clock_that_was_ahead_moves_into_its_month_when_that_is_made(
    connection: psycopg.Connection[Any],
) -> None:
    ahead, beyond = mail_id(start_of(5) + timedelta(days=3)), mail_id(start_of(6) + timedelta(days=3))
    for of in (ahead, beyond):
        assert store(connection, of) == ["mail_default", "event_default", "attempt_default"]
    before = connection.execute("SELECT seq FROM atum.event WHERE mail_id = %s", (ahead,)).fetchall()
    assert connection.execute("SELECT atum.ensure_partitions(5)").fetchone() == (8,)
    assert [partition_of(connection, parent, column, ahead) for parent, column in KEYS] == names(5)
    assert [partition_of(connection, parent, column, beyond)[-7:] for parent, column in KEYS] == [
        "default"
    ] * 3
    assert connection.execute("SELECT seq FROM atum.event WHERE mail_id = %s", (ahead,)).fetchall() == before
    assert store(connection, mail_id(start_of(5) + timedelta(days=4))) == names(5)


def described(connection: psycopg.Connection[Any], table: str) -> list[Any]:
    """What makes a partition: columns, constraints, indexes and storage, without its name."""
    rows = connection.execute(
        "SELECT 'column', attname::text, format_type(atttypid, atttypmod), attnotnull::text, attstorage::text,"
        "       coalesce(pg_get_expr(adbin, adrelid), '')"
        " FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum"
        " WHERE attrelid = (%(table)s::text)::regclass AND attnum > 0"
        " UNION ALL SELECT 'constraint', replace(conname, relname, ''), pg_get_constraintdef(c.oid), coninhcount::text,"
        "       conislocal::text, '' FROM pg_constraint c JOIN pg_class r ON r.oid = conrelid"
        " WHERE conrelid = (%(table)s::text)::regclass"
        " UNION ALL SELECT 'index', replace(indexdef, tablename, ''), '', '', '', '' FROM pg_indexes"
        " WHERE schemaname = 'atum' AND 'atum.' || tablename = %(table)s::text"
        " UNION ALL SELECT 'options', coalesce(reloptions::text, ''), '', '', '', '' FROM pg_class"
        " WHERE oid = (%(table)s::text)::regclass ORDER BY 1, 2, 3",
        {"table": f"atum.{table}"},
    )
    return rows.fetchall()


@pytest.mark.parametrize("place", range(3), ids=PARENTS)
def test_a_month_that_took_strays_is_like_every_other(
    connection: psycopg.Connection[Any], place: int
) -> None:
    store(connection, mail_id(start_of(5) + timedelta(days=3)))
    connection.execute("SELECT atum.ensure_partitions(5)")
    assert described(connection, names(5)[place]) == described(connection, names(4)[place])


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/Los_Angeles", "Pacific/Kiritimati"])
def test_months_begin_at_midnight_utc_whatever_the_session_thinks(
    connection: psycopg.Connection[Any], zone: str
) -> None:
    connection.execute("SELECT set_config('timezone', %s, false)", (zone,))
    found = connection.execute(
        "SELECT atum.month_floor('2026-11-01'), atum.month_floor('2027-01-01')"
    ).fetchone()
    assert found == (
        mail_id(datetime(2026, 11, 1, tzinfo=UTC), tail=0),
        mail_id(datetime(2027, 1, 1, tzinfo=UTC), tail=0),
    )
    assert connection.execute("SELECT atum.ensure_partitions()").fetchone() == (0,)


def test_a_query_by_id_looks_into_one_month_only(connection: psycopg.Connection[Any]) -> None:
    of = new_mail_id()
    store(connection, of)
    plan = "\n".join(
        row[0] for row in connection.execute("EXPLAIN SELECT 1 FROM atum.mail WHERE id = %s", (of,))
    )
    assert set(re.findall(r"on mail_(\w+)", plan)) == {partition_of(connection, "mail", "id", of)[5:]}


def test_a_stranger_may_not_make_partitions(connection: psycopg.Connection[Any]) -> None:
    found = connection.execute(
        "SELECT prosecdef, proconfig, has_function_privilege('public', oid, 'EXECUTE') FROM pg_proc"
        " WHERE oid = 'atum.ensure_partitions(integer)'::regprocedure"
    ).fetchone()
    assert found == (True, ["search_path=pg_catalog, pg_temp"], False)
