"""The sweep of `mail.dead`: afterwards RabbitMQ and Postgres hold the same set of (mail, cycle).

::

    a message of the queue ──▶ none of ours, stale, or the second of its pair ──▶ removed
                               the first one of a pair that is dead ───────────▶ put at the tail again
    a pair that is dead, whose message was confirmed before the sweep began and is not there ──▶ a relay publishes it

What a relay publishes meanwhile is not doubted: it may stand behind the place where the sweep ends.
"""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import orjson

from atum_schema import database, formats, topology
from atum_schema.errors import Unreachable
from atum_schema.ids import new_token
from atum_workers import sweep_dead_store as store
from atum_workers.rotation import Limits, Rotation, Sorted

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from datetime import datetime

    from psycopg_pool import ConnectionPool

    from atum_schema.database import Connection
    from atum_workers.maintain import Lease
    from atum_workers.sweep_dead_store import Live, Pair

log = logging.getLogger(__name__)

EVERY_S: Final = 3600.0
"""Seconds between two sweeps that nobody asks for."""

_AWAY_S: Final = 15.0
_PAGE: Final = 5000
_FIRST: Final[Pair] = (UUID(int=0), 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What a sweep came to."""

    #: Messages that stay: the pairs that are dead.
    kept: int = 0
    #: Removed: their mail was replayed, discarded or proven since.
    stale: int = 0
    #: Removed: the second message of a pair.
    repeated: int = 0
    #: Removed: not one of ours.
    unreadable: int = 0
    #: Pairs whose message was lost; a relay publishes them again.
    missing: int = 0

    @property
    def removed(self) -> int:
        """Messages that were removed."""
        return self.stale + self.repeated + self.unreadable


def pair_of(body: bytes) -> Pair | None:
    """Read the pair of a dead letter's message; None if it is not one of ours."""
    try:
        document: Any = orjson.loads(body)
        if document["actor_name"] != formats.REVIVE_ACTOR:
            return None
        return pair_of_args(document["args"])
    except (orjson.JSONDecodeError, TypeError, KeyError):
        return None


def pair_of_args(args: Any) -> Pair | None:
    """Read the pair from the arguments of a dead letter's message; None if they are not of that form."""
    if not isinstance(args, list | tuple):
        return None
    match args:
        case [str(mail_id), int(cycle)] if not isinstance(cycle, bool) and 0 < cycle < 2**31:
            try:
                return UUID(mail_id), cycle
            except ValueError:
                return None
        case _:
            return None


def sort(
    pairs: Sequence[Pair | None], *, seen: Collection[Pair], live: Collection[Pair]
) -> tuple[list[Pair], Swept]:
    """Say which of the messages, given by their pairs, stay, and what became of the others. Pure."""
    stay: dict[Pair, None] = {}
    stale = repeated = unreadable = 0
    for pair in pairs:
        if pair is None:
            unreadable += 1
        elif pair not in live:
            stale += 1
        elif pair in seen or pair in stay:
            repeated += 1
        else:
            stay[pair] = None
    return list(stay), Swept(kept=len(stay), stale=stale, repeated=repeated, unreadable=unreadable)


@dataclass(slots=True, kw_only=True)
class Sweep:
    """One sweep."""

    pool: ConnectionPool[Connection]
    amqp_url: str
    #: Called after each step; may raise to end the sweep, which then doubts nothing.
    go_on: Callable[[], None]
    limits: Limits = field(default_factory=Limits)
    swept: Swept = field(default_factory=Swept)
    _seen: set[Pair] = field(default_factory=set)

    def run(self) -> Swept:
        """Sweep. Raises `Unreachable` where RabbitMQ is away; what was done until then is good."""
        with self.pool.connection() as connection:
            # Before the queue is asked for its length: what was confirmed by now is in it.
            began = database.now(connection)
        Rotation(
            self.amqp_url,
            topology.DEAD,
            mark=str(new_token()),
            sort=self._sort,
            limits=self.limits,
        ).run()
        self._doubt(began)
        return self.swept

    def _sort(self, bodies: Sequence[bytes]) -> Sorted:
        pairs = [pair_of(body) for body in bodies]
        with self.pool.connection() as connection:
            live = store.live(connection, {pair for pair in pairs if pair is not None})
        stay, part = sort(pairs, seen=self._seen, live=live)
        self.go_on()
        return Sorted([_message(live[pair]) for pair in stay], lambda: self._confirmed(stay, part, live))

    def _confirmed(self, stay: Sequence[Pair], part: Swept, live: Mapping[Pair, Live]) -> None:
        unnoted = [pair for pair in stay if not live[pair].published]
        if unnoted:
            with self.pool.connection() as connection:
                store.note_found(connection, unnoted)
        self._seen.update(stay)
        whole = self.swept
        self.swept = replace(
            whole,
            kept=whole.kept + part.kept,
            stale=whole.stale + part.stale,
            repeated=whole.repeated + part.repeated,
            unreadable=whole.unreadable + part.unreadable,
        )

    def _doubt(self, began: datetime) -> None:
        after, missing = _FIRST, 0
        with self.pool.connection() as connection:
            while page := store.published(connection, before=began, after=after, limit=_PAGE):
                self.go_on()
                gone = [pair for pair in page if pair not in self._seen]
                if gone:
                    missing += store.doubt(connection, gone, before=began)
                after = page[-1]
        self.swept = replace(self.swept, missing=missing)


def _message(letter: Live) -> formats.Outgoing:
    return formats.dead_letter(
        mail_id=letter.mail_id,
        cycle=letter.cycle,
        reason=letter.reason,
        code=letter.code,
        attempts=letter.attempts,
    )


def sweeping(amqp_url: str) -> Callable[[Lease], float]:
    """Make the task that sweeps `mail.dead`."""

    def sweep(lease: Lease) -> float:
        try:
            swept = Sweep(pool=lease.pool, amqp_url=amqp_url, go_on=lease.go_on).run()
        except Unreachable as error:
            log.warning("sweep of mail.dead: put off", extra={"detail": str(error), "again_s": _AWAY_S})
            return _AWAY_S
        if swept.removed or swept.missing:
            log.info("sweep of mail.dead: done", extra={"counts": asdict(swept)})
        if swept.unreadable:
            log.error(
                "sweep of mail.dead: messages were none of ours, and are gone",
                extra={"count": swept.unreadable},
            )
        return EVERY_S

    return sweep
