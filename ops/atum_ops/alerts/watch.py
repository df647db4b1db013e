"""`alerts watch`: looks at the system every so often, and tells receivers what the decisions of `watching` ask for.

::

    every round:  snapshot, memory ◀── Postgres      (reads)
                  looked ─▶ due                      (decisions)
                  receivers                          (nothing is open meanwhile)
                  memory, tries ──▶ Postgres         (one short transaction)

Of several watchers one leads, by a lock that goes with its connection, and that with its silence; the others stand by. While Postgres is away, whoever
led goes on from memory, and writes down afterwards what happened. One that stood by does so too, but later: nobody can be
asked who leads, and two notices are better than none.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

import psycopg

from atum_ops.alerts import catalogue, watch_store, watching
from atum_ops.alerts.alert import Area, Seen
from atum_ops.alerts.breach import Kind, Times, breach, document, measured
from atum_ops.alerts.cutting import cut_after
from atum_ops.alerts.past import Past
from atum_ops.alerts.telling import Telling
from atum_ops.alerts.watch_store import Try
from atum_ops.alerts.watching import Memory, Pace
from atum_ops.signals import store as signals
from atum_schema import database, traces
from atum_schema.live import Live

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from atum_ops.alerts.alert import Alert
    from atum_ops.alerts.breach import Breach
    from atum_ops.alerts.receivers.receiver import Receiver
    from atum_ops.alerts.watching import Due
    from atum_ops.signals.snapshot import Snapshot
    from atum_schema.database import Connection
    from atum_schema.settings import Settings

log = logging.getLogger(__name__)

STANDBY_S: Final = 300.0
"""How much longer one that stood by waits before it tells that the database is away."""

SILENT_S: Final = 60.0
SILENT_ROUNDS: Final = 2
"""A leader that Postgres has not heard for so long, and for so many rounds, leads no more: its host is off, or it hangs."""

_ANSWER_S: Final = 20.0
_FORGET_EVERY_S: Final = 3600.0
_TRIES: Final = 10_000


class Round(NamedTuple):
    """What a round came to."""

    #: Alerts that fire and have not ended.
    firing: tuple[str, ...]
    #: Whether this one leads; False also while the database is away.
    leads: bool
    #: Whether the database could be read.
    was_read: bool
    tries: tuple[Try, ...]


class _Sight(NamedTuple):
    """What a round begins with."""

    now: Snapshot | None
    before: Snapshot | None
    memory: Memory
    at: float


class Watch:
    """Watches until it is stopped. `run` is for one thread, `stop` for any.

    `clock` makes the time that decides from that of the database: tests let it pass as they like.
    """

    def __init__(
        self,
        settings: Settings,
        receivers: Sequence[Receiver],
        *,
        every_s: float,
        clock: Callable[[float], float] = lambda at: at,
    ) -> None:
        self._settings = settings
        self._live = Live(settings)
        self._listeners = [receiver.listener for receiver in receivers]
        self._telling = Telling(receivers)
        self._every_s = every_s
        self._clock = clock
        self._stopping = threading.Event()
        self._connection: Connection | None = None
        #: Of the connection; and whether it was so when the database was there last (None: it never was).
        self._leads = False
        self._led: bool | None = None
        self._is_away = False
        self._past = Past()
        self._memory = Memory()
        #: What Postgres knows, where that is less than we do, and the tries it does not know of.
        self._stored: Memory | None = None
        self._unwritten: list[Try] = []
        #: The database's clock minus ours.
        self._offset_s = time.time() - time.monotonic()
        self._forget_at = 0.0

    def run(self) -> None:
        """Watch until `stop`. Raises `psycopg.errors.UndefinedTable` where there is no schema yet."""
        log.info("alerts: serving", extra={"receivers": [one.name for one in self._listeners]})
        try:
            while not self._stopping.is_set():
                began = time.monotonic()
                self.round()
                self._stopping.wait(max(0.0, self._every_s - (time.monotonic() - began)))
        finally:
            self.close()
        log.info("alerts: stopped")

    def stop(self) -> None:
        """End after the try in hand."""
        self._stopping.set()
        self._telling.stop()

    def close(self) -> None:
        """Let go of the database, and of the lead."""
        if self._connection is not None:
            with suppress(psycopg.Error):
                self._connection.close()
        self._connection = None
        self._leads = False

    def round(self) -> Round:
        """Look once, tell who is to be told, and write it down."""
        sight = self._look()
        settings = self._live.now
        alerts = self._alerts(settings, sight)
        pace = Pace(settings.alert_cooldown_seconds, self._every_s)
        if sight.now is not None and not self._leads:
            self._memory = sight.memory
            return Round(_firing(alerts, sight.memory, sight.at, pace), False, True, ())
        before = sight.memory
        past = watching.rewound(before, sight.at)
        seen = Seen(sight.now, sight.before, watching.deaf(past))
        memory = Memory(watching.looked(alerts, past.alerts, seen, sight.at, pace), past.heard)
        _log_changes(before, memory)
        memory, tries = self._tell(self._audible(alerts, sight), memory, sight, pace, settings)
        memory = watching.tidied(alerts, memory, self._listeners, sight.at, pace)
        self._keep(before, memory, tries, sight.at)
        return Round(
            _firing(alerts, memory, sight.at, pace), self._leads, sight.now is not None, tuple(tries)
        )

    def _alerts(self, settings: Settings, sight: _Sight) -> tuple[Alert, ...]:
        alerts = catalogue.alerts(settings)
        if sight.now is None and self._led is False:
            return tuple(alert._replace(for_s=alert.for_s + int(STANDBY_S)) for alert in alerts)
        return alerts

    def _audible(self, alerts: Sequence[Alert], sight: _Sight) -> Sequence[Alert]:
        """Leave out what nobody can know while the database is away, and what one that stands by leaves to the other."""
        if sight.now is not None:
            return alerts
        areas = {Area.DATABASE} if self._led is False else {Area.DATABASE, Area.ALERTING}
        return [alert for alert in alerts if alert.area in areas]

    def _look(self) -> _Sight:
        if self._connection is not None:
            # A connection may be broken although the server is there: only a new one tells.
            with suppress(psycopg.Error):
                return self._read(self._connection)
            self.close()
        try:
            url = self._settings.database_url.get_secret_value()
            self._connection = database.connect(url, name="alerts")
            return self._read(self._connection)
        except psycopg.errors.UndefinedTable:
            raise
        except psycopg.Error as error:
            if not self._is_away:
                log.error("alerts: the database cannot be read", extra=traces.kind(error))  # noqa: TRY400
            self._is_away = True
            self.close()
            at = round(self._clock(time.monotonic() + self._offset_s), 6)
            return _Sight(None, None, self._memory, at)

    def _read(self, connection: Connection) -> _Sight:
        with cut_after(connection, _ANSWER_S):
            sight = self._sight(connection)
        self._is_away = False
        return sight

    def _sight(self, connection: Connection) -> _Sight:
        if not self._leads:
            silent_s = SILENT_S + SILENT_ROUNDS * self._every_s
            self._leads = watch_store.lead(connection, silent_s=silent_s)
            if self._leads != self._led:
                if self._leads:
                    log.info("alerts: watching")
                else:
                    log.info("alerts: another one watches; standing by")
            self._led = self._leads
        self._live.refresh(connection, every_s=0)
        now = signals.read(connection, self._live.now)
        self._offset_s = now.at - time.monotonic()
        at = round(self._clock(now.at), 6)
        self._write(connection, self._memory, at)
        memory = watch_store.load(connection)
        if self._leads and time.monotonic() >= self._forget_at:
            self._forget_at = time.monotonic() + _FORGET_EVERY_S
            watch_store.forget(connection, days=self._live.now.retention_days)
        return _Sight(now, self._past.before(now), memory, at)

    def _write(self, connection: Connection, memory: Memory, at: float) -> None:
        """Write down what Postgres does not know yet."""
        if self._stored is not None:
            watch_store.save(connection, self._stored, memory, self._unwritten, at=at)
            self._stored, self._unwritten = None, []

    def _keep(self, before: Memory, memory: Memory, tries: list[Try], at: float) -> None:
        """Remember it, and write it down if the database is there."""
        self._memory = memory
        self._stored = before if self._stored is None else self._stored
        self._unwritten = [*self._unwritten, *tries][-_TRIES:]
        if self._connection is None:
            return
        try:
            with cut_after(self._connection, _ANSWER_S):
                self._write(self._connection, memory, at)
        except psycopg.Error as error:
            log.error("alerts: what was told cannot be written", extra=traces.kind(error))  # noqa: TRY400
            self.close()

    def _tell(
        self, alerts: Sequence[Alert], memory: Memory, sight: _Sight, pace: Pace, settings: Settings
    ) -> tuple[Memory, list[Try]]:
        dues = watching.due(alerts, memory, self._listeners, sight.at, pace)
        metrics = measured(sight.now, least=settings.alert_failure_rate_least)
        notices: dict[str, list[Breach]] = {}
        by_id: dict[str, Due] = {}
        for due in dues:
            ended_at = sight.at if due.kind is Kind.RESOLVED else None
            since, fired_at = due.known.since, due.known.fired_at
            notice = breach(
                due.alert,
                due.kind,
                id=due.id,
                value=due.known.value,
                metrics=metrics,
                times=Times(since, since if fired_at is None else fired_at, ended_at, sight.at),
                settings=settings,
            )
            notices.setdefault(due.receiver, []).append(notice)
            by_id[due.id] = due
        heard = dict(memory.heard)
        tries = []
        for notice, receiver, failure in self._telling.tell(notices):
            due = by_id[notice.id]
            key = (due.alert.name, receiver)
            heard[key] = watching.told(due, heard.get(key), sight.at, failure)
            tries.append(Try(sight.at, due.alert.name, receiver, due.kind, failure, document(notice)))
            about = {"receiver": receiver, "alert": due.alert.name, "kind": due.kind}
            if failure is None:
                log.info("alerts: a receiver was told", extra=about)
            else:
                log.warning("alerts: a receiver was not told", extra={**about, "reason": failure})
        return memory._replace(heard=heard), tries


def _firing(alerts: Sequence[Alert], memory: Memory, at: float, pace: Pace) -> tuple[str, ...]:
    known = [(alert, memory.alerts.get(alert.name)) for alert in alerts]
    return tuple(
        alert.name
        for alert, one in known
        if one is not None and one.fired_at is not None and not watching.has_ended(alert, one, at, pace)
    )


def _log_changes(before: Memory, after: Memory) -> None:
    for name, known in after.alerts.items():
        was = before.alerts.get(name)
        if known.fired_at is not None and (was is None or was.fired_at != known.fired_at):
            log.warning("alerts: one fires", extra={"alert": name})
