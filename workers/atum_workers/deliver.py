"""Delivering one batch, as a list of named steps.

::

    claim ─▶ take out what expired or cannot be read ─▶ mark posting ─▶ POST ─▶ decide ─▶ record
      │                 │                                 │   ▲
      │                 │                                 ▼   │
      │                 │                        leave out who is suppressed
      │                 │                                 │
      stale             empty                             empty, or not ours any more       each stops here: nothing was posted

Until the posting mark is committed everything may be redone by anybody. After it, only an answer counts.
"""

from __future__ import annotations

import logging
import random
import time
from dataclasses import dataclass, field
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeVar

import psycopg
from psycopg_pool import PoolTimeout

from atum_schema import database, log_context, traces
from atum_schema.document_content import decode_content
from atum_schema.errors import ContentUnreadable
from atum_schema.fallback import SMTP
from atum_schema.ids import new_token
from atum_schema.seldom import Seldom
from atum_schema.steps import Reached, Step, go_on
from atum_workers import proof, quoting, render, results, saying, sparing, sparing_store, store
from atum_workers.deadline import Deadline
from atum_workers.observing import Observer, Ticket

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from uuid import UUID

    from psycopg_pool import ConnectionPool

    from atum_schema.database import Connection
    from atum_schema.document_content import Content
    from atum_schema.encryption import Keyring
    from atum_schema.moves import Move
    from atum_workers.outcome import Outcome
    from atum_workers.retry import RetryPolicy

log = logging.getLogger(__name__)
T = TypeVar("T")

_PAUSES_S: Final = (0.05, 0.2, 0.5, 1.0, 2.0)
_RELEASE_DELAY_S: Final = 1.0
# Until the relay issues again what was issued for another worker.
_ELSEWHERE_S: Final = 5.0


def unheard(lane: str, account: str, outcomes: list[Outcome], began: float) -> None:
    """Do nothing with what a request came to."""
    del lane, account, outcomes, began


class Letter(NamedTuple):
    """A mail of a claimed batch, ready to be posted."""

    item: store.Item
    content: Content
    rendered: dict[str, Any]


class Ready(NamedTuple):
    """A batch that is marked and may be posted until the deadline."""

    token: UUID
    deadline: Deadline
    lane: str
    account: str
    provider: Provider
    letters: list[Letter]


def _letter(item: store.Item, content: Content, batch: UUID) -> Letter:
    return Letter(item, content, render.item(content, item.mail_id, str(batch)))


class Provider(Protocol):
    """Who takes the mail."""

    def post(self, items: Sequence[dict[str, Any]], deadline: Deadline) -> list[Outcome]:
        """POST once and give each item's outcome; never raises for what the provider does."""
        ...

    def close(self) -> None:
        """Close the connections."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """Everything that delivering needs; built once, used by all threads."""

    pool: ConnectionPool[Connection]
    #: Takes the batches of all accounts but that of the SMTP relay …
    provider: Provider
    keyring: Keyring
    #: Asked for each answer: operators change it while it runs.
    policy: Callable[[], RetryPolicy]
    #: Name of this worker in the log of a batch.
    worker: str
    #: Seconds from the claim to the end of the answer.
    request_timeout_s: float
    claim_lease_s: float
    posting_lease_s: float
    #: What recording needs besides the outcomes.
    recording: store.Recording
    #: Seconds for which an answer in hand, or the knowledge that nothing was posted, waits for a database that is away.
    record_patience_s: float
    #: Told the place of each posting mark in the database's write-ahead log, so that it is missed when it is gone.
    marked: Callable[[int], None]
    uniform: Callable[[float, float], float] = random.uniform
    #: Whether it is time to say again that the database is away; shared, so that many threads say it once.
    complaints: Seldom = field(default_factory=Seldom)
    #: Told the lane, account and outcomes of each request, and when it began by `time.monotonic`; must not raise.
    answered: Callable[[str, str, list[Outcome], float], None] = unheard
    reached: Reached = go_on
    #: … which takes its own; None where this worker knows none.
    smtp: Provider | None = None
    #: Sees what it comes to.
    observer: Observer = field(default_factory=Observer)

    def deliver(self, batch: UUID) -> None:
        """Deliver one batch; returns when its outcomes are committed, or when there is nothing to do.

        A database that is away before the POST is waited for, as long as a claim may last. After that the ticket is
        given up: nothing was posted, and it is published again.
        """
        with log_context.work(batch=batch):
            self._deliver(batch)

    def _deliver(self, batch: UUID) -> None:
        self.reached(Step.TICKET)
        try:
            ready = self._insist(lambda: self._begin(batch), patience_s=self.claim_lease_s)
        except psycopg.Error as error:
            if not database.is_transient(error):
                raise
            if self.complaints.due():
                log.warning("deliver: a ticket is given up, the database is away", extra=traces.kind(error))
            ready = Ticket.GIVEN_UP
        if isinstance(ready, Ticket):
            self.observer.ticket(ready)
            return
        self.reached(Step.MARKED)
        outcomes = self._post(ready)
        self.reached(Step.ANSWERED)
        policy = self.policy()
        written = [
            results.result(
                letter.item, outcome, mails=len(ready.letters), policy=policy, uniform=self.uniform
            )
            for letter, outcome in zip(ready.letters, outcomes, strict=True)
        ]
        self.reached(Step.RECORDING)
        if self._record(batch, ready.token, written):
            self.observer.recorded(ready.lane, written)
        self.reached(Step.RECORDED)

    def _post(self, ready: Ready) -> list[Outcome]:
        """Make the one POST, and tell everybody who wants to know what it came to."""
        log_context.also(lane=ready.lane)
        self.observer.posting(ready.lane)
        began = time.monotonic()
        try:
            answers = ready.provider.post([letter.rendered for letter in ready.letters], ready.deadline)
        finally:
            seconds = time.monotonic() - began
            self.observer.posted(ready.lane)
        outcomes = quoting.unquoted(answers, [letter.content for letter in ready.letters])
        saying.say([letter.item.mail_id for letter in ready.letters], outcomes, began)
        self.answered(ready.lane, ready.account, outcomes, began)
        self.observer.ticket(Ticket.POSTED)
        items = [letter.item for letter in ready.letters]
        self.observer.answered(ready.lane, ready.account, items, outcomes, seconds)
        return outcomes

    def _begin(self, batch: UUID) -> Ready | Ticket:
        """Claim and mark under a new token and a new deadline."""
        token = new_token()
        deadline = Deadline.start(self.request_timeout_s)
        try:
            with self.pool.connection() as connection:
                return self._prepare(connection, batch, token, deadline)
        except PoolTimeout:
            # Nothing was asked, so there is nothing to take back.
            raise
        except psycopg.Error:
            # Claim and mark may have been committed. We know that nothing was posted, so we may take them back:
            # an expired claim would look like a mail that killed its worker.
            self._release_unposted(batch, token)
            raise

    def _prepare(
        self, connection: Connection, batch: UUID, token: UUID, deadline: Deadline
    ) -> Ready | Ticket:
        """Claim, drop what expired, render, mark; give what is to be posted now, or why nothing is."""
        items = store.claim(
            connection, batch=batch, token=token, worker=self.worker, lease_s=self.claim_lease_s
        )
        if not items:
            log.debug("deliver: the ticket is stale")
            return Ticket.STALE
        self.reached(Step.CLAIMED)
        log_context.also(account=items[0].account, attempt=1 + max(item.tries for item in items))
        provider = self.smtp if items[0].account == SMTP else self.provider
        if provider is None:
            self._send_back(connection, batch, token, items)
            return Ticket.EMPTIED
        letters: dict[UUID, Letter] = {}
        taken_out: list[Move] = []
        for item in items:
            if item.expired:
                taken_out.append(results.expired(item, batch))
            elif (content := self._read(item)) is not None:
                letters[item.mail_id] = _letter(item, content, batch)
            else:
                taken_out.append(results.unreadable(item, batch))
        if taken_out:
            self.reached(Step.TAKING_OUT)
            store.take_out(connection, batch=batch, token=token, mails=taken_out)
            self.reached(Step.TAKEN_OUT)
        self.reached(Step.MARKING)
        marked = self._mark(connection, batch, token, deadline, letters)
        if marked is None:
            return Ticket.GIVEN_UP if letters else Ticket.EMPTIED
        posted = [letters[mail_id] for mail_id in marked.mail_ids]
        return Ready(
            token=token,
            deadline=deadline,
            lane=marked.lane,
            account=marked.account,
            provider=provider,
            letters=posted,
        )

    def _send_back(
        self, connection: Connection, batch: UUID, token: UUID, items: Sequence[store.Item]
    ) -> None:
        """Let the mails wait again that only the SMTP relay may be given, which this worker knows nothing of."""
        if self.complaints.due():
            log.warning(
                "deliver: a batch is for the SMTP relay, and ATUM_SMTP_URL is not set here: sent back",
            )
        alone = len(items) == 1
        moved = [results.elsewhere(item, batch, after_s=_ELSEWHERE_S, alone=alone) for item in items]
        store.take_out(connection, batch=batch, token=token, mails=moved)
        self.observer.sent_back()

    def _read(self, item: store.Item) -> Content | None:
        if item.key_id is None or item.body is None:
            log.error("deliver: content is gone; its companions go on", extra={"mail": item.mail_id})
            return None
        try:
            return decode_content(self.keyring.decrypt(item.mail_id, item.key_id, item.body))
        except ContentUnreadable as error:
            about = {"mail": item.mail_id, "detail": str(error)}
            log.error("deliver: content cannot be read; its companions go on", extra=about)  # noqa: TRY400  it says it all
            return None

    def _mark(
        self,
        connection: Connection,
        batch: UUID,
        token: UUID,
        deadline: Deadline,
        letters: dict[UUID, Letter],
    ) -> store.Marked | None:
        """Mark what may be posted, without those recipients that are suppressed by now; they leave the letters."""
        marked: store.Marked | None = None
        spared = True
        while spared and letters and marked is None and deadline.remaining() > 0:
            marked = store.mark_posting(
                connection,
                batch=batch,
                token=token,
                lease_s=self.posting_lease_s,
                first_expiry=min(
                    (each.item.expires_at for each in letters.values() if each.item.expires_at), default=None
                ),
                recipients=sparing.recipients(letter.content for letter in letters.values()),
            )
            spared = marked is None and self._leave_out(connection, batch, token, letters)
        if marked is not None:
            self.marked(marked.wal)
        # Asked again, because marking waits as long as somebody holds a lock on the batch.
        if letters and (marked is None or deadline.remaining() <= 0):
            self._give_back(connection, batch, token, delay_s=0.0)
            return None
        return marked

    def _leave_out(
        self, connection: Connection, batch: UUID, token: UUID, letters: dict[UUID, Letter]
    ) -> bool:
        """Leave out who is suppressed; False when nobody is, so that the mark was refused for another reason."""
        self.reached(Step.TAKING_OUT)
        left = sparing_store.leave_out(
            connection,
            batch=batch,
            token=token,
            contents={mail_id: letter.content for mail_id, letter in letters.items()},
        )
        self.reached(Step.TAKEN_OUT)
        for mail_id, content in left.items():
            letter = letters.pop(mail_id)
            if content is not None:
                letters[mail_id] = _letter(letter.item, content, batch)
        return bool(left)

    def _give_back(self, connection: Connection, batch: UUID, token: UUID, *, delay_s: float) -> None:
        """Undo claim and mark of what was not posted, also where a sweeper has given it up meanwhile."""
        if not store.release(connection, batch=batch, token=token, delay_s=delay_s):
            proof.unposted(connection, batch=batch, token=token, drop_content=self.recording.drop_content)

    def _release_unposted(self, batch: UUID, token: UUID) -> None:
        """Take back what may have been committed; that nothing was posted is proof like an answer, and waits as long."""

        def release() -> None:
            with self.pool.connection() as connection:
                self._give_back(connection, batch, token, delay_s=_RELEASE_DELAY_S)

        self._insist(release, patience_s=self.record_patience_s)

    def _record(self, batch: UUID, token: UUID, results: list[store.Result]) -> bool:
        """Commit the outcomes; an answer in hand is proof, so a database that is away is waited for.

        False where they came late: then only what they prove counts.
        """
        return self._insist(
            lambda: self._record_once(batch, token, results),
            patience_s=self.record_patience_s,
        )

    def _record_once(self, batch: UUID, token: UUID, results: list[store.Result]) -> bool:
        with self.pool.connection() as connection:
            if store.record(connection, batch=batch, token=token, results=results, recording=self.recording):
                return True
            proof.late(connection, batch=batch, results=results, drop_content=self.recording.drop_content)
            return False

    def _insist(self, work: Callable[[], T], *, patience_s: float) -> T:
        """Repeat a transaction until it commits; gives up with the last error after `patience_s` seconds."""
        give_up_at = time.monotonic() + patience_s
        for pause in chain(_PAUSES_S, repeat(_PAUSES_S[-1])):
            try:
                return work()
            except psycopg.Error as error:
                if not database.is_transient(error) or time.monotonic() > give_up_at:
                    raise
                if self.complaints.due():
                    log.warning("deliver: the database is away; trying again", extra=traces.kind(error))
                self.observer.repeating()
                time.sleep(pause)
        raise AssertionError("unreachable: the pauses never end")
