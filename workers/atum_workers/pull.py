"""Pulling batches from Postgres while RabbitMQ brings no tickets: down, blocked, partitioned, or its queue broken.

Whoever looks needs no news of the broker. A batch whose ticket was not confirmed in time, or that nobody claimed
although its ticket was due again or was repeated twice, is overdue; as long as tickets travel and workers keep up, there
are none. A ticket that comes later finds the batch claimed and is worthless, as ever. Pulling only ever uses threads
that tickets leave idle.
"""

from __future__ import annotations

import logging
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

import psycopg
from psycopg.rows import tuple_row
from psycopg_pool import PoolTimeout

from atum_schema import traces
from atum_schema.maintenance import DUE
from atum_schema.seldom import Seldom

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from psycopg_pool import ConnectionPool

    from atum_schema.database import Connection

log = logging.getLogger(__name__)

_BUSY_S: Final = 0.05
_LOOK_S: Final = 0.5

OVERDUE_LANE = """
SELECT id FROM atum.batch
WHERE lane = %(name)s AND state = 'issued'
      AND (publish_after < clock_timestamp() - make_interval(secs => %(after_s)s)
           OR publishes >= 2
           OR (published_at IS NULL AND issued_at < clock_timestamp() - make_interval(secs => %(after_s)s)))
ORDER BY issued_at LIMIT %(limit)s
"""

OVERDUE_SEARCHES = """
SELECT id FROM atum.batch
WHERE state = 'unknown' AND search_at < clock_timestamp() - make_interval(secs => %(after_s)s)
ORDER BY search_at LIMIT %(limit)s
"""


OVERDUE_TASKS = f"{DUE} LIMIT %(limit)s"


def _unheard() -> None:
    """Do nothing with a look."""


class Puller(threading.Thread):
    """Looks for overdue batches and does their work, `threads` at once, until `stop()`.

    `statement` gives their ids (for the lane `name`), `work` does the work of one and may raise what the database
    raises. A batch is overdue `after_s` seconds after its ticket should have come. `busy` says how many threads work on
    tickets now, `looked` is called after each look that the database has answered.
    """

    def __init__(
        self,
        *,
        name: str,
        statement: str,
        work: Callable[[UUID], None],
        pool: ConnectionPool[Connection],
        threads: int,
        after_s: float,
        busy: Callable[[], int],
        looked: Callable[[], None] = _unheard,
    ) -> None:
        super().__init__(name=f"atum-pull-{name}", daemon=True)
        self._values = {"name": name, "after_s": after_s, "limit": 4 * threads}
        self._statement = statement
        self._work = work
        self._pool = pool
        self._threads = threads
        self._after_s = after_s
        self._busy = busy
        self._looked = looked
        self._stopping = threading.Event()
        self._under_way: set[UUID] = set()
        self._pulling = False
        self._seldom = Seldom()

    def stop(self) -> None:
        """Take up nothing more; `join` returns when what is under way is done."""
        self._stopping.set()

    def run(self) -> None:
        """Look until stopped."""
        pause = _LOOK_S
        with ThreadPoolExecutor(self._threads, thread_name_prefix=self.name) as executor:
            while not self._stopping.wait(pause):
                try:
                    overdue = self._look()
                except (psycopg.Error, PoolTimeout) as error:
                    log.warning("pull: the database is away", extra=traces.kind(error))
                    pause = _LOOK_S
                    continue
                self._say(pulling=bool(overdue))
                for batch in overdue[: self._idle()]:
                    self._under_way.add(batch)
                    executor.submit(self._do, batch)
                pause = _BUSY_S if overdue else min(_LOOK_S, self._after_s)

    def _idle(self) -> int:
        return max(0, self._threads - len(self._under_way) - self._busy())

    def _look(self) -> list[UUID]:
        if not self._idle():
            return []
        with self._pool.connection() as connection, connection.cursor(row_factory=tuple_row) as cursor:
            overdue = [batch for (batch,) in cursor.execute(self._statement, self._values)]
        self._looked()
        # Other processes look at the same time: not everybody tries the same one first.
        random.shuffle(overdue)
        return [batch for batch in overdue if batch not in self._under_way]

    def _do(self, batch: UUID) -> None:
        try:
            self._work(batch)
        except (psycopg.Error, PoolTimeout) as error:
            log.warning("pull: the database is away", extra={"batch": batch, **traces.kind(error)})
        except Exception as error:  # noqa: BLE001 (the next batch is no worse for it)
            about = {"batch": batch, **traces.where(error)}
            log.error("pull: an error of ours", extra=about)  # noqa: TRY400 (its message may quote a mail)
        finally:
            self._under_way.discard(batch)

    def _say(self, *, pulling: bool) -> None:
        if pulling and not self._pulling and self._seldom.due():
            log.warning(
                "pull: RabbitMQ brings no tickets, taking batches from Postgres", extra={"queue": self.name}
            )
        self._pulling = pulling
