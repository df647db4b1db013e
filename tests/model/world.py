"""The whole model: all actors together, and the promises that every state keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.model import environment, provider, reconciler, relay, statements, worker
from tests.model.promises import Broken
from tests.model.state import ENDED, Database, Fact, Mail, Reconciler, Worker
from tests.model.state import World as State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.model.case import Case
    from tests.model.state import Step


class World:
    """A model for the checker."""

    def __init__(self, case: Case) -> None:
        self._case = case

    def start(self) -> State:
        """Give the state in which all mails are accepted and due."""
        scope = self._case.scope
        return State(
            db=Database(mails=(Mail(),) * scope.mails, ready=tuple(range(scope.mails))),
            flushed=None,
            workers=(Worker(),) * scope.workers,
            reconcilers=(Reconciler(),) * scope.reconcilers,
            relays=(-1,) * scope.relays,
            wire=(),
            copies=(),
            facts=(Fact(),) * scope.mails,
            tickets=(),
            control="",
            stalled=False,
            left=scope.left,
        )

    def steps(self, state: State) -> Iterator[Step]:
        """Give everything that may happen."""
        yield from relay.steps(self._case, state)
        yield from worker.steps(self._case, state)
        yield from provider.steps(self._case, state)
        yield from reconciler.steps(self._case, state)
        yield from environment.steps(self._case, state)

    def key(self, state: State) -> State:
        """Take workers, reconcilers and relays for interchangeable."""
        workers, reconcilers = tuple(sorted(state.workers)), tuple(sorted(state.reconcilers))
        relays = tuple(sorted(state.relays))
        if (workers, reconcilers, relays) == (state.workers, state.reconcilers, state.relays):
            return state
        return state._replace(workers=workers, reconcilers=reconcilers, relays=relays)

    def broken(self, state: State) -> tuple[str, ...]:
        """Name the promises that a state breaks."""
        broken = []
        copies = [copy.mail for copy in state.copies]
        if len(copies) != len(set(copies)):
            broken.append(Broken.DUPLICATE)
        if not all(_has_its_owner(state.db, number) for number in range(len(state.facts))):
            broken.append(Broken.NOT_ONE_OWNER)
        pairs = list(zip(state.facts, state.db.mails, strict=True))
        if any(fact.proven and mail.status != "sent" for fact, mail in pairs):
            broken.append(Broken.PROOF_DISCARDED)
        if any(mail.charged > fact.failures for fact, mail in pairs):
            broken.append(Broken.CHARGED)
        if statements.in_flight(self._case.rules, state.db) > self._case.scope.window:
            broken.append(Broken.WINDOW)
        return tuple(broken)

    def ended(self, state: State) -> bool:
        """Say whether every mail has come to its end; unknown is one where nobody searches."""
        ends = ENDED if self._case.scope.reconcilers else ENDED | {"unknown"}
        return not state.db.ready and all(mail.status in ends for mail in state.db.mails)


def _has_its_owner(db: Database, number: int) -> bool:
    """Say whether a mail is owned once: by `ready`, by a batch, by settling, or by its end."""
    status = db.mails[number].status
    holders = [batch.state for batch in db.batches if number in batch.mails]
    waiting = db.ready.count(number)
    if status == "waiting":
        return waiting + len(holders) == 1 and "unknown" not in holders
    if status == "unknown":
        return waiting == 0 and holders == ["unknown"]
    if status == "sent":
        # Proof of an earlier attempt may come while another is in flight already.
        return waiting == 0 and len(holders) <= 1 and "issued" not in holders
    return waiting == 0 and not holders
