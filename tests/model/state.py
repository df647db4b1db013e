"""What a state of the world is made of. All times are ticks that are left, so that the states are finite."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from tests.model.checker import Step as AnyStep

ENDED: Final = frozenset({"sent", "dead", "canceled", "expired", "held"})
"""Statuses in which nothing more happens by itself."""


class Mail(NamedTuple):
    """A row of `mail`. `waiting` stands for queued, retrying and sending."""

    status: str = "waiting"
    #: Charged attempts, and POSTs that are counted, charged or not.
    charged: int = 0
    tries: int = 0
    #: Whether `expires_at` has passed.
    expired: bool = False
    #: Under suspicion of killing workers: travels alone.
    alone: bool = False
    #: (batch, token) of attempts whose outcome nobody knows.
    unresolved: tuple[tuple[int, int], ...] = ()


class Batch(NamedTuple):
    """A row of `batch`."""

    id: int
    mails: tuple[int, ...]
    state: str = "issued"
    token: int = 0
    #: Ticks until the lease is over.
    lease: int = 0
    #: Ticks until the next search is due, and empty searches that counted.
    search_in: int = 0
    searches: int = 0
    claims: int = 0
    #: Stands for all attempts of its mails that the database has forgotten.
    by_mail: bool = False


class Database(NamedTuple):
    """What the statements see."""

    mails: tuple[Mail, ...]
    #: Numbers of the mails in `ready`, in order.
    ready: tuple[int, ...]
    batches: tuple[Batch, ...] = ()


class Worker(NamedTuple):
    """A thread of a worker: between which two of its steps it is, and what it knows."""

    #: idle, claimed, marked, checked, posted, half (recorded by halves)
    at: str = "idle"
    batch: int = 0
    token: int = 0
    mails: tuple[int, ...] = ()
    #: Ticks until its own deadline, by a clock that nobody touched; -1 before the deadline has started.
    left: int = 0
    #: Ticks since its final check.
    held: int = 0
    #: Whether one clock of its host was changed since the deadline started.
    skewed: bool = False
    #: What the provider answered, "" while nothing has come.
    answer: str = ""


class Reconciler(NamedTuple):
    """A reconciler; `result` is what its search came to, "" between searches."""

    batch: int = 0
    result: str = ""
    found: tuple[int, ...] = ()
    #: Whether the control was found in the same round.
    controlled: bool = False
    #: Whether `search_at` is still what it was when the batch was read.
    fresh: bool = True


class Request(NamedTuple):
    """A whole request in the network."""

    mails: tuple[int, ...]
    batch: int
    token: int
    age: int = 0


class Copy(NamedTuple):
    """A mail that the provider has accepted once."""

    mail: int
    batch: int
    #: Whether a search finds it.
    visible: bool = False
    age: int = 0


class Fact(NamedTuple):
    """What is true of a mail whatever the database says; no step decides by it."""

    #: Tokens of POSTs that have no recorded outcome and that no settling has covered.
    open: tuple[int, ...] = ()
    #: Whether a cancel was acknowledged.
    canceled: bool = False
    #: Failures of the mail itself.
    failures: int = 0
    #: Whether an answer that proves acceptance was handed to the database.
    proven: bool = False


class Budget(NamedTuple):
    """How often each misfortune may still happen."""

    kills: int = 0
    crashes: int = 0
    clock_changes: int = 0
    cancels: int = 0
    expiries: int = 0
    failed_searches: int = 0
    stalls: int = 0
    lost_tickets: int = 0
    repeated_tickets: int = 0
    releases: int = 0


class World(NamedTuple):
    """Everything at one moment."""

    db: Database
    #: What a crash of the database would leave, when that is not `db`.
    flushed: Database | None
    workers: tuple[Worker, ...]
    reconcilers: tuple[Reconciler, ...]
    #: Room that each relay has counted and not used yet; -1 when it has not counted.
    relays: tuple[int, ...]
    wire: tuple[Request, ...]
    copies: tuple[Copy, ...]
    facts: tuple[Fact, ...]
    #: Batches with a ticket in the broker, where the scope looks at them.
    tickets: tuple[int, ...]
    #: A mail of the stream accepted after the anchor: "", "accepted", "visible".
    control: str
    #: Whether the index has stopped.
    stalled: bool
    left: Budget


if TYPE_CHECKING:
    Step: TypeAlias = AnyStep[World]
else:
    # Calling an alias with parameters is slow, and steps are made by the million.
    Step = AnyStep


def batch_of(db: Database, number: int) -> Batch | None:
    """Find a batch."""
    return next((batch for batch in db.batches if batch.id == number), None)


def with_batch(db: Database, batch: Batch) -> Database:
    """Replace a batch, or add it; one without mails is deleted."""
    others = [other for other in db.batches if other.id != batch.id]
    if batch.mails:
        others.append(batch)
    return db._replace(batches=tuple(sorted(others)))


def without_batch(db: Database, number: int) -> Database:
    """Delete a batch."""
    return db._replace(batches=tuple(batch for batch in db.batches if batch.id != number))


def with_mail(db: Database, number: int, mail: Mail) -> Database:
    """Replace a mail."""
    return db._replace(mails=(*db.mails[:number], mail, *db.mails[number + 1 :]))


def made_ready(db: Database, number: int, mail: Mail) -> Database:
    """Replace a mail and put it into `ready`."""
    return with_mail(db, number, mail)._replace(ready=tuple(sorted((*db.ready, number))))


def with_fact(world: World, number: int, fact: Fact) -> World:
    """Replace what is true of a mail."""
    return world._replace(facts=(*world.facts[:number], fact, *world.facts[number + 1 :]))


def with_worker(world: World, number: int, worker: Worker) -> World:
    """Replace a worker."""
    return world._replace(workers=(*world.workers[:number], worker, *world.workers[number + 1 :]))


def names(mails: tuple[int, ...]) -> str:
    """Name mails for a sentence."""
    return " and ".join(f"mail {mail + 1}" for mail in mails)
