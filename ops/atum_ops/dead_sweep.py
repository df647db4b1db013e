"""Sweeping `mail.dead` at once, under the lease that workers use for it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from atum_ops import dead_store as store
from atum_schema import database, maintenance
from atum_schema.errors import AtumError
from atum_workers.maintain import Lease, LeaseLost
from atum_workers.sweep_dead import EVERY_S, Sweep

if TYPE_CHECKING:
    from psycopg_pool import ConnectionPool

    from atum_schema.database import Connection
    from atum_schema.maintenance import Begun
    from atum_schema.settings import Settings
    from atum_workers.sweep_dead import Swept

_CONNECTIONS: Final = 2
_PATIENCE_S: Final = 60.0
_LOOK_S: Final = 0.2


def sweep_now(configured: Settings, *, patience_s: float = _PATIENCE_S) -> Swept:
    """Sweep, once whoever is at it has ended; give what it came to.

    Raises `AtumError` when somebody is at it for longer than `patience_s` seconds, or has taken over; `Unreachable`.
    """
    amqp_url = configured.need_amqp_url()
    url = configured.database_url.get_secret_value()
    database.reach(url, name="cli")
    with database.pool(url, name="cli", size=_CONNECTIONS) as pool:
        pool.wait(patience_s)
        begun = _begin(pool, patience_s)
        lease = Lease(pool=pool, token=begun.token, progress=begun.progress, stopping=lambda: False)
        failure: str | None = "stopped"
        try:
            swept = Sweep(pool=pool, amqp_url=amqp_url, go_on=lease.go_on).run()
            failure = None
        except LeaseLost:
            raise AtumError("a worker has taken the sweep over; it goes on there") from None
        finally:
            with pool.connection() as connection:
                maintenance.end(connection, begun.token, due_s=EVERY_S, failure=failure)
    return swept


def _begin(pool: ConnectionPool[Connection], patience_s: float) -> Begun:
    deadline = time.monotonic() + patience_s
    with pool.connection() as connection:
        task = store.sweep_task(connection)
        while (begun := maintenance.begin(connection, task)) is None:
            if time.monotonic() > deadline:
                raise AtumError(f"a worker has been sweeping for {patience_s:g} s; try again later")
            time.sleep(_LOOK_S)
    return begun
