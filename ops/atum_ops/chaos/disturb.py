"""Doing what the plan says, on time, each in a thread of its own; and noting when what was disturbed was back."""

from __future__ import annotations

import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from atum_ops.chaos import plan
from atum_ops.chaos.plan import KILLS, Kind

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future
    from types import TracebackType

    from atum_ops.chaos.parts import Ground, Part
    from atum_ops.chaos.plan import Disturbance

_WATCH_S: Final = 0.25
_BACK_S: Final = 30.0
_GIVE_UP_S: Final = 0.2
# As many as can last at a time.
_HANDS: Final = 12
_LINK_KINDS: Final = frozenset({Kind.RESET, Kind.BLACKHOLE, Kind.UNPLUG})


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A disturbance that was carried out; times are unix seconds.

    `since` is the moment from which mail should flow again: for a process that has a twin the kill itself, for all
    else the moment at which it was back.
    """

    kind: Kind
    target: str
    began: float
    since: float
    ended: float


class Disturber:
    """Context manager: carries out a plan while inside; leaving ends what is under way and heals every link."""

    def __init__(self, ground: Ground, disturbances: Sequence[Disturbance]) -> None:
        self._ground = ground
        self._plan = sorted(disturbances)
        self._stop = threading.Event()
        self._done: list[Done] = []
        self._under_way: list[Future[None]] = []
        #: Processes that ended without being killed by us: a fault of theirs.
        self.ended: list[str] = []

    def __enter__(self) -> Self:
        self._hands = ThreadPoolExecutor(_HANDS, thread_name_prefix="chaos")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        # A server may be starting for a minute: without it, its start fails at once.
        while kind is not None and wait(self._under_way, timeout=_GIVE_UP_S).not_done:
            for name in (plan.POSTGRES, plan.RABBIT):
                self._ground.node(name).kill()
        self._hands.shutdown()

    @property
    def done(self) -> list[Done]:
        """What was carried out so far, in order."""
        return sorted(self._done, key=lambda one: one.began)

    def run(self) -> None:
        """Carry out the plan; returns when all of it has ended and everything works again. Raises what failed."""
        started = time.monotonic()
        for one in self._plan:
            while (left := started + one.at - time.monotonic()) > 0:
                time.sleep(min(left, _WATCH_S))
                self._replace_ended()
            self._under_way.append(self._hands.submit(self._carry_out, one))
        while wait(self._under_way, timeout=_WATCH_S).not_done:
            self._replace_ended()
        for future in self._under_way:
            future.result()
        for proxy in self._ground.proxies.values():
            proxy.heal()
        self._replace_ended()

    def _carry_out(self, one: Disturbance) -> None:
        if one.kind in _LINK_KINDS:
            with self._ground.link_locks[one.target]:
                done = self._link(one)
        elif one.target in self._ground.parts:
            part = self._ground.parts[one.target]
            with part.lock:
                done = self._part(part, one)
        else:
            with self._ground.locks[one.target]:
                done = self._server(one)
        self._done.append(done)

    def _part(self, part: Part, one: Disturbance) -> Done:
        began = time.time()
        if self._note_if_ended(part):
            part.start()
        elif one.kind is Kind.FREEZE:
            part.signal(signal.SIGSTOP)
            self._stop.wait(one.seconds)
            part.signal(signal.SIGCONT)
        else:
            part.replace()
            self._await_serving(part)
        return Done(kind=one.kind, target=one.target, began=began, since=began, ended=time.time())

    def _await_serving(self, part: Part) -> None:
        # It need not serve while a server is away; then it is at least running.
        deadline = time.monotonic() + _BACK_S
        while not (part.serving or self._stop.is_set()) and time.monotonic() < deadline:
            if not part.running:
                return
            time.sleep(_WATCH_S)

    def _server(self, one: Disturbance) -> Done:
        node = self._ground.node(one.target)
        began = time.time()
        if one.kind is Kind.WIPE:
            node.wipe()
        else:
            node.kill()
            node.start()
        now = time.time()
        return Done(kind=one.kind, target=one.target, began=began, since=now, ended=now)

    def _link(self, one: Disturbance) -> Done:
        proxy = self._ground.proxies[one.target]
        began = time.time()
        if one.kind is Kind.RESET:
            proxy.reset()
        else:
            proxy.partition() if one.kind is Kind.BLACKHOLE else proxy.unplug()
            self._stop.wait(one.seconds)
            proxy.heal()
        now = time.time()
        return Done(kind=one.kind, target=one.target, began=began, since=now, ended=now)

    def _replace_ended(self) -> None:
        for part in self._ground.parts.values():
            if part.running or not part.lock.acquire(blocking=False):
                continue
            try:
                if self._note_if_ended(part):
                    part.start()
            finally:
                part.lock.release()

    def _note_if_ended(self, part: Part) -> bool:
        if part.running:
            return False
        self.ended.append(f"{part.name} ended by itself: {part.said()[-400:].strip()}")
        # Collects the one that has ended.
        part.end()
        return True


def kills(done: Sequence[Done]) -> int:
    """Count the kills among these."""
    return sum(one.kind in KILLS for one in done)
