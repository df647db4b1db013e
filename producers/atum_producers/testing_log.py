"""The log in memory: answers the statements of the mailers' own scripts, as Postgres does.

No decision is made here a second time. Idempotency, cancelling and every change of status are the scripts of
`atum_schema.accept`, `atum_schema.moves` and `atum_producers.store`; this file only stores and finds.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from atum_producers import store
from atum_producers.store import MailState
from atum_schema import accept, moves
from atum_schema.status import ENDED, WAITING, Status

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from atum_schema.mail import Mail
    from atum_schema.script import Script

_T = TypeVar("_T")
_Values: TypeAlias = Mapping[str, Any]
_Rows: TypeAlias = Iterable[tuple[Any, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class EnqueuedMail:
    """A mail that was enqueued, and where it is."""

    #: As it was read back from its JSON document.
    mail: Mail
    #: Name of the application that enqueued it.
    client: str
    #: The lane that was chosen for it.
    lane: str
    state: MailState

    @property
    def id(self) -> UUID:
        """What `enqueue` gave for it."""
        return self.state.id

    @property
    def status(self) -> Status:
        """Where it is."""
        return self.state.status


class MemoryLog:
    """Mails of all clients in the order in which they were stored. Thread-safe: one script runs at a time."""

    def __init__(self) -> None:
        #: Held while a script runs; notified after each.
        self.changed = threading.Condition(threading.RLock())
        self._ahead = timedelta()
        self._mails: dict[UUID, EnqueuedMail] = {}
        self._offered: dict[UUID, Mail] = {}
        self._remembered: dict[tuple[str, str], accept.Remembered] = {}
        self._answers: dict[str, Callable[[_Values], _Rows]] = {
            accept.REMEMBER: self._remember,
            accept.RECALL: self._recall,
            accept.FORGET: self._forget,
            accept.KNOWN_IDS: self._known_ids,
            accept.INSERT: self._insert,
            store.STATE: self._state,
            moves.LOCK_HOLDERS: self._nothing,
            moves.LOCK: self._lock,
            moves.READY: self._ready,
            moves.MOVE: self._move,
        }

    def run(self, script: Script[_T], offered: Iterable[tuple[UUID, Mail]] = ()) -> _T:
        """Run a script to its end; `offered` are the mails that it may store, by the ids that they would get."""
        with self.changed:
            self._offered = dict(offered)
            try:
                statement = next(script)
                while True:
                    rows = list(self._answers[statement.sql](statement.values))
                    row = statement.row
                    statement = script.send(rows if row is None else [row(*each) for each in rows])
            except StopIteration as end:
                result: _T = end.value
                return result
            finally:
                self.changed.notify_all()

    def now(self) -> datetime:
        """Tell the time of this log: the real one, and by how much it was set ahead."""
        return datetime.now(UTC) + self._ahead

    def advance(self, by: timedelta) -> None:
        """Set the time ahead."""
        if by < timedelta():
            raise ValueError(f"time goes forward only, not by {by}")
        with self.changed:
            self._ahead += by
            self.changed.notify_all()

    def mails(self) -> list[EnqueuedMail]:
        """Give every mail with its status now."""
        with self.changed:
            return [replace(each, state=self._now(each)) for each in self._mails.values()]

    def due(self) -> list[EnqueuedMail]:
        """Give the mails that a relay would issue now."""
        now = self.now()
        return [each for each in self.mails() if each.status in WAITING and _due_at(each) <= now]

    def _now(self, each: EnqueuedMail) -> MailState:
        """Give the state as `store.STATE` derives it: a scheduled mail whose moment has come is queued."""
        if each.status is Status.SCHEDULED and _due_at(each) <= self.now():
            return replace(each.state, status=Status.QUEUED)
        return each.state

    def _nothing(self, _values: _Values) -> _Rows:
        return ()

    def _state(self, values: _Values) -> _Rows:
        found = self._mails.get(values["id"])
        if found is not None:
            yield astuple(self._now(found))

    def _remember(self, values: _Values) -> _Rows:
        for row in _rows(values, "clients", "keys", "fingerprints", "ids"):
            remembered = accept.Remembered(*row)
            if (remembered.client, remembered.key) not in self._remembered:
                self._remembered[remembered.client, remembered.key] = remembered
                yield (remembered.mail_id,)

    def _recall(self, values: _Values) -> _Rows:
        return [
            self._remembered[pair] for pair in _rows(values, "clients", "keys") if pair in self._remembered
        ]

    def _forget(self, values: _Values) -> _Rows:
        for pair in _rows(values, "clients", "keys"):
            del self._remembered[pair]
        return ()

    def _known_ids(self, values: _Values) -> _Rows:
        found = [self._mails[mail_id] for mail_id in values["ids"] if mail_id in self._mails]
        return [(each.id, each.client, each.mail.subject) for each in found]

    def _insert(self, values: _Values) -> _Rows:
        now = self.now()
        for mail_id, client, lane, send_at in _rows(values, "ids", "clients", "lanes", "send_at"):
            later = send_at is not None and send_at > now
            state = MailState(
                id=mail_id,
                status=Status.SCHEDULED if later else Status.QUEUED,
                reason=None,
                detail=None,
                provider_message_id=None,
                accepted_at=now,
                due_at=None,
                finished_at=None,
            )
            self._mails[mail_id] = EnqueuedMail(
                mail=self._offered[mail_id], client=client, lane=lane, state=state
            )
        return ()

    def _lock(self, values: _Values) -> _Rows:
        found = [self._mails[mail_id] for mail_id in values["ids"] if mail_id in self._mails]
        return [(each.id, each.status.value, 0, 0) for each in found]

    def _ready(self, values: _Values) -> _Rows:
        # What waits is never in a batch here.
        return [(mail_id,) for mail_id in values["ids"]]

    def _move(self, values: _Values) -> _Rows:
        # Only what waits is moved here, so no fact comes late: each move is news, a repeated retry too.
        now = self.now()
        names = ("mail_ids", "statuses", "reasons", "details", "due_s", "message_ids")
        for mail_id, status, reason, detail, due_s, message_id in _rows(values, *names):
            before = self._mails[mail_id]
            state = replace(
                before.state,
                status=Status(status),
                reason=reason,
                detail=detail,
                provider_message_id=before.state.provider_message_id or message_id,
                due_at=None if due_s is None else now + timedelta(seconds=due_s),
                finished_at=now if status in ENDED else None,
            )
            self._mails[mail_id] = replace(before, state=state)
        return ()


def _rows(values: _Values, *names: str) -> _Rows:
    """Give the rows that `unnest` makes of these arrays."""
    return zip(*(values[name].values for name in names), strict=True)


def _due_at(each: EnqueuedMail) -> datetime:
    return each.state.due_at or each.mail.send_at or each.state.accepted_at
