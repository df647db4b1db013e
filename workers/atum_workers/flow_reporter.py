"""Telling the windows what became of requests, on a thread of its own: delivering never waits for it.

Good answers to a window that they would not change are only counted, and written once a second. What may change it is
written at once, everything that came meanwhile together. A crash loses what was not written yet; the next answers say
it again.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

import psycopg
from psycopg_pool import PoolTimeout

from atum_schema import flow, flow_store, recall, traces
from atum_schema.flow import OPEN, Good, Report, Signal, Window
from atum_workers.flow_report import signal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from psycopg_pool import ConnectionPool

    from atum_schema.database import Connection
    from atum_schema.flow import Policy, Uniform
    from atum_schema.flow_store import Flow
    from atum_workers.outcome import Outcome

log = logging.getLogger(__name__)

_STEADY_S: Final = 1.0
_GROWING_S: Final = 0.05
_AFTER_ERROR_S: Final = 0.5


class Noted(NamedTuple):
    """A signal that is not written yet, and when its request began by `time.monotonic`."""

    signal: Signal
    began: float


@dataclass(slots=True)
class _Pending:
    notes: list[Noted] = field(default_factory=list)
    #: The window as it was last written by us; None before that.
    window: Window | None = None
    not_before: float = 0.0

    def add(self, note: Noted) -> None:
        last = self.notes[-1] if self.notes else None
        if last is not None and isinstance(last.signal, Good) and isinstance(note.signal, Good):
            both = Good(last.signal.mails + note.signal.mails, last.signal.requests + note.signal.requests)
            self.notes[-1] = Noted(both, max(last.began, note.began))
        else:
            self.notes.append(note)

    def due(self) -> float:
        """Say when to write, by `time.monotonic`; never when there is nothing."""
        if not self.notes:
            return float("inf")
        urgent = self.window is None or self.window.state != OPEN
        urgent = urgent or any(not isinstance(note.signal, Good) for note in self.notes)
        return float("-inf") if urgent else self.not_before


class FlowReporter(threading.Thread):
    """Writes what `report` is told; stop it with `close`, which writes the rest."""

    def __init__(
        self,
        pool: ConnectionPool[Connection],
        policy: Callable[[], Policy],
        uniform: Uniform = random.uniform,
    ) -> None:
        super().__init__(name="atum-flow", daemon=True)
        self._pool = pool
        self._policy = policy
        self._uniform = uniform
        self._changed = threading.Condition()
        self._pending: dict[tuple[str, str], _Pending] = {}
        self._resting_until = float("-inf")
        self._closing = False

    def report(self, lane: str, account: str, outcomes: Sequence[Outcome], began: float) -> None:
        """Note the outcomes of a request that began then, by `time.monotonic`. Never waits and never raises."""
        with self._changed:
            pending = self._pending.setdefault((lane, account), _Pending())
            due = pending.due()
            pending.add(Noted(signal(outcomes), began))
            if pending.due() < due:
                self._changed.notify()

    def close(self) -> None:
        """Write what is left, and end. A database that is away is not waited for."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self.join()

    def run(self) -> None:
        """Write until `close`."""
        while True:
            with self._changed:
                while not self._closing and (rest := self._rest()) > 0:
                    self._changed.wait(None if rest == float("inf") else rest)
                closing = self._closing
                now = time.monotonic()
                work = [
                    (lane, self._take(pending))
                    for lane, pending in self._pending.items()
                    if closing or pending.due() <= now
                ]
            for (lane, account), notes in work:
                if notes:
                    self._write(lane, account, notes)
            if closing:
                return

    def _rest(self) -> float:
        due = min((pending.due() for pending in self._pending.values()), default=float("inf"))
        return max(due, self._resting_until) - time.monotonic()

    def _take(self, pending: _Pending) -> list[Noted]:
        notes, pending.notes = pending.notes, []
        return notes

    def _write(self, lane: str, account: str, notes: list[Noted]) -> None:
        try:
            with self._pool.connection() as connection:
                moved = flow_store.change(
                    connection, lambda row: self._told(row, notes), lane=lane, account=account
                )
        except (psycopg.Error, PoolTimeout) as error:
            log.warning("flow: the database is away; telling it again later", extra=traces.kind(error))
            self._put_back(lane, account, notes)
            return
        if moved is not None:
            self._follow(lane, account, *moved)
        with self._changed:
            pending = self._pending[lane, account]
            pending.window = None if moved is None else moved[1]
            steady = pending.window is not None and flow.is_steady(pending.window)
            pending.not_before = time.monotonic() + (_STEADY_S if steady else _GROWING_S)

    def _told(self, row: Flow, notes: Sequence[Noted]) -> Window:
        window, policy = row.window, self._policy()
        for note in notes:
            report = Report(note.signal, time.monotonic() - note.began)
            window = flow.after(window, report, row.now, policy, self._uniform)
        return window

    def _put_back(self, lane: str, account: str, notes: list[Noted]) -> None:
        with self._changed:
            pending = self._pending[lane, account]
            pending.notes = [*notes, *pending.notes]
            self._resting_until = time.monotonic() + _AFTER_ERROR_S

    def _follow(self, lane: str, account: str, before: Window, now: Window) -> None:
        """Say what has changed, and let it be felt at once."""
        if before.state == now.state:
            return
        if now.state == OPEN:
            log.warning("flow: a lane is open again", extra={"lane": lane, "account": account})
        else:
            log.error(
                "flow: a lane is not open",
                extra={"lane": lane, "account": account, "state": now.state, "reason": now.reason},
            )
        try:
            with self._pool.connection() as connection:
                _spread(connection, lane, account, now)
        except (psycopg.Error, PoolTimeout) as error:
            # Relays look by themselves, and what stays issued is posted as it would have been.
            log.warning(
                "flow: the database is away; the change of a lane is felt later",
                extra={"lane": lane, **traces.kind(error)},
            )


def _spread(connection: Connection, lane: str, account: str, now: Window) -> None:
    if now.state == OPEN:
        flow_store.wake_relays(connection)
        return
    back = recall.recall(connection, lane=lane, account=account, claimed=False, detail=f"lane is {now.state}")
    log.info("flow: mails of a lane wait again", extra={"lane": lane, "count": back})
