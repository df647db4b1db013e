"""Connections to Postgres: how they are opened, and what their errors mean."""

from __future__ import annotations

import select
from typing import Any, Final

import psycopg
from psycopg_pool import ConnectionPool

Connection = psycopg.Connection[Any]

_OPTIONS: Final = (
    # A queue's plans must not depend on statistics that lag behind: all hot statements go by key.
    "-c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off -c plan_cache_mode=force_generic_plan"
    # A forgotten transaction must not hold locks or stop vacuum.
    " -c idle_in_transaction_session_timeout=60s -c jit=off"
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


def connect(database_url: str, *, name: str, **options: Any) -> Connection:
    """Open one autocommit connection for the hot path; `name` is its application_name."""
    return psycopg.connect(
        database_url,
        autocommit=True,
        application_name=f"atum-{name}",
        options=_OPTIONS,
        **_CONNECT,
        **options,
    )


def pool(database_url: str, *, name: str, size: int) -> ConnectionPool[Connection]:
    """Make a pool of hot-path connections, closed until `open()`; at most `size`, one kept."""
    return ConnectionPool(
        database_url,
        kwargs={"autocommit": True, "application_name": f"atum-{name}", "options": _OPTIONS, **_CONNECT},
        check=_check,
        min_size=1,
        max_size=size,
        timeout=10.0,
        open=False,
        name=f"atum-{name}",
        num_workers=1,
    )


def _check(connection: Connection) -> None:
    """Ask the server only where something has arrived on an idle connection: mostly its good-bye at a restart."""
    watch = select.poll()
    watch.register(connection.fileno(), select.POLLIN)
    if watch.poll(0):
        ConnectionPool.check_connection(connection)


def is_transient(error: psycopg.Error) -> bool:
    """Whether repeating the transaction on a fresh connection may succeed.

    Deadlock and serialization failure (class 40), lost or refused connections (08), resources (53),
    operator intervention and shutdown (57), a database still starting (57P03), or no SQLSTATE at all, which is
    libpq's way to say that the connection broke (PostgreSQL 15 manual, Appendix A).
    """
    state = error.sqlstate
    if state is None:
        return isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError))
    return state[:2] in {"08", "40", "53", "57"} or state == "25006"
