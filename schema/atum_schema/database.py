"""Connections to Postgres: how they are opened, and what their errors mean."""

from __future__ import annotations

import select
from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg.rows import tuple_row
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from atum_schema.seldom import quieten

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

Connection = psycopg.Connection[Any]
AsyncConnection = psycopg.AsyncConnection[Any]

_OPTIONS: Final = (
    # A queue's plans must not depend on statistics that lag behind: all hot statements go by key.
    "-c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off -c plan_cache_mode=force_generic_plan"
    # Who was cut off in the middle of a transaction must not hold its locks until the server notices. Nothing of ours
    # makes the server wait for longer than a moment.
    " -c idle_in_transaction_session_timeout=10s -c jit=off"
    # Whatever the database's own defaults are: the statements lock and look again, as READ COMMITTED does, and
    # psycopg reads times in ISO style only.
    r" -c default_transaction_isolation=read\ committed -c datestyle=ISO"
)
_CONNECT: Final[dict[str, Any]] = {
    # Few statements, run for ever: planned once per connection instead of at the sixth time.
    "prepare_threshold": 0,
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}

_POOL: Final[dict[str, Any]] = {
    "min_size": 1,
    "timeout": 3.0,
    # The pool doubles the pause after each failure, up to this: with its default of five minutes, the database would
    # be back for as long as it was away before anybody is served.
    "reconnect_timeout": 2.0,
    "open": False,
    "num_workers": 1,
}


def connect(database_url: str, *, name: str, **options: Any) -> Connection:
    """Open one autocommit connection for the hot path; `name` is its application_name."""
    return psycopg.connect(database_url, **_kwargs(name), **options)


def reach(database_url: str, *, name: str) -> None:
    """Connect once, for whoever goes on with a pool: that would only say that nobody connected in time, and not why.

    Raises `psycopg.OperationalError`.
    """
    connect(database_url, name=name).close()


def pool(
    database_url: str, *, name: str, size: int, check: Callable[[Connection], None] | None = None
) -> ConnectionPool[Connection]:
    """Make a pool of hot-path connections, closed until `open()`; at most `size`, one kept.

    `check` may refuse a new connection by raising. Whoever asks it waits 3 s at most, and gets `PoolTimeout`: asking
    again is what makes it connect again soon.
    """
    quieten("psycopg.pool")
    return ConnectionPool(
        database_url,
        kwargs=_kwargs(name),
        check=_check,
        configure=check,
        name=f"atum-{name}",
        max_size=size,
        **_POOL,
    )


def async_pool(
    database_url: str,
    *,
    name: str,
    size: int,
    configure: Callable[[AsyncConnection], Awaitable[None]] | None = None,
) -> AsyncConnectionPool[AsyncConnection]:
    """Make a pool as `pool` does, of connections for asyncio; `configure` prepares each new one."""
    quieten("psycopg.pool")
    return AsyncConnectionPool(
        database_url,
        kwargs=_kwargs(name),
        check=_check_async,
        configure=configure,
        name=f"atum-{name}",
        max_size=size,
        **_POOL,
    )


def _kwargs(name: str) -> dict[str, Any]:
    return {"autocommit": True, "application_name": f"atum-{name}", "options": _OPTIONS, **_CONNECT}


def _check(connection: Connection) -> None:
    """Ask the server only where something has arrived on an idle connection: mostly its good-bye at a restart."""
    if _has_news(connection):
        ConnectionPool.check_connection(connection)


async def _check_async(connection: AsyncConnection) -> None:
    if _has_news(connection):
        await AsyncConnectionPool.check_connection(connection)


def _has_news(connection: Connection | AsyncConnection) -> bool:
    watch = select.poll()
    watch.register(connection.fileno(), select.POLLIN)
    return bool(watch.poll(0))


NOW: Final = "SELECT clock_timestamp()"


def now(connection: Connection) -> datetime:
    """Give the time of the database."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(NOW).fetchone()
    if row is None:
        raise AssertionError("a SELECT without a row")
    moment: datetime = row[0]
    return moment


def is_transient(error: psycopg.Error) -> bool:
    """Whether repeating the transaction on a fresh connection may succeed.

    Deadlock and serialization failure (class 40), lost or refused connections (08), resources (53),
    operator intervention and shutdown (57), a database still starting (57P03), a failing disk (58), a lock that was
    not to be had in time (55P03), a database that is read-only (25006), a transaction that was idle for too long (25P03),
    or no SQLSTATE at all, which is libpq's way
    to say that the connection broke (PostgreSQL 15 manual, Appendix A).
    """
    state = error.sqlstate
    if state is None:
        return isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError))
    return state[:2] in {"08", "40", "53", "57", "58"} or state in {"25006", "25P03", "55P03"}
