"""Settling one unknown batch: a round of searches, and what follows from it.

::

    begin ─▶ control, per stream ─▶ search every unresolved batch ─▶ prove what was found ─▶ conclude
      │  │
      │  given to the SMTP relay, which cannot be asked: held
      not due, or somebody else's

The control comes first: an index that shows it has come past the anchor before it is asked for the mails. Each round
wants a control that was accepted after the last round that counted, so that one stalled index is not counted twice.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from atum_schema import log_context
from atum_schema.addresses import parse_addresses
from atum_schema.fallback import HELD_REASON, SMTP
from atum_schema.moves import Move
from atum_schema.status import Cause
from atum_schema.steps import Reached, Step, go_on
from atum_schema.webhook import BATCH_KEY, MAIL_KEY
from atum_workers import proof, settling
from atum_workers import reconcile_store as store
from atum_workers.deadline import Deadline
from atum_workers.proof import Proof
from atum_workers.search import Found, SearchFailed
from atum_workers.settling import Again, Resend, Search, SettlePolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from uuid import UUID

    from psycopg_pool import ConnectionPool

    from atum_schema.database import Connection
    from atum_schema.moves import Locked
    from atum_workers.reconcile_store import Begun, Control, Sought

log = logging.getLogger(__name__)

_UNASKABLE: Final = "the SMTP relay may have taken it, and cannot be asked"


class Searchable(Protocol):
    """Whoever can be asked what was accepted."""

    def search(self, *, stream: str, key: str, value: UUID, deadline: Deadline) -> list[Found]:
        """Find messages by one of our ids. Raises `SearchFailed`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What a round of searches came to."""

    worth: Search
    #: In words, for the events.
    detail: str
    found: tuple[Found, ...] = ()


def unheard(found: Round) -> None:
    """Do nothing with what a round came to."""
    del found


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """Everything that settling needs; built once, used by all threads."""

    pool: ConnectionPool[Connection]
    provider: Searchable
    #: Asked for each round: operators change it while it runs.
    policy: Callable[[], SettlePolicy]
    #: Lanes whose mails go out again when nothing is found; likewise.
    resend_lanes: Callable[[], frozenset[str]]
    drop_content: bool
    #: Seconds for one search.
    request_timeout_s: float
    #: Seconds for which a round belongs to whoever began it.
    round_lease_s: float
    reached: Reached = go_on
    #: Told what the searches of a round came to; must not raise.
    searched: Callable[[Round], None] = unheard

    def reconcile(self, batch: UUID) -> None:
        """Make one round for the batch if its search is due; returns when what follows is committed.

        Raises what the database raises when it is away: the round's lease runs out, and the next one repeats it.
        """
        with log_context.work(batch=batch):
            self._reconcile(batch)

    def _reconcile(self, batch: UUID) -> None:
        with self.pool.connection() as connection:
            begun = store.begin(connection, batch=batch, lease_s=self.round_lease_s)
            if begun is None:
                log.debug("reconcile: no search is due")
                return
            log_context.also(lane=begun.lane, account=begun.account)
            if begun.account == SMTP:
                self._hold(connection, batch, begun)
                return
            mails = store.sought(connection, begun.mail_ids)
            controls = {
                stream: store.control(connection, stream=stream, after=begun.control_after)
                for stream in sorted({mail.stream for mail in mails})
            }
        self.reached(Step.SEARCHING)
        found = self._search(begun, mails, controls)
        self.reached(Step.SEARCHED)
        self.searched(found)
        with self.pool.connection() as connection:
            proven = self._prove(connection, mails, found)
            self.reached(Step.PROVEN)
            self._conclude(connection, batch, begun, found, [m for m in mails if m.id not in proven])
        self.reached(Step.CONCLUDED)

    def _hold(self, connection: Connection, batch: UUID, begun: Begun) -> None:
        """Hold the mails of a batch that nobody can be asked about: an SMTP relay tells nothing afterwards."""

        def decide(mail: Locked) -> list[Move]:
            held = Move(
                mail.mail_id, mail.status, Cause.HELD, reason=HELD_REASON, detail=_UNASKABLE, batch_id=batch
            )
            return [held]

        store.conclude(connection, batch=batch, search_at=begun.search_at, again=None, decide=decide)
        self.reached(Step.CONCLUDED)

    def _search(self, begun: Begun, mails: Sequence[Sought], controls: dict[str, Control | None]) -> Round:
        found: list[Found] = []
        try:
            for stream, control in controls.items():
                if control is not None and not self._shows(stream, control):
                    return Round(
                        worth=Search.FAILED,
                        detail="the provider's index does not show a later mail yet, so the search counts for nothing",
                    )
            self.reached(Step.CONTROLLED)
            for stream, key, value in _questions(begun, mails):
                found += self._ask(stream, key, value)
        except SearchFailed as error:
            return Round(
                worth=Search.FAILED,
                detail=f"the search failed, so it counts for nothing: {error}",
                found=tuple(found),
            )
        if all(control is not None for control in controls.values()):
            return Round(
                worth=Search.CONTROLLED, detail="not found, where a later mail was found", found=tuple(found)
            )
        return Round(
            worth=Search.UNCONTROLLED,
            detail="not found; no later mail proves how far the provider's index is",
            found=tuple(found),
        )

    def _shows(self, stream: str, control: Control) -> bool:
        found = self._ask(stream, MAIL_KEY, control.mail_id)
        return any(each.batch_id == control.batch_id for each in found)

    def _ask(self, stream: str, key: str, value: UUID) -> list[Found]:
        deadline = Deadline.start(self.request_timeout_s)
        return self.provider.search(stream=stream, key=key, value=value, deadline=deadline)

    def _prove(self, connection: Connection, mails: Sequence[Sought], found: Round) -> set[UUID]:
        ours = {mail.id: _recipients(mail) for mail in mails}
        proofs = []
        for each in found.found:
            if not each.recipients <= ours.get(each.mail_id, each.recipients):
                log.error(
                    "reconcile: the provider has a mail with recipients that are not its own; no proof",
                    extra={"mail": each.mail_id},
                )
                continue
            proofs.append(
                Proof(each.mail_id, each.batch_id, each.message_id, "found by a search of the provider")
            )
        return proof.prove(connection, proofs, cause=Cause.FOUND, drop_content=self.drop_content)

    def _conclude(
        self, connection: Connection, batch: UUID, begun: Begun, found: Round, left: Sequence[Sought]
    ) -> None:
        policy = self.policy()
        step = settling.after_search(
            found.worth,
            searches=begun.searches,
            failures=begun.failures,
            age=begun.age,
            policy=policy,
        )
        counted = step.searches > begun.searches
        detail = (
            f"{found.detail} (search {step.searches} of {len(policy.schedule)})" if counted else found.detail
        )
        by_id = {mail.id: mail for mail in left}

        def decide(mail: Locked) -> list[Move]:
            searched = Move(mail.mail_id, mail.status, Cause.SEARCHED, detail=detail, batch_id=batch)
            if isinstance(step, Again):
                return [searched]
            return [searched, self._verdict(mail, by_id[mail.mail_id], batch, begun, len(left))]

        again = step if isinstance(step, Again) else None
        store.conclude(connection, batch=batch, search_at=begun.search_at, again=again, decide=decide)

    def _verdict(self, locked: Locked, mail: Sought, batch: UUID, begun: Begun, mails: int) -> Move:
        verdict = settling.verdict(
            resend=(mail.on_unknown or self._default(begun.lane)) == "resend",
            expired=mail.expired,
            tries=mail.tries,
            crashes=mail.crashes,
            posted_ago=begun.age if mail.posted_ago is None else mail.posted_ago,
            mails=mails,
            policy=self.policy(),
        )
        detail = f"not found {begun.age:.0f} s after the provider could last have accepted it"
        if isinstance(verdict, Resend):
            return Move(
                mail.id,
                locked.status,
                verdict.cause,
                reason="not_found",
                detail=detail,
                batch_id=batch,
                due_s=0.0,
                at_most=verdict.at_most,
            )
        return Move(
            mail.id, locked.status, verdict.cause, reason=verdict.reason, detail=detail, batch_id=batch
        )

    def _default(self, lane: str) -> str:
        return "resend" if lane in self.resend_lanes() else "hold"


def _questions(begun: Begun, mails: Sequence[Sought]) -> list[tuple[str, str, UUID]]:
    """List what to ask: every unresolved batch of every mail, per stream; or each mail where no batch is known."""
    if begun.by_mail:
        return [(mail.stream, MAIL_KEY, mail.id) for mail in mails]
    return sorted({(mail.stream, BATCH_KEY, batch) for mail in mails for batch in mail.batches})


def _recipients(mail: Sought) -> frozenset[str]:
    lines = [line for line in (mail.to_line, mail.cc_line, mail.bcc_line) if line]
    return frozenset(address.email.lower() for line in lines for address in parse_addresses(line, field="to"))
