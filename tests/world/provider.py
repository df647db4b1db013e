"""The provider: takes mails, answers or does not, and shows what it took after a while."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from tests.world.behaviour import BEHAVIOURS, REGULAR, message_id
from tests.world.evidence import Proof
from tests.world.times import FREEZE, LAG, SLOW_TRAVEL, TIME_DECIDES, TRAVEL

if TYPE_CHECKING:
    from random import Random

    from atum_workers.classify import Answer
    from tests.world.behaviour import Reply


@dataclass(slots=True)
class Exchange:
    """One POST on its connection."""

    batch: int
    token: int
    mails: tuple[int, ...]
    checked_at: float = 0.0
    #: Seconds between the final check and the last write, and from there to the provider.
    froze: float = 0.0
    travelled: float = 0.0
    #: Whether the client has closed it.
    abandoned: bool = False
    answer: Answer | None = None
    broken: bool = False


class Copy(NamedTuple):
    """A mail that was accepted."""

    mail: int
    batch: int
    token: int
    accepted_at: float
    visible_at: float
    stalled: bool
    froze: float
    travelled: float

    def excuse(self, anchor: float) -> str | None:
        """Name the case of the honest bound for which settling could not know of this copy; None: it could."""
        if self.froze > (1.0 if self.stalled else FREEZE):
            return "b: frozen before the last write"
        if self.travelled > (TRAVEL if self.stalled else SLOW_TRAVEL):
            return "c: completed late"
        if self.stalled and self.visible_at > anchor + TIME_DECIDES:
            return "a: searchable late"
        return None


class SearchFailed(Exception):
    """The search gave no answer that says anything."""


class Provider:
    """What it has taken, and how it behaves now."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self.now = 0.0
        self.natures: dict[int, str] = {}
        self.copies: list[Copy] = []
        #: Failures that were the mails' own.
        self.own_failures: Counter[int] = Counter()
        #: Behaviours of single requests, and the share of requests that meet one.
        self.troubles: tuple[str, ...] = ()
        self.trouble = 0.0
        #: From when to when everything goes wrong in the same way.
        self.outage: tuple[float, float, str] = (0.0, 0.0, REGULAR)
        self.stall: tuple[float, float] = (0.0, 0.0)
        self.search_fails = 0.0
        #: Behaviours of the next requests, before anything else.
        self.next: list[str] = []

    def _down(self) -> str | None:
        begins, ends, behaviour = self.outage
        return behaviour if begins <= self.now < ends else None

    def choose(self) -> str:
        """Choose what to do with a request that arrives now."""
        if self.next:
            return self.next.pop(0)
        if (down := self._down()) is not None:
            return down
        if self.troubles and self._rng.random() < self.trouble:
            return self._rng.choice(self.troubles)
        return REGULAR

    def take(self, exchange: Exchange, behaviour: str) -> Reply:
        """Do it: accept what is accepted; give that and the answer, which is not on its way yet."""
        reply = BEHAVIOURS[behaviour](exchange.mails, self.natures, exchange.batch)
        self.own_failures.update(reply.blamed)
        for mail in reply.accepted:
            self.copies.append(self._copy(mail, exchange))
        return reply

    def _copy(self, mail: int, exchange: Exchange) -> Copy:
        begins, ends = self.stall
        stalled = begins <= self.now < ends
        lag = self._rng.random() * (LAG if self._rng.random() < 0.3 else 10.0)
        visible_at = (ends if stalled else self.now) + lag
        return Copy(
            mail,
            exchange.batch,
            exchange.token,
            self.now,
            visible_at,
            stalled,
            exchange.froze,
            exchange.travelled,
        )

    def search(self, *, batch: int | None = None, mail: int | None = None) -> list[Proof]:
        """Find what was accepted of a batch, or of a mail, and is in the index. Raises `SearchFailed`."""
        if self._down() is not None or self._rng.random() < self.search_fails:
            raise SearchFailed
        return [
            Proof(copy.mail, copy.batch, message_id(copy.mail, copy.batch))
            for copy in self.copies
            if copy.visible_at <= self.now and (copy.batch == batch or copy.mail == mail)
        ]
