"""Our array parameters against the server's own reading of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from atum_schema import arrays

if TYPE_CHECKING:
    from collections.abc import Iterator

    from atum_ops.stack.postgres import PostgresNode

_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
_TIMES = st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001
_KINDS: list[tuple[type[Any], str, st.SearchStrategy[Any]]] = [
    (arrays.Texts, "text[]", st.none() | _TEXT),
    (arrays.Bytes, "bytea[]", st.binary()),
    (arrays.Uuids, "uuid[]", st.uuids()),
    (arrays.Ints, "int[]", st.none() | st.integers(-(2**31), 2**31 - 1)),
    (arrays.Floats, "float8[]", st.none() | st.floats(allow_nan=False)),
    (arrays.Booleans, "boolean[]", st.booleans()),
    (arrays.Times, "timestamptz[]", st.none() | _TIMES),
]
_LAW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def cursor(postgres_node: PostgresNode) -> Iterator[psycopg.Cursor[Any]]:
    with (
        psycopg.connect(postgres_node.url, autocommit=True) as connection,
        connection.cursor(binary=True) as made,
    ):
        connection.execute("SET TimeZone TO 'UTC'")
        arrays.register(made)
        yield made


@pytest.mark.parametrize(("kind", "name", "values"), _KINDS, ids=[name for _, name, _ in _KINDS])
def test_the_server_reads_back_what_was_put_in(
    cursor: psycopg.Cursor[Any], kind: type[Any], name: str, values: st.SearchStrategy[Any]
) -> None:
    @_LAW
    @given(st.lists(values, max_size=20))
    def law(items: list[Any]) -> None:
        row = cursor.execute("SELECT %s, pg_typeof(%s)::text", (kind(items), kind(items))).fetchone()
        assert row is not None
        assert row[0] == items
        assert row[1].replace("integer", "int").replace("double precision", "float8") == name.replace(
            "timestamptz", "timestamp with time zone"
        )

    law()


def test_an_array_stays_in_order_beside_its_neighbours(cursor: psycopg.Cursor[Any]) -> None:
    names = arrays.Texts(["first", None, "third"])
    moments = arrays.Times([None, datetime(2026, 11, 25, 3, 4, 5, 678901, tzinfo=UTC), None])

    rows = cursor.execute("SELECT * FROM unnest(%s, %s)", (names, moments)).fetchall()

    assert rows == [
        ("first", None),
        (None, datetime(2026, 11, 25, 3, 4, 5, 678901, tzinfo=UTC)),
        ("third", None),
    ]
    assert rows[1][1].utcoffset() == timedelta(0)
