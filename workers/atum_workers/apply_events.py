"""Applying what the provider tells: from the inbox to facts about recipients, moves of mails, and suppressions.

::

    take ─▶ read ─▶ find the mail ─▶ suppress ─▶ prove acceptance ─▶ note facts ─▶ move the mail ─▶ settle the event
              │          │                                                                              (one transaction)
         unreadable      ├─ by our ids in its metadata
                         ├─ by its MessageID: the provider is asked, between two transactions
                         └─ nowhere: parked, and looked for again; given up after `park_s` seconds

Whatever the order in which events come, and however often, the facts are the same in the end, and so is the mail.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import orjson
import psycopg

from atum_schema import database, moves, suppression, traces, webhook
from atum_schema.errors import ContentUnreadable
from atum_schema.moves import Move
from atum_schema.script import run
from atum_schema.status import Cause
from atum_schema.tally import counting
from atum_schema.webhook import Kind
from atum_workers import event, proof, telling
from atum_workers import inbox_store as store
from atum_workers.event import Event, Whose
from atum_workers.postmark_api import ProviderFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from uuid import UUID

    from atum_schema.database import Connection
    from atum_schema.encryption import Keyring
    from atum_workers.inbox_store import About, Fact, Taken
    from atum_workers.telling import Place

log = logging.getLogger(__name__)

AT_ONCE: Final = 200
"""Events that one transaction applies, at most."""

_ASKED_AT_ONCE: Final = 20
_ASKING_S: Final = 300.0


class _Moved(Exception):
    """A relay moved a mail while it was being locked: begin again in a new transaction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Applying:
    """Everything that applying needs; built once, used by all threads."""

    keyring: Keyring
    #: Asks the provider whose mail a MessageID is. Raises `ProviderFailed`.
    locate: Callable[[str], Place | Whose]
    #: Whether content goes once the mail is accepted.
    drop_content: bool
    #: Seconds for which a mail is looked for that an event belongs to.
    park_s: float

    def round(self, connection: Connection) -> int:
        """Apply the events that have been due for longest, at most `AT_ONCE`; give how many were taken."""
        try:
            return self._round(connection)
        except psycopg.Error as error:
            if database.is_transient(error):
                raise
            log.error("events: the database refuses a group, each goes alone", extra=traces.kind(error))  # noqa: TRY400
            return sum(self._alone(connection) for _ in range(AT_ONCE))

    def _alone(self, connection: Connection) -> int:
        """Apply one event; one that the database refuses is put aside, so that it harms no other."""
        with connection.transaction():
            taken = store.take(connection, limit=1)
            try:
                with connection.transaction():
                    self._apply(connection, [self._read(each) for each in taken], may_ask=True)
            except psycopg.Error as error:
                if database.is_transient(error):
                    raise
                log.error("events: the database refuses an event", extra=traces.kind(error))  # noqa: TRY400
                store.settle(
                    connection, [event.parked(each, "refused", park_s=self.park_s) for each in taken]
                )
            except _Moved:
                return 1
        return len(taken)

    def _round(self, connection: Connection) -> int:
        try:
            with connection.transaction():
                taken = store.take(connection, limit=AT_ONCE)
                asking = self._apply(connection, [self._read(each) for each in taken], may_ask=True)
        except _Moved:
            return 1
        if asking:
            self._ask(connection, asking)
        return len(taken)

    def _ask(self, connection: Connection, asking: Sequence[Event]) -> None:
        """Ask the provider whose mails these are, then apply them. No transaction waits meanwhile."""
        answers: dict[UUID, Place | Whose] = {}
        for one in asking:
            message_id = one.told.message_id if one.told is not None else None
            try:
                answers[one.taken.id] = self.locate(message_id or "")
            except ProviderFailed as error:
                log.warning(
                    "events: the provider does not tell whose mails events belong to",
                    extra={"detail": str(error)},
                )
                break
        applied = False
        while not applied:
            try:
                with connection.transaction():
                    taken = store.take_these(connection, [one.taken.id for one in asking])
                    events = [event.answered(self._read(each), answers.get(each.id)) for each in taken]
                    self._apply(connection, events, may_ask=False)
                    applied = True
            except _Moved:
                continue

    def _read(self, taken: Taken) -> Event:
        try:
            document = orjson.loads(self.keyring.decrypt(taken.id, taken.key_id, taken.body))
        except ContentUnreadable as error:
            log.error("events: an event cannot be read", extra={"detail": str(error)})  # noqa: TRY400 (it says it all)
            return Event(taken, None, "content_unreadable", None)
        except orjson.JSONDecodeError:
            return Event(taken, None, "not_json", None)
        if not isinstance(document, dict):
            return Event(taken, None, "not_an_object", None)
        told = webhook.read(document)
        return Event(taken, told, None, telling.place(told))

    def _apply(self, connection: Connection, events: Sequence[Event], *, may_ask: bool) -> list[Event]:
        """Apply locked events, in the caller's transaction; give those about which the provider is to be asked."""
        asking = [
            each for each in events if may_ask and each.told is not None and telling.needs_asking(each.told)
        ]
        later = {each.taken.id for each in asking}
        self._apply_these(connection, events, later)
        if asking:
            first, rest = asking[:_ASKED_AT_ONCE], asking[_ASKED_AT_ONCE:]
            store.put_off(connection, [each.taken.id for each in first], seconds=_ASKING_S)
            # Their turn comes after that of the others that are due.
            store.put_off(connection, [each.taken.id for each in rest], seconds=0.0)
            asking = first
        return asking

    def _apply_these(self, connection: Connection, events: Sequence[Event], later: set[UUID]) -> None:
        mails = {each.place.mail_id for each in events if each.place is not None}
        known = store.about(connection, mails)
        self._suppress(connection, events, known)
        owned = moves.lock_with_owners(connection, mails) if mails else ([], [])
        if owned is None:
            raise _Moved
        holders, locked = owned
        # Retention may have taken a mail since it was looked up.
        known = {mail.mail_id: known[mail.mail_id] for mail in locked if mail.mail_id in known}
        placed = [each for each in events if each.place is not None and each.place.mail_id in known]
        status = proof.apply(
            connection,
            [evidence for each in placed if (evidence := event.proof_of(each)) is not None],
            locked,
            cause=Cause.FOUND,
            drop_content=self.drop_content,
        )
        facts = [fact for each in placed if (fact := event.fact_of(each, known)) is not None]
        status |= self._move(connection, status, store.note(connection, facts), facts)
        ended = {mail_id for mail_id, word in status.items() if telling.has_ended(word)}
        proof.leave(connection, holders, ended)
        settled = [
            event.settled(each, known, park_s=self.park_s) for each in events if each.taken.id not in later
        ]
        if settled:
            store.settle(connection, settled)
            counts = Counter((f"event_{each.state}", each.reason or each.kind or "") for each in settled)
            run(connection, counting(counts))

    def _suppress(self, connection: Connection, events: Sequence[Event], known: Mapping[UUID, About]) -> None:
        words = [word for each in events if (word := event.word_of(each, known)) is not None]
        if words:
            run(connection, suppression.noting(words))

    def _move(
        self,
        connection: Connection,
        status: Mapping[UUID, str],
        new: set[tuple[UUID, str, str, str]],
        facts: Sequence[Fact],
    ) -> dict[UUID, str]:
        """Move the mails by what is new; give the status of those that were looked at."""
        kinds: defaultdict[UUID, list[Kind]] = defaultdict(list)
        of: dict[tuple[UUID, str], Fact] = {}
        for fact in facts:
            if (fact.mail_id, fact.recipient, fact.kind, fact.fact) in new:
                new.discard((fact.mail_id, fact.recipient, fact.kind, fact.fact))
                kinds[fact.mail_id].append(Kind(fact.kind))
                of.setdefault((fact.mail_id, fact.kind), fact)
        made = {mail_id: telling.steps(status[mail_id], of_mail) for mail_id, of_mail in kinds.items()}
        for turn in range(max(map(len, made.values()), default=0)):
            moved = [
                Move(
                    mail_id,
                    steps[turn].was,
                    steps[turn].cause,
                    detail=_detail(of, mail_id, steps[turn].cause),
                )
                for mail_id, steps in sorted(made.items())
                if len(steps) > turn
            ]
            moves.apply(connection, moved, drop_content=self.drop_content)
        return {mail_id: steps[-1].status for mail_id, steps in made.items() if steps}


def _detail(of: Mapping[tuple[UUID, str], Fact], mail_id: UUID, cause: Cause) -> str:
    fact = of[mail_id, cause.value]
    kind = "" if fact.code is None else f", bounce type {fact.code}"
    return f"told by a {fact.source}{kind}"
