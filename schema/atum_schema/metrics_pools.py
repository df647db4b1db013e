"""How many connections a process has to the database, read at each scrape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from atum_schema import metrics_catalogue as catalogue

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg_pool import AsyncConnectionPool, ConnectionPool

    from atum_schema.metrics import Meter

_STATISTICS: Final = {"open": "pool_size", "idle": "pool_available", "waiting": "requests_waiting"}


def watch_pools(meter: Meter, pools: Sequence[ConnectionPool[Any] | AsyncConnectionPool[Any]]) -> None:
    """Have the pools of a process looked at, added up."""
    for state, statistic in _STATISTICS.items():

        def read(statistic: str = statistic) -> float:
            return sum(pool.get_stats().get(statistic, 0) for pool in pools)

        meter.ask(catalogue.POOL, read, pool_state=state)
