"""PostgreSQL, as far as the promises lean on it: serialised transactions, and what a crash takes back.

A transaction is a function that runs at once and commits or raises. Commits that do not wait for the disk may be lost
in a crash, the last ones first, until a commit that waits makes all before it durable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from tests.world import promises
from tests.world.promises import Broken, Promise
from tests.world.rows import Attempt, Batch, DeadLetter, Event, Mail, Ready

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from atum_schema.flow import Window
    from atum_schema.status import Cause, Status

T = TypeVar("T")


class Away(Exception):
    """The database does not answer; a commit may have happened or not."""


class Store:
    """The tables; rows are values, so that undoing is putting the old ones back."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.now = 0.0
        self.mail: dict[int, Mail] = {}
        self.ready: dict[int, Ready] = {}
        self.batch: dict[int, Batch] = {}
        self.attempt: dict[tuple[int, int], Attempt] = {}
        self.event: dict[int, Event] = {}
        self.dead_letter: dict[int, DeadLetter] = {}
        self.flow: dict[str, Window] = {}
        #: By lane, when the request began that last was answered well and told to the window.
        self.good: dict[str, float] = {}
        self.away_until = 0.0
        #: Grows with each commit that changed something.
        self.version = 0
        #: Posting marks by batch and token: what is durable stays here.
        self.marks: dict[tuple[int, int], tuple[int, ...]] = {}
        #: Anchors by batch, latest last; kept when the batch is gone.
        self.anchors: dict[int, float] = {}
        #: Lanes whose pause a person was told to be done.
        self.paused: list[str] = []
        self._last_id = 100
        self._last_event = 0
        self._undo: list[tuple[dict[Any, Any], Any, Any]] = []
        self._boundaries: list[int] = []

    def new_id(self) -> int:
        """Give an id that nobody had before, crash or not."""
        self._last_id += 1
        return self._last_id

    def put(self, table: dict[Any, Any], key: Any, row: Any) -> None:
        """Write a row; None deletes it."""
        self._undo.append((table, key, table.get(key)))
        if row is None:
            table.pop(key, None)
        else:
            table[key] = row

    def insert(self, table: dict[Any, Any], key: Any, row: Any) -> None:
        """Write a row that must be new. Raises `Broken`."""
        if key in table:
            raise Broken(Promise.KEYS, f"{row} is there already: {table[key]}")
        self.put(table, key, row)

    def explain(self, mail: int, cause: Cause, was: Status | None, status: Status) -> None:
        """Write an event."""
        self._last_event += 1
        self.put(self.event, self._last_event, Event(mail, cause, was, status, self.now))

    def events_of(self, mail: int) -> list[Event]:
        """Give the events of a mail in order."""
        return [event for event in self.event.values() if event.mail == mail]

    def run(self, work: Callable[[], T], *, synchronous: bool) -> T:
        """Run a transaction and commit it. Raises `Away` where the database is."""
        if self.now < self.away_until:
            raise Away
        before = len(self._undo)
        result = work()
        if len(self._undo) > before:
            self.version += 1
            promises.owned_once(self)
            self._boundaries.append(len(self._undo))
        if synchronous:
            self._undo.clear()
            self._boundaries.clear()
        return result

    def crash(self, away_s: float) -> int:
        """Lose some of the commits that did not wait, and be away; give how many were lost."""
        kept = self.rng.randint(0, len(self._boundaries))
        lost = len(self._boundaries) - kept
        mark = self._boundaries[kept - 1] if kept else 0
        while len(self._undo) > mark:
            table, key, row = self._undo.pop()
            if row is None:
                table.pop(key, None)
            else:
                table[key] = row
        self._undo.clear()
        self._boundaries.clear()
        self.away_until = self.now + away_s
        self.version += 1
        return lost

    def in_flight(self, lane: str) -> int:
        """Count the batches that occupy the lane's window."""
        return sum(1 for b in self.batch.values() if b.lane == lane and b.state != "unknown")
