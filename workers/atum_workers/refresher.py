"""Reading the stored settings again and again, on a thread of its own: an idle worker hears of changes, too."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

import psycopg
from psycopg_pool import PoolTimeout

from atum_schema import traces
from atum_schema.live import REFRESH_S
from atum_schema.seldom import Seldom

if TYPE_CHECKING:
    from psycopg_pool import ConnectionPool

    from atum_schema.database import Connection
    from atum_schema.live import Live

log = logging.getLogger(__name__)


class Refresher(threading.Thread):
    """Refreshes settings until `close`. A database that is away changes nothing."""

    def __init__(self, pool: ConnectionPool[Connection], live: Live) -> None:
        super().__init__(name="atum-settings", daemon=True)
        self._pool = pool
        self._live = live
        self._closing = threading.Event()
        self._complaints = Seldom()

    def close(self) -> None:
        """End."""
        self._closing.set()
        self.join()

    def run(self) -> None:
        """Refresh until `close`."""
        while not self._closing.wait(REFRESH_S):
            try:
                with self._pool.connection() as connection:
                    self._live.refresh(connection, every_s=0.0)
            except (psycopg.Error, PoolTimeout) as error:
                if self._complaints.due():
                    log.warning(
                        "settings: the database is away; reading them again later", extra=traces.kind(error)
                    )
