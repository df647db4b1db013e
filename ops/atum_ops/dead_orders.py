"""Replaying and discarding dead letters: first what would become of each, then doing it, a transaction at a time.

Each transaction keeps how far the order is, so one that was killed is taken up again where it stopped. An order looks at
letters that died before it began, each once: what dies again meanwhile is left to the next one.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import psycopg

from atum_ops import dead_store as store
from atum_ops import operations
from atum_ops.dead import SCAN, Letters
from atum_schema import database, replaying_store
from atum_schema.replaying_store import GOES, Wanted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from psycopg_pool import ConnectionPool

    from atum_ops.operations import Operation
    from atum_schema.database import Connection
    from atum_schema.replaying import Verdict
    from atum_schema.replaying_store import Outcome

AT_ONCE: Final = 1000
"""Mails that one transaction replays, at most."""

CONNECTIONS: Final = 3
"""Connections of a dry run."""

_PATIENCE: Final = 6


class Kind(StrEnum):
    """What can be ordered about dead letters; the words of the audit log."""

    REPLAY = "dead.replay"
    DISCARD = "dead.discard"

    @property
    def done(self) -> str:
        """The word for a mail with which it was done."""
        return "replayed" if self is Kind.REPLAY else "discarded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far an order is."""

    #: Letters that were looked at since the order began or was taken up.
    looked: int
    #: What became of the mails so far: `Kind.done`, or a verdict.
    counts: Mapping[str, int]

    def refused(self, kind: Kind) -> int:
        """How many could not be replayed or discarded."""
        return sum(self.counts.values()) - self.counts.get(kind.done, 0)


def of_mails(connection: Connection, ids: Sequence[UUID], *, limit: int | None) -> Letters:
    """Mean these mails, each once, in the cycle that they are in now."""
    wanted = [Wanted(mail_id, None, letter=False) for mail_id in dict.fromkeys(ids)]
    mails: list[tuple[UUID, int | None]] = []
    for first in range(0, len(wanted), AT_ONCE):
        known = replaying_store.judged(connection, wanted[first : first + AT_ONCE])
        mails += [(outcome.mail_id, outcome.cycle) for outcome in known]
    return Letters(mails=tuple(mails), limit=limit)


def would_become(pool: ConnectionPool[Connection], kind: Kind, letters: Letters) -> Iterator[Outcome]:
    """Say what would become of each mail, oldest letter first, from the database alone; nothing changes.

    It takes `CONNECTIONS` connections: while one part of the letters is looked up, others are judged.
    """
    judged = replaying_store.judged if kind is Kind.REPLAY else replaying_store.judged_discards
    left = letters.limit

    def judge(wanted: Sequence[Wanted]) -> list[Outcome]:
        with pool.connection() as connection:
            return judged(connection, wanted)

    with pool.connection() as connection:
        before = database.now(connection)
        for outcomes in _ahead(judge, _chunks(connection, letters, before)):
            some = outcomes if left is None else outcomes[: replaying_store.end(outcomes, left)]
            yield from some
            if left is not None:
                left -= sum(outcome.judged.verdict in GOES for outcome in some)
                if left == 0:
                    return


def _chunks(connection: Connection, letters: Letters, before: datetime) -> Iterator[list[Wanted]]:
    last: Mapping[str, Any] | None = None
    while (following := _next(connection, letters, before, last, SCAN)) is not None:
        last, wanted, _ = following
        yield wanted


def _ahead(
    work: Callable[[Sequence[Wanted]], list[Outcome]], chunks: Iterator[list[Wanted]]
) -> Iterator[list[Outcome]]:
    """Do the work of some chunks ahead, on threads; give what comes of each, in order."""
    with ThreadPoolExecutor(CONNECTIONS - 1) as threads:
        under_way = deque(threads.submit(work, chunk) for chunk in islice(chunks, CONNECTIONS))
        try:
            while under_way:
                done = under_way.popleft().result()
                under_way.extend(threads.submit(work, chunk) for chunk in islice(chunks, 1))
                yield done
        finally:
            for one in under_way:
                one.cancel()


def begin(connection: Connection, kind: Kind, letters: Letters, *, actor: str, note: str | None) -> Operation:
    """Begin an order; it can be taken up again by its id."""
    return operations.begin(connection, kind, actor=actor, reason=note, selection=letters.document())


def total(connection: Connection, operation: Operation) -> int:
    """Say how many letters are still to be looked at."""
    letters = Letters.of(operation.selection)
    if letters.mails:
        return len(letters.mails) - int((operation.last or {}).get("place", 0))
    return store.count(connection, letters.values(operation.began_at), after=_place(operation.last))


def carry_out(
    connection: Connection,
    operation: Operation,
    *,
    actor: str,
    rate: int | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Progress]:
    """Do what is left of an order, at most `rate` mails a second; tells how far it is after each transaction."""
    course = _Course(connection, operation)
    size = AT_ONCE if rate is None else min(AT_ONCE, rate)
    started, done_before = time.monotonic(), course.done
    while _repeating(partial(course.step, size)):
        yield Progress(looked=course.looked, counts=dict(course.counts))
        if rate is not None:
            sleep(max(0.0, started + (course.done - done_before) / rate - time.monotonic()))
    with connection.transaction():
        operations.end(connection, operation.id, actor=actor, counts=course.counts)
        store.sweep_soon(connection)


class _Course:
    """An order on its way: where it is, and what became of the mails so far."""

    def __init__(self, connection: Connection, operation: Operation) -> None:
        self._connection = connection
        self._operation = operation
        self._kind = Kind(operation.kind)
        self._letters = Letters.of(operation.selection)
        self._last: Mapping[str, Any] | None = operation.last
        self.counts = Counter(operation.counts)
        self.looked = 0

    @property
    def done(self) -> int:
        """How many mails were replayed, or discarded."""
        return self.counts[self._kind.done]

    def step(self, size: int) -> bool:
        """Do the next transaction, with so many letters; False when nothing is left to do."""
        limit = self._letters.limit
        most = None if limit is None else limit - self.done
        if most == 0:
            return False
        order = replaying_store.replay if self._kind is Kind.REPLAY else replaying_store.discard
        operation = self._operation
        detail = f"ordered by {operation.actor}, operation {operation.id}"
        with self._connection.transaction():
            following = _next(self._connection, self._letters, operation.began_at, self._last, size)
            if following is None:
                return False
            place, wanted, looked = following
            outcomes = order(self._connection, wanted, detail=detail, most=most) if wanted else []
            counts = self.counts + Counter(_word(self._kind, outcome.judged.verdict) for outcome in outcomes)
            operations.advance(self._connection, operation.id, last=place, counts=counts)
        self._last, self.counts = place, counts
        self.looked += looked
        return True


def _word(kind: Kind, verdict: Verdict) -> str:
    return kind.done if verdict in GOES else verdict.value


_Following = tuple[dict[str, Any], list[Wanted], int]


def _next(
    connection: Connection,
    letters: Letters,
    before: datetime,
    last: Mapping[str, Any] | None,
    size: int,
) -> _Following | None:
    """Give the next place, the mails up to it, and how many were looked at; None at the end."""
    if letters.mails:
        first = int((last or {}).get("place", 0))
        some = letters.mails[first : first + size]
        wanted = [Wanted(mail_id, cycle, letter=False) for mail_id, cycle in some]
        return ({"place": first + len(some)}, wanted, len(some)) if some else None
    page = store.oldest(connection, letters.values(before), after=_place(last), scan=size)
    if not page:
        return None
    wanted = [Wanted(pair.mail_id, pair.cycle, letter=True) for pair in page if pair.matches]
    place = {"dead_at": page[-1].dead_at.isoformat(), "mail": str(page[-1].mail_id)}
    return place, wanted, len(page)


def _place(last: Mapping[str, Any] | None) -> store.Place:
    if last is None:
        return store.BEGINNING
    return store.Place(datetime.fromisoformat(last["dead_at"]), UUID(last["mail"]))


def _repeating(step: Callable[[], bool]) -> bool:
    """Repeat a transaction that others were in the way of."""
    for _ in range(_PATIENCE):
        try:
            return step()
        except psycopg.errors.DeadlockDetected:
            continue
    return step()
