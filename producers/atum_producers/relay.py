"""The relay: moves due mail into batches, and their tickets to RabbitMQ.

Threads that never wait for each other: this one issues, the publisher talks to RabbitMQ, the sweeper brings back what got
lost, and one looks how long the queues are that only RabbitMQ knows. All state is in Postgres, so any number of relays may
run and any may be killed.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import psycopg

from atum_producers import relay_store as store
from atum_producers.depths import Depths
from atum_producers.fallback_store import STATEMENTS
from atum_producers.metering import RelayMetering
from atum_producers.publisher import Publisher
from atum_producers.sweeper import Sweeper
from atum_schema import database, fallback, flow_store, topology, traces
from atum_schema.fallback import SMTP, Taking
from atum_schema.formats import ticket
from atum_schema.garbage import look_for_garbage_seldom
from atum_schema.heartbeat import Heartbeat
from atum_schema.live import REFRESH_S, Live
from atum_schema.metrics import Meter, serving
from atum_schema.metrics_logs import counting_logs
from atum_schema.seldom import Seldom
from atum_schema.steps import Reached, Step, go_on

if TYPE_CHECKING:
    from atum_schema.database import Connection
    from atum_schema.settings import Settings

log = logging.getLogger(__name__)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_RECONNECT_S: Final = 0.5
_SHORTEST_SLEEP_S: Final = 0.01
# A transaction that began long ago may commit mail with an old due time: every so often all due times are looked at.
_FULL_SCAN_S: Final = 1.0
_SLACK: Final = timedelta(seconds=2)
# An SMTP relay takes one mail after the other: what a batch holds must be through before its deadline.
_SMTP_MAILS: Final = 25


class Lane:
    """What the relay remembers of a lane and account between two looks: where to start looking, and for what."""

    def __init__(self, name: str, account: str) -> None:
        self.name = name
        self.account = account
        #: Which mails the account may be given, as of the last look.
        self.taking = Taking.ANY
        self._mark = _EPOCH
        #: The mark of the last look; issuing begins at the same place.
        self.looked_from = _EPOCH
        self._full_scan_due = 0.0

    def mark(self) -> datetime:
        """Give the due time from which to look: all of them now and then, else the low-water mark."""
        if time.monotonic() >= self._full_scan_due:
            self._full_scan_due = time.monotonic() + _FULL_SCAN_S
            self.looked_from = _EPOCH
        else:
            self.looked_from = self._mark
        return self.looked_from

    def note(self, issued: store.Issued) -> None:
        """Move the mark along with a backlog; start from the beginning once it is gone."""
        self._mark = issued.last_due - _SLACK if issued.last_due is not None else _EPOCH


class Relay:
    """Runs until `stop()`. Survives the loss of Postgres and RabbitMQ, in any order and for any time."""

    def __init__(self, settings: Settings, *, reached: Reached = go_on) -> None:
        self._settings = settings
        self._live = Live(settings)
        self._reached = reached
        self._id = uuid.uuid4()
        self._stopping = threading.Event()
        self._complaints = Seldom()
        names = settings.lane_names
        self._lanes = [Lane(name, settings.account) for name in names]
        #: The same lanes once more, for the SMTP relay that may stand in; none where none is set up.
        self._smtp_lanes = [Lane(name, SMTP) for name in names] if settings.smtp_server else []
        self._why: dict[str, str] = {}
        self._meter = Meter("relay", values={"lane": names})
        self._metering = RelayMetering(self._meter, lambda: self._publisher.standing)
        self._publisher = Publisher(
            settings.need_amqp_url(),
            queues=[
                *map(topology.deliver_queue, names),
                topology.RECONCILE,
                topology.MAINTAIN,
                topology.DEAD,
            ],
            timeout_s=settings.publish_timeout_s,
            reached=reached,
            became=self._metering.became,
            opened=self._metering.opened,
        )
        self._heart = Heartbeat(
            settings.database_url.get_secret_value(),
            "relay",
            broker=lambda: self._publisher.standing.value,
            lanes=names,
        )
        self._depths = Depths(settings.need_amqp_url(), queues=topology.UNSEEN)
        self._sweeper = Sweeper(
            settings, self._publisher, self._stopping, reached, self._metering.swept, self._depths.take
        )

    def stop(self) -> None:
        """Ask the relay to stop; safe from a signal handler. `run` returns within a poll interval."""
        self._stopping.set()

    def run(self) -> None:
        """Serve until `stop()` is called. Raises `SettingsError` when metrics cannot be served."""
        serving(self._meter, self._settings)
        look_for_garbage_seldom()
        with counting_logs(self._meter):
            self._run()

    def _run(self) -> None:
        self._publisher.start()
        self._sweeper.start()
        self._depths.start()
        self._heart.start()
        try:
            while not self._stopping.is_set():
                self._serve_one_connection()
        finally:
            self._stopping.set()
            self._depths.stop()
            self._sweeper.join()
            self._publisher.stop()
            self._heart.close()

    def _serve_one_connection(self) -> None:
        try:
            with database.connect(self._settings.database_url.get_secret_value(), name="relay") as connection:
                self._prepare(connection)
                log.info("serving", extra={"lanes": [lane.name for lane in self._lanes]})
                while not self._stopping.is_set():
                    if self._live.refresh(connection, every_s=REFRESH_S):
                        self._limit(connection)
                    looks = self._look(connection)
                    self._heart.worked()
                    self._metering.looked()
                    if not self._issue_where_due(connection, looks):
                        self._sleep(connection, looks)
                store.wake(connection, self._id)
        except psycopg.Error as error:
            if not database.is_transient(error):
                raise
            if self._complaints.due():
                log.warning("relay: the database is away; connecting again", extra=traces.kind(error))
            self._stopping.wait(_RECONNECT_S)

    def _prepare(self, connection: Connection) -> None:
        self._sweeper.look_through(connection)
        self._live.refresh(connection)
        connection.execute("LISTEN atum_ready")
        self._limit(connection)

    def _limit(self, connection: Connection) -> None:
        """Give the windows the limits of the settings as they are now."""
        settings = self._live.now
        for lane in [*self._lanes, *self._smtp_lanes]:
            flow_store.ensure(
                connection,
                lane=lane.name,
                account=lane.account,
                ceiling=settings.window,
                rate=settings.lane_rates.get(lane.name),
            )

    def _look(self, connection: Connection) -> list[store.Look]:
        """Glance at every lane and account that may be given mail now."""
        now = self._live.now
        takes = fallback.primary_takes(now.fallback, configured=bool(self._smtp_lanes))
        looks = self._look_for(connection, self._lanes, takes)
        windows = {look.lane: look.flow for look in looks}
        wanted: dict[Taking, list[Lane]] = {}
        for lane in self._smtp_lanes:
            if (row := windows.get(lane.name)) is not None:
                decision = fallback.decide(
                    now.fallback,
                    configured=True,
                    after_s=now.fallback_after_s,
                    primary=row.window,
                    now=row.now,
                )
                self._tell(lane, decision)
                wanted.setdefault(decision.smtp, []).append(lane)
        wanted.pop(Taking.NOTHING, None)
        return looks + [look for t, lanes in wanted.items() for look in self._look_for(connection, lanes, t)]

    def _look_for(self, connection: Connection, lanes: list[Lane], taking: Taking) -> list[store.Look]:
        for lane in lanes:
            lane.taking = taking
        return store.look(
            connection,
            lanes=[lane.name for lane in lanes],
            marks=[lane.mark() for lane in lanes],
            orphaned=list(self._sweeper.orphaned_lanes()) if lanes[0].name == self._lanes[0].name else [],
            account=lanes[0].account,
            statement=STATEMENTS[taking][0],
        )

    def _tell(self, lane: Lane, decision: fallback.Decision) -> None:
        """Say once when new mail of a lane begins to go to the SMTP relay, and when it ends."""
        before = self._why.get(lane.name, "off")
        self._why[lane.name] = decision.why
        if decision.in_use != (before in fallback.IN_USE):
            whose = "the SMTP relay" if decision.in_use else "the provider again"
            log.warning(
                "fallback: new mail of a lane goes another way",
                extra={"lane": lane.name, "now": whose, "reason": decision.why},
            )

    def _issue_where_due(self, connection: Connection, looks: list[store.Look]) -> bool:
        """Issue in every lane that has mail due and room for it; whether anything was issued."""
        issuable = {(look.lane, look.flow.account) for look in looks if look.due and look.room > 0}
        lanes = [*self._lanes, *self._smtp_lanes]
        counts = [self._issue(connection, lane) for lane in lanes if (lane.name, lane.account) in issuable]
        return any(counts)

    def _issue(self, connection: Connection, lane: Lane) -> int:
        settings = self._live.now
        self._reached(Step.ISSUING)
        issued = store.issue(
            connection,
            lane=lane.name,
            lanes=[lane.name, *self._sweeper.orphaned_lanes()]
            if lane.name == self._lanes[0].name
            else [lane.name],
            account=lane.account,
            mark=lane.looked_from,
            batch_mails=min(settings.batch_mails, _SMTP_MAILS)
            if lane.account == SMTP
            else settings.batch_mails,
            batch_bytes=settings.batch_bytes,
            publish_timeout_s=settings.publish_timeout_s,
            policy=settings.flow_policy,
            statement=STATEMENTS[lane.taking][1],
        )
        self._reached(Step.ISSUED)
        self._metering.issued(lane.name, len(issued.batches))
        lane.note(issued)
        self._publisher.publish([ticket(batch, lane.name) for batch in issued.batches])
        return len(issued.batches)

    def _sleep(self, connection: Connection, looks: list[store.Look]) -> None:
        """Sleep until mail comes, a window has room or may have by now, or the poll interval is over.

        Nobody is told to notify about what would not help: mail that has no room, or room that no mail waits for.
        The look after falling asleep closes the gap in which a producer saw nobody sleeping. What it still misses
        (a statement that looked before, and commits after) waits for the poll.
        """
        full = [look for look in looks if look.due and look.room <= 0]
        store.fall_asleep(
            connection,
            self._id,
            self._settings.poll_s * 2 + 1,
            for_mail=len(full) < len(looks),
            for_room=bool(full),
        )
        again = self._look(connection)
        if any(look.due and look.room > 0 for look in again):
            store.wake(connection, self._id)
            return
        waits = [look.wait_s for look in again if look.due and look.wait_s is not None]
        timeout = min([self._settings.poll_s, REFRESH_S, *[max(_SHORTEST_SLEEP_S, wait) for wait in waits]])
        for _ in connection.notifies(timeout=timeout, stop_after=1):
            break
        store.wake(connection, self._id)
