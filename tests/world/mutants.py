"""Decisions made wrong on purpose: each must be found by what it breaks, or the world would be no test of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from atum_schema import flow, flow_allowance, status, sweeping
from atum_schema.flow_allowance import Allowance
from atum_schema.status import Cause, Status
from atum_workers import classify, flow_report, retry, settling
from atum_workers.deadline import Deadline
from atum_workers.outcome import Deferred, Rejected, Unclear
from tests.world import asking

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType


class Mutant(NamedTuple):
    """A decision, and a wrong one for its place."""

    name: str
    where: ModuleType | type
    attribute: str
    wrong: Callable[..., Any]


_expired, _after_search, _verdict, _decide = (
    sweeping.expired,
    settling.after_search,
    settling.verdict,
    retry.decide,
)
_classify, _flow_after, _remaining = classify.classify, flow.after, Deadline.remaining
_allowance, _signal = flow_allowance.allowance, flow_report.signal
_transitions = dict(status.TRANSITIONS)


def _reissues_postings(state: str, **rest: Any) -> Any:
    del state
    return _expired("claimed", **rest)


def _settles_at_once(search: Any, *, searches: int, **rest: Any) -> Any:
    del search, rest
    return settling.Settled(searches=searches)


def _failed_counts(search: Any, **rest: Any) -> Any:
    return _after_search(settling.Search.CONTROLLED if search is settling.Search.FAILED else search, **rest)


def _resends_expired(**given: Any) -> Any:
    return _verdict(**{**given, "expired": False})


def _resends_held(**given: Any) -> Any:
    return _verdict(**{**given, "resend": True})


def _charges_outages(outcome: Any, **rest: Any) -> Any:
    if isinstance(outcome, Deferred) and not outcome.split:
        outcome = Deferred(reason=outcome.reason, detail="", charged=True)
    return _decide(outcome, **rest)


def _repeats_unclear(outcome: Any, **rest: Any) -> Any:
    if isinstance(outcome, Unclear):
        outcome = Deferred(reason=outcome.reason, detail="", charged=False)
    return _decide(outcome, **rest)


def _takes_errors_for_refusals(answer: Any, *, count: int, now: Any) -> Any:
    if answer.status == 500:
        return [Rejected(reason="http_500", detail="")] * count
    return _classify(answer, count=count, now=now)


def _takes_any_200_for_acceptance(answer: Any, *, count: int, now: Any) -> Any:
    outcomes = _classify(answer, count=count, now=now)
    if answer.status != 200:
        return outcomes
    from atum_workers.outcome import Accepted

    return [Accepted("m?")] * len(outcomes)


def _never_opens(window: Any, report: Any, *rest: Any) -> Any:
    moved = _flow_after(window, report, *rest)
    return window if window.state != flow.OPEN and moved.state == flow.OPEN else moved


def _does_not_count(window: Any, *, in_flight: int, **rest: Any) -> Allowance:
    del in_flight
    return _allowance(window, in_flight=0, **rest)


def _never_probes(window: Any, **rest: Any) -> Allowance:
    allowed = _allowance(window, **rest)
    return allowed if window.state == flow.OPEN else Allowance(0, 0, 1)


def _knows_no_end(self: Deadline) -> float:
    del self
    return 20.0


def _trusts_the_wall_clock(self: Deadline) -> float:
    return max(0.0, self.budget - (self.wall() - self.wall_started))


def _trusts_the_boot_clock(self: Deadline) -> float:
    return max(0.0, self.budget - (self.boot() - self.boot_started))


def _proof_does_not_pull_back(before: Status, cause: Cause) -> Status:
    if cause in {Cause.FOUND, Cause.PROVIDER_ACCEPTED} and before is not Status.UNKNOWN:
        return before
    return _transitions[before, cause]


def _cancels_unknown(before: Status, cause: Cause) -> Status:
    if cause is Cause.RESEND_ALLOWED and before is Status.CANCELED:
        return Status.QUEUED
    return Status.QUEUED if cause is Cause.CANCELED else _transitions[before, cause]


MUTANTS: Final = (
    Mutant("an expired posting is issued again", sweeping, "expired", _reissues_postings),
    Mutant("a batch that killed its worker is not halved", sweeping, "halved", lambda mails: mails),
    Mutant("poison is never buried", sweeping, "expired", lambda s, **g: _expired(s, **{**g, "crashes": 0})),
    Mutant("every search counts", settling, "counts", lambda *_, **__: True),
    Mutant("a failed search counts", settling, "after_search", _failed_counts),
    Mutant("one search settles", settling, "after_search", _settles_at_once),
    Mutant("what is over is resent", settling, "verdict", _resends_expired),
    Mutant("what is to be held is resent", settling, "verdict", _resends_held),
    Mutant("an outage is charged", retry, "decide", _charges_outages),
    Mutant("what is unclear is repeated", retry, "decide", _repeats_unclear),
    Mutant("a 500 is a refusal", classify, "classify", _takes_errors_for_refusals),
    Mutant("any 200 is an acceptance", classify, "classify", _takes_any_200_for_acceptance),
    Mutant("a closed window never opens", flow, "after", _never_opens),
    Mutant("a closed window never probes", flow_allowance, "allowance", _never_probes),
    Mutant("what is in flight is not counted", flow_allowance, "allowance", _does_not_count),
    Mutant("the deadline never passes", Deadline, "remaining", _knows_no_end),
    Mutant("the wall clock is trusted", Deadline, "remaining", _trusts_the_wall_clock),
    Mutant("the clock since boot is trusted", Deadline, "remaining", _trusts_the_boot_clock),
    Mutant("proof does not pull back", status, "after", _proof_does_not_pull_back),
    Mutant("a person's order looks at no open POST", asking, "is_unresolved", lambda *_: False),
    Mutant("a cancel does not hold", status, "after", _cancels_unknown),
)
"""All of them."""
