"""What a worker counts of itself. It observes; nothing depends on it.

Everything is counted after the answer or after the commit that it is about, so what is repeated is counted once.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Final

from atum_schema import metrics_catalogue as catalogue
from atum_schema.fallback import SMTP
from atum_schema.ids import milliseconds_of
from atum_schema.maintenance import Task
from atum_schema.metrics import Meter
from atum_schema.metrics_harmless import Harmless, harmless
from atum_workers.codes import CODES
from atum_workers.observing import Observer
from atum_workers.outcome import Accepted, Deferred, Rejected, Unclear
from atum_workers.settling import Search

if TYPE_CHECKING:
    from collections.abc import Sequence

    from atum_schema.settings import Settings
    from atum_workers.observing import Ticket
    from atum_workers.outcome import Outcome
    from atum_workers.reconcile import Round
    from atum_workers.store import Item, Result

OTHER: Final = "other"
"""Stands for a lane, task or ErrorCode that is not listed, so that no series are made by what comes."""

_WORDS: Final = {Accepted: "accepted", Rejected: "rejected", Deferred: "deferred", Unclear: "unknown"}
_FIRST: Final = "queued"
_TASKS: Final = tuple(task.value for task in Task)


def worker_meter(configured: Settings) -> Meter:
    """Make the meter of a worker with these settings."""
    values = {
        "lane": configured.lane_names,
        "account": (configured.account, SMTP),
        "task": _TASKS,
        "code": (*map(str, sorted(CODES)), OTHER),
    }
    return Meter("worker", values=values)


class Metering(Observer, Harmless):
    """Counts deliveries, rounds of searches and tasks. `lanes` are those that are told apart."""

    def __init__(self, meter: Meter, lanes: Sequence[str]) -> None:
        super().__init__()
        self._of = meter.of
        self._lanes = frozenset(lanes)

    @harmless
    def ticket(self, what: Ticket) -> None:
        self._of(catalogue.TICKETS, ticket=what).inc()

    @harmless
    def posting(self, lane: str) -> None:
        self._of(catalogue.INFLIGHT, lane=self._known(lane)).inc()

    @harmless
    def posted(self, lane: str) -> None:
        self._of(catalogue.INFLIGHT, lane=self._known(lane)).dec()

    @harmless
    def answered(
        self, lane: str, account: str, items: Sequence[Item], outcomes: Sequence[Outcome], seconds: float
    ) -> None:
        lane = self._known(lane)
        self._of(catalogue.REQUEST_DURATION, account=account).observe(seconds)
        self._of(catalogue.REQUESTS, account=account, code_class=_code_class(outcomes)).inc()
        kinds = [type(outcome) for outcome in outcomes]
        for kind, word in _WORDS.items():
            if number := kinds.count(kind):
                self._of(catalogue.ATTEMPTS, lane=lane, outcome=word).inc(number)
        if len(kinds) != kinds.count(Accepted):
            self._count_codes(outcomes)
        self._note_first(lane, items)

    @harmless
    def recorded(self, lane: str, results: Sequence[Result]) -> None:
        charges = [result.charged for result in results if result.retry_s is not None]
        for charged, word in ((True, "yes"), (False, "no")):
            if number := charges.count(charged):
                self._of(catalogue.RETRIES, lane=self._known(lane), charged=word).inc(number)

    @harmless
    def repeating(self) -> None:
        self._of(catalogue.DATABASE_RETRIES).inc()

    @harmless
    def sent_back(self) -> None:
        self._of(catalogue.FALLBACK_SENT_BACK).inc()

    @harmless
    def searched(self, found: Round) -> None:
        """Count a round of searches."""
        word = "found" if found.found else "failed" if found.worth is Search.FAILED else "empty"
        self._of(catalogue.SEARCHES, search=word).inc()

    @harmless
    def ran(self, task: str, *, failed: bool) -> None:
        """Count a run of a task."""
        task = task if task in _TASKS else OTHER
        self._of(catalogue.TASK_RUNS, task=task, task_result="failed" if failed else "done").inc()

    def _known(self, lane: str) -> str:
        return lane if lane in self._lanes else OTHER

    def _count_codes(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            if outcome.code and not isinstance(outcome, Accepted):
                code = str(outcome.code) if outcome.code in CODES else OTHER
                self._of(catalogue.ERROR_CODES, code=code).inc()

    def _note_first(self, lane: str, items: Sequence[Item]) -> None:
        """Note how long mails have waited whose first attempt this is; by the clock of who accepted them, and by ours."""
        accepted = Counter(
            milliseconds_of(item.mail_id)
            for item in items
            if item.tries == 0 and item.status == _FIRST and item.cycle == 1
        )
        now = time.time_ns() // 1_000_000
        # What comes from a clock that is ahead has waited no time at all.
        delays = Counter[float]()
        for then, number in accepted.items():
            delays[max(0, now - then) / 1000] += number
        if delays:
            self._of(catalogue.FIRST_ATTEMPT_DELAY, lane=lane).observe_many(delays)


def _code_class(outcomes: Sequence[Outcome]) -> str:
    status = next((outcome.http_status for outcome in outcomes if outcome.http_status is not None), None)
    word = "none" if status is None else f"{status // 100}xx"
    return word if word in catalogue.FIXED["code_class"] else "none"
