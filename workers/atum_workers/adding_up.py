"""The task that adds up: what was counted becomes sums, and processes that are long gone are forgotten."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from atum_schema import heartbeat
from atum_workers import tally_store

if TYPE_CHECKING:
    from collections.abc import Callable

    from atum_workers.maintain import Lease

_AT_ONCE: Final = 5000
_EVERY_S: Final = 20.0
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def adding_up(*, at_once: int = _AT_ONCE) -> Callable[[Lease], float]:
    """Make the task; it is due again 20 s later."""

    def add_up(lease: Lease) -> float:
        kept = lease.progress.get("hours_until")
        since = _EPOCH if kept is None else datetime.fromisoformat(kept)
        with lease.pool.connection() as connection:
            edge = tally_store.edge(connection)
            while tally_store.add_up(connection, edge=edge, limit=at_once) and not lease.stopping():
                lease.go_on()
            while moved := since < edge and tally_store.coarsen(
                connection, since=since, edge=edge, limit=at_once
            ):
                if lease.stopping():
                    break
                lease.go_on()
            if not moved:
                lease.go_on({"hours_until": edge.isoformat()})
            heartbeat.forget(connection)
        return _EVERY_S

    return add_up
