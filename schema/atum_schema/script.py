"""SQL and the decisions between its statements, written once and run on connections of both kinds.

A script is a generator: it yields statements and is sent their rows, so it neither knows nor cares whether its
connection blocks or is awaited. `run` and `run_async` are the two ways to drive it; transactions are the caller's.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, LiteralString, NamedTuple, ParamSpec, TypeAlias, TypeVar

import psycopg
from psycopg.rows import args_row, tuple_row

from atum_schema import arrays

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Statement(NamedTuple):
    """One statement that a script wants to be run."""

    sql: LiteralString
    values: Mapping[str, Any]
    #: What to make of each row, from its columns in order; tuples if not said.
    row: Callable[..., Any] | None = None
    #: Whether rows come in the binary format.
    binary: bool = False


Script: TypeAlias = "Generator[Statement, list[Any], _T]"


def run(connection: psycopg.Connection[Any], script: Script[_T]) -> _T:
    """Run a script to its end on a blocking connection; give what it returns. Errors of Postgres end it."""
    # An application's own connection may have other factories; ours must not depend on them.
    with psycopg.Cursor(connection, row_factory=tuple_row) as cursor:
        arrays.register(cursor)
        try:
            statement = next(script)
            while True:
                cursor.row_factory = _factory(statement)
                cursor.execute(statement.sql, statement.values, binary=statement.binary)
                rows = cursor.fetchall() if cursor.description is not None else []
                statement = script.send(rows)
        except StopIteration as end:
            result: _T = end.value
            return result


async def run_async(connection: psycopg.AsyncConnection[Any], script: Script[_T]) -> _T:
    """Run a script to its end on an asyncio connection, as `run` does on a blocking one."""
    async with psycopg.AsyncCursor(connection, row_factory=tuple_row) as cursor:
        arrays.register(cursor)
        # No `async` generator stands between: the script is the same object as in `run`.
        try:
            statement = next(script)
            while True:
                cursor.row_factory = _factory(statement)
                await cursor.execute(statement.sql, statement.values, binary=statement.binary)
                rows = await cursor.fetchall() if cursor.description is not None else []
                statement = script.send(rows)
        except StopIteration as end:
            result: _T = end.value
            return result


def blocking(script: Callable[_P, Script[_T]]) -> Callable[Concatenate[psycopg.Connection[Any], _P], _T]:
    """Make the function that runs a script at once, on a blocking connection that it takes first."""

    @wraps(script)
    def function(connection: psycopg.Connection[Any], /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        return run(connection, script(*args, **kwargs))

    return function


def _factory(statement: Statement) -> Any:
    return tuple_row if statement.row is None else args_row(statement.row)
