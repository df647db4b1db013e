"""What is written for a mail: after its POST, or when it leaves its batch before one. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from atum_schema.moves import Move
from atum_schema.status import Cause
from atum_workers import store
from atum_workers.outcome import Accepted, Deferred, Rejected, Unclear
from atum_workers.retry import GiveUp, RetryIn, decide

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from atum_workers.outcome import Outcome
    from atum_workers.retry import RetryPolicy, Verdict

_WORDS: Final = {Rejected: "rejected", Deferred: "deferred", Unclear: "unknown"}
_UNREADABLE_RETRY_S: Final = 60.0


def expired(item: store.Item, batch: UUID) -> Move:
    """Say that the time of a mail is over."""
    return Move(item.mail_id, item.status, Cause.EXPIRED, reason="expired", detail="expired", batch_id=batch)


def elsewhere(item: store.Item, batch: UUID, *, after_s: float, alone: bool) -> Move:
    """Say that this worker cannot post a mail and another may, `after_s` seconds later."""
    return Move(
        item.mail_id,
        item.status,
        Cause.REISSUED,
        detail="the worker that took it knows no SMTP relay",
        batch_id=batch,
        due_s=after_s,
        # Who is under suspicion travels alone.
        at_most=1 if alone else None,
    )


def unreadable(item: store.Item, batch: UUID) -> Move:
    """Say that the content of a mail cannot be read now."""
    # Nothing was posted and nothing is charged: it goes out once the keyring is mended.
    return Move(
        item.mail_id,
        item.status,
        Cause.RETRY_SCHEDULED,
        reason="content_unreadable",
        detail="content_unreadable",
        batch_id=batch,
        due_s=_UNREADABLE_RETRY_S,
        at_most=1,
    )


def result(
    item: store.Item,
    outcome: Outcome,
    *,
    mails: int,
    policy: RetryPolicy,
    uniform: Callable[[float, float], float],
) -> store.Result:
    """Say what became of a mail that was one of `mails` in a POST."""
    verdict = decide(
        outcome, attempts=item.attempts, tries=item.tries, policy=policy, uniform=uniform, mails=mails
    )
    if isinstance(outcome, Accepted):
        return _sent(item, outcome, verdict)
    retrying = verdict if isinstance(verdict, RetryIn) else None
    return store.Result(
        mail_id=item.mail_id,
        was=item.status,
        status=verdict.status.value,
        cause=verdict.cause.value,
        outcome=_WORDS[type(outcome)],
        charged=isinstance(verdict, RetryIn | GiveUp) and verdict.charged,
        retry_s=None if retrying is None else retrying.seconds,
        at_most=None if retrying is None else retrying.at_most,
        reason=outcome.reason,
        detail=outcome.detail,
        http_status=outcome.http_status,
        code=outcome.code,
        provider_message_id=None,
    )


def _sent(item: store.Item, answer: Accepted, verdict: Verdict) -> store.Result:
    return store.Result(
        item.mail_id,
        item.status,
        verdict.status.value,
        verdict.cause.value,
        "accepted",
        False,
        None,
        None,
        None,
        answer.remark,
        answer.http_status,
        answer.code,
        answer.message_id,
    )
