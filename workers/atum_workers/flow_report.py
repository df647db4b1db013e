"""What the outcomes of one request say about the provider, apart from its mails. Pure and total."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from atum_schema.flow import RATE_LIMITED, Failed, Good, Halt, Signal, Slow
from atum_workers import smtp_outcome
from atum_workers.codes import CODES, REFUSED_BY_STATUS, Meaning
from atum_workers.outcome import Accepted, Deferred, Outcome, Rejected, Unclear

if TYPE_CHECKING:
    from collections.abc import Sequence

TIMEOUT: Final = "timeout"
_ACCOUNT: Final = frozenset(
    {reason for kind, reason in CODES.values() if kind is Meaning.ACCOUNT}
    | set(REFUSED_BY_STATUS.values()) - {RATE_LIMITED}
    | smtp_outcome.FOR_A_PERSON
)
# A template belongs to a mail; senders and streams to many.
_OPERATOR: Final = frozenset(reason for kind, reason in CODES.values() if kind is Meaning.OPERATOR) - {
    "template_not_found"
}


def signal(outcomes: Sequence[Outcome]) -> Signal:
    """Sum up a request.

    A clear answer about mails is good, whatever it says of them: refusing a mail is work that is done. Where nothing
    was accepted, an account that is refused halts; a sender or stream may, when each mail says so.
    """
    deferred = [one for one in outcomes if isinstance(one, Deferred)]
    accepted = sum(isinstance(one, Accepted) for one in outcomes)
    waits = [one.retry_after for one in deferred if one.retry_after is not None]
    retry_after = max(waits, default=None)
    if any(one.reason == RATE_LIMITED for one in deferred):
        return Slow(RATE_LIMITED, retry_after)
    if accepted:
        return Good(accepted)
    return _halt(outcomes, deferred) or _without_acceptance(outcomes, retry_after)


def _halt(outcomes: Sequence[Outcome], deferred: Sequence[Deferred]) -> Halt | None:
    refused = [one.reason for one in deferred if one.reason in _ACCOUNT]
    if refused:
        return Halt(refused[0])
    wrong = [one.reason for one in deferred if one.reason in _OPERATOR and not one.split]
    return Halt(wrong[0], sure=False) if wrong and len(wrong) == len(outcomes) else None


def _without_acceptance(outcomes: Sequence[Outcome], retry_after: float | None) -> Signal:
    if any(isinstance(one, Deferred | Unclear) and one.slow for one in outcomes):
        return Slow(TIMEOUT, retry_after)
    about_mails = any(
        isinstance(one, Rejected) or (isinstance(one, Deferred) and (one.split or one.charged))
        for one in outcomes
    )
    return Good(0) if about_mails else Failed(retry_after)
