"""Lets accepted messages live: what their fates hold happens when its time has come, and is told.

What has happened to a message is worked out from its fate whenever somebody asks, so only what is still to come is
kept. Messages accepted while fates are off have no life: nothing is known of them.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from bisect import bisect_right
from itertools import count
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from atum_ops.simulator.bounces import Bounce, Bounces, bounce_id
from atum_ops.simulator.fates import FatePlan, Step, What
from atum_ops.simulator.ledger import MAIL_KEY
from atum_ops.simulator.suppressions import Suppression

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from atum_ops.simulator.ledger import Ledger
    from atum_ops.simulator.suppressions import Suppressions

#: Steps that happen at a stretch, before the loop may turn to requests again.
_STRETCH: Final = 100
_GROUPS: Final = ("to", "cc", "bcc")

Record = dict[str, Any]


class Happened(NamedTuple):
    """A step that has been taken.

    `bounce` is the bounce that it made, `changed` says that it changed a suppression, `early` that it is told before
    the message's sending request is answered.
    """

    record: Mapping[str, Any]
    recipient: str
    step: Step
    at: float
    bounce: Bounce | None
    changed: bool
    early: bool


class Lives:
    """The lives of all messages of a ledger. Needs a running loop once a message has one.

    `early` says of a mail that its first step happens at once; `tell` hears of every step that is taken.
    """

    def __init__(self, ledger: Ledger, suppressions: Suppressions, plan: FatePlan | None) -> None:
        self.bounces = Bounces()
        self.tell: Callable[[Happened], None] = lambda _: None
        self.early: Callable[[str], bool] = lambda _: False
        self._ledger = ledger
        self._suppressions = suppressions
        #: From which `seq` on which plan holds; None: no lives.
        self._plans: list[tuple[int, FatePlan | None]] = [(1, plan)]
        self._hurried: set[str] = set()
        self._due: list[tuple[float, int, Record, str, Step]] = []
        self._number = count()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def plan(self) -> FatePlan | None:
        """What holds for the next message."""
        return self._plans[-1][1]

    @property
    def upcoming(self) -> int:
        """How many steps are still to be taken."""
        return len(self._due)

    def use(self, plan: FatePlan | None) -> None:
        """Let another plan, or none, hold from the next message on."""
        self._plans.append((self._ledger.accepted + 1, plan))

    def resume(self) -> None:
        """Take up the lives of what was accepted before this process began; what is past is not told again."""
        for block in self._ledger.blocks() if self.plan is not None else ():
            for line in block.splitlines():
                self._begin(orjson.loads(line))
        tell, self.tell = self.tell, lambda _: None
        while self._due and self._due[0][0] <= time.time():
            self._take_next()
        self.tell = tell
        self._wait()

    def follow(self, after: int) -> None:
        """Begin the lives of the messages accepted after that `seq`; what is early happens before this returns."""
        for block in self._ledger.blocks(after=after):
            for line in block.splitlines():
                record = orjson.loads(line)
                if self.early(mail_of(record)):
                    self._hurried.add(record["message_id"])
                self._begin(record)
        self._wait()

    def courses(self, record: Mapping[str, Any]) -> Iterator[tuple[str, list[tuple[float, Step]]]]:
        """Give each recipient of a message with its steps and when they happen (unix seconds)."""
        at = bisect_right(self._plans, record["seq"], key=lambda one: one[0])
        plan = self._plans[at - 1][1]
        if plan is None:
            return
        hurried = record["message_id"] in self._hurried
        for recipient in recipients_of(record):
            steps = plan.course(mail_of(record), recipient)
            sooner_s = steps[0].after_s if hurried else 0.0
            hurried = False
            yield recipient, [(record["accepted_at"] + step.after_s - sooner_s, step) for step in steps]

    def clear(self, plan: FatePlan | None) -> None:
        """Forget everything, and begin with this plan."""
        self._plans = [(1, plan)]
        self._due.clear()
        self._hurried.clear()
        self.bounces.clear()
        self.stop()

    def stop(self) -> None:
        """Let nothing happen any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _begin(self, record: Record) -> None:
        hurried = record["message_id"] in self._hurried
        for recipient, steps in self.courses(record):
            for at, step in steps:
                if hurried:
                    self._take(at, record, recipient, step, early=True)
                    hurried = False
                else:
                    heapq.heappush(self._due, (at, next(self._number), record, recipient, step))

    def _wait(self) -> None:
        self.stop()
        if self._due:
            wait_s = max(self._due[0][0] - time.time(), 0.0)
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._go_on)

    def _go_on(self) -> None:
        self._timer = None
        now = time.time()
        for _ in range(_STRETCH):
            if not self._due or self._due[0][0] > now:
                break
            self._take_next()
        self._wait()

    def _take_next(self) -> None:
        at, _, record, recipient, step = heapq.heappop(self._due)
        self._take(at, record, recipient, step)

    def _take(self, at: float, record: Record, recipient: str, step: Step, *, early: bool = False) -> None:
        changed = self._suppress(record["stream"], recipient, step, at)
        bounce = None
        if step.bounce:
            bounce = Bounce(
                id=bounce_id(record["message_id"], recipient, step.bounce),
                type=step.bounce,
                record=record,
                address=recipient,
                at=at,
                inactive=bool(step.reason),
            )
            self.bounces.add(bounce)
        self.tell(Happened(record, recipient, step, at, bounce, changed, early))

    def _suppress(self, stream: str, recipient: str, step: Step, at: float) -> bool:
        if step.reason:
            return self._suppressions.hold(stream, Suppression(recipient, step.reason, "Recipient", at))
        if step.what is What.RESUBSCRIBED:
            known = self._suppressions.at_last(stream, recipient)
            if known is not None and known.reason == "ManualSuppression":
                return self._suppressions.delete(stream, recipient)
        return False


def mail_of(record: Mapping[str, Any]) -> str:
    """Give what the fate of a message hangs on: the mail's own id, or else its place in the ledger."""
    metadata: Mapping[str, str] = record["metadata"]
    return metadata.get(MAIL_KEY) or str(record["seq"])


def recipients_of(record: Mapping[str, Any]) -> list[str]:
    """Give the recipients of a message, lower-case, each once."""
    return list(dict.fromkeys(email.lower() for group in _GROUPS for email in record[group]))
