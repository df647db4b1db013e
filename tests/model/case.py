"""One exploration: the rules that are on, in a scope; and how a statement commits."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.model.rules import Rules
    from tests.model.scope import Scope
    from tests.model.state import Database, World


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What every actor is told."""

    rules: Rules
    scope: Scope


def committed(case: Case, world: World, db: Database, *, synchronous: bool) -> World:
    """Commit a statement. What commits asynchronously may be lost until something synchronous follows."""
    if db == world.db:
        return world
    if (synchronous and case.scope.commits_are_kept) or not world.left.crashes:
        return world._replace(db=db, flushed=None)
    return world._replace(db=db, flushed=world.db if world.flushed is None else world.flushed)


def new_batch(world: World) -> int:
    """Give a batch id that nobody remembers: a UUID, in a world that is to stay finite."""
    used = {worker.batch for worker in world.workers} | {copy.batch for copy in world.copies}
    used |= {request.batch for request in world.wire} | {one.batch for one in world.reconcilers}
    used |= set(world.tickets)
    for db in _databases(world):
        used |= {batch.id for batch in db.batches}
        used |= {batch for mail in db.mails for batch, _ in mail.unresolved}
    return next(number for number in count(1) if number not in used)


def new_token(world: World) -> int:
    """Give a token that nobody remembers."""
    used = {worker.token for worker in world.workers} | {request.token for request in world.wire}
    used |= {token for fact in world.facts for token in fact.open}
    for db in _databases(world):
        used |= {batch.token for batch in db.batches}
        used |= {token for mail in db.mails for _, token in mail.unresolved}
    return next(number for number in count(1) if number not in used)


def _databases(world: World) -> tuple[Database, ...]:
    return (world.db,) if world.flushed is None else (world.db, world.flushed)
