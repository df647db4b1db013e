"""Working off what is due in this process, without RabbitMQ: issued, claimed and delivered as relays and workers do it.

Nothing is claimed that this process does not work on at once, so it may be stopped between any two batches, and run beside
relays, workers and others like it.
"""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from atum_ops import running_store
from atum_producers import lanes_store, relay_store
from atum_producers.fallback_store import STATEMENTS
from atum_schema import database, flow_store, restore
from atum_schema.fallback import primary_takes
from atum_schema.flow import OPEN
from atum_schema.flow_allowance import allowance
from atum_schema.live import Live
from atum_schema.restore import Watch
from atum_schema.status import PROVEN
from atum_schema.steps import Step
from atum_workers import smtp
from atum_workers.delivering import delivery
from atum_workers.flow_reporter import FlowReporter
from atum_workers.postmark import Postmark
from atum_workers.pull import OVERDUE_LANE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from uuid import UUID

    from psycopg_pool import ConnectionPool

    from atum_schema.database import Connection
    from atum_schema.settings import Settings
    from atum_workers.deliver import Delivery

NOT_POSTED: Final = "not_posted"
"""Given back without a POST, for somebody to take again."""

ELSEWHERE: Final = "elsewhere"
"""Somebody else has claimed the batch."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SHORTEST_S: Final = 0.01
_PROVEN: Final = frozenset(status.value for status in PROVEN)


@dataclass(slots=True, kw_only=True)
class Ran:
    """What working off came to: mails that this process has dealt with, by what they are now."""

    counts: Counter[str] = field(default_factory=Counter)
    batches: int = 0

    @property
    def mails(self) -> int:
        """Mails that were dealt with."""
        return sum(number for word, number in self.counts.items() if word not in {NOT_POSTED, ELSEWHERE})


class _Claims(threading.local):
    """Whether this thread's delivery has claimed its batch."""

    claimed = False

    def reached(self, step: Step) -> None:
        if step is Step.TICKET:
            self.claimed = False
        elif step is Step.CLAIMED:
            self.claimed = True


@contextmanager
def runner(configured: Settings) -> Iterator[Runner]:
    """Open what delivering needs, as a worker does. Raises `SettingsError`."""
    watch, claims, live = Watch(), _Claims(), Live(configured)

    def check(connection: Connection) -> None:
        restore.look_through(connection, watch, configured)
        live.refresh(connection)

    keyring, token = configured.keyring(), configured.need_postmark_token()
    pool = database.pool(
        configured.database_url.get_secret_value(),
        name="run",
        size=configured.threads + 3,
        check=check,
    )
    provider = Postmark(base_url=configured.postmark_url, token=token)
    relay = smtp.build(configured)
    with pool:
        reporter = FlowReporter(pool, lambda: live.now.flow_policy)
        reporter.start()
        try:
            made = delivery(
                live,
                pool=pool,
                provider=provider,
                smtp=relay,
                keyring=keyring,
                answered=reporter.report,
                marked=watch.note,
                reached=claims.reached,
            )
            yield Runner(live, pool, made, claims)
        finally:
            reporter.close()
            provider.close()
            if relay is not None:
                relay.close()


class Runner:
    """Works off what is due, batch by batch."""

    def __init__(self, live: Live, pool: ConnectionPool[Connection], made: Delivery, claims: _Claims) -> None:
        self._live = live
        self._pool = pool
        self._delivery = made
        self._claims = claims

    @property
    def _settings(self) -> Settings:
        return self._live.now

    def run(
        self,
        lanes: Sequence[str],
        *,
        limit: int | None,
        time_s: float | None,
        progress: Callable[[Ran], None],
    ) -> Ran:
        """Work off until nothing is due, `limit` mails were taken or `time_s` is over; no batch is begun after that.

        `progress` is called after each round, on this thread.
        """
        ran = Ran()
        give_up_at = float("inf") if time_s is None else time.monotonic() + time_s
        taken = 0
        with ThreadPoolExecutor(self._settings.threads, thread_name_prefix="atum-run") as executor:
            while time.monotonic() < give_up_at:
                left = None if limit is None else limit - taken
                if left is not None and left <= 0:
                    break
                batches = self._take(lanes, left)
                if not batches:
                    wait_s = self._wait_s(lanes)
                    if wait_s is None or time.monotonic() + wait_s > give_up_at:
                        break
                    time.sleep(wait_s)
                    continue
                done = list(executor.map(self._deliver, batches))
                for counts in done:
                    ran.counts += counts
                    ran.batches += 1
                    taken += counts.total()
                progress(ran)
        return ran

    def _take(self, lanes: Sequence[str], left: int | None) -> list[UUID]:
        """Take up as many batches as there are threads: issued ones that nobody fetches first, then due mails."""
        found: list[UUID] = []
        with self._pool.connection() as connection:
            for place, lane in enumerate(lanes):
                # Each lane gets its share, so that none waits for the backlog of another.
                room = math.ceil((self._settings.threads - len(found)) / (len(lanes) - place))
                overdue = self._overdue(connection, lane, room, left)
                found += [batch for batch, _ in overdue]
                room -= len(overdue)
                if left is not None:
                    left -= sum(size for _, size in overdue)
                if room > 0 and (left is None or left > 0):
                    issued = self._issue(connection, lane, first=place == 0, room=room, left=left)
                    found += issued
                    if left is not None:
                        left -= sum(len(running_store.held_by(connection, batch)) for batch in issued)
        return found

    def _wait_s(self, lanes: Sequence[str]) -> float | None:
        """Say how long a rate holds up mail that is due; None when it is not a rate that does, or nothing is due."""
        with self._pool.connection() as connection:
            due = running_store.due(connection, lane=None)
            rows = flow_store.read(connection, lanes=lanes, account=self._settings.account)
        waits = [
            allowance(row.window, in_flight=row.in_flight, now=row.now, batch_mails=1).wait_s
            for row in rows
            if row.window.state == OPEN and due.get(row.lane)
        ]
        return min((max(_SHORTEST_S, wait) for wait in waits if wait is not None), default=None)

    def _overdue(
        self, connection: Connection, lane: str, room: int, left: int | None
    ) -> list[tuple[UUID, int]]:
        values = {"name": lane, "after_s": self._settings.pull_after_s, "limit": room}
        ids = [row[0] for row in connection.execute(OVERDUE_LANE, values).fetchall()] if room > 0 else []
        chosen: list[tuple[UUID, int]] = []
        for batch in ids:
            size = len(running_store.held_by(connection, batch))
            if size and (left is None or size <= left):
                chosen.append((batch, size))
                left = None if left is None else left - size
        return chosen

    def _issue(
        self, connection: Connection, lane: str, *, first: bool, room: int, left: int | None
    ) -> list[UUID]:
        configured = self._settings
        names = [lane]
        if first and lane == configured.lane_names[0]:
            # As the relay does: what waits in a lane that was removed goes with the first one.
            names += lanes_store.lanes_orphaned(connection, configured.lane_names)
        flow_store.add(
            connection,
            lane=lane,
            account=configured.account,
            ceiling=configured.window,
            rate=configured.lane_rates.get(lane),
        )
        issued = relay_store.issue(
            connection,
            lane=lane,
            lanes=names,
            account=configured.account,
            mark=_EPOCH,
            batch_mails=configured.batch_mails,
            batch_bytes=configured.batch_bytes,
            publish_timeout_s=configured.claim_lease_s,
            policy=configured.flow_policy,
            # What goes to the SMTP relay by now is left to the relay.
            statement=STATEMENTS[primary_takes(configured.fallback, configured=bool(configured.smtp_server))][
                1
            ],
            most_batches=room,
            most_mails=left,
        )
        return list(issued.batches)

    def _deliver(self, batch: UUID) -> Counter[str]:
        with self._pool.connection() as connection:
            ids = running_store.held_by(connection, batch)
        if not ids:
            return Counter()
        self._delivery.deliver(batch)
        if not self._claims.claimed:
            return Counter({ELSEWHERE: len(ids)})
        with self._pool.connection() as connection:
            found = running_store.became(connection, batch, ids)
        counts = Counter("sent" if each.status in _PROVEN else each.status for each in found)
        counts[NOT_POSTED] += len(ids) - len(found)
        return +counts
