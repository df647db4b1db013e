"""Accepting messages: check each, record what is taken in one append, answer item by item in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from uuid_utils import uuid4

from atum_ops.simulator import texts
from atum_ops.simulator.ledger import Entry, Envelope, Ledger
from atum_ops.simulator.rules import Account, check, skip
from atum_ops.simulator.texts import Refusal

Item = Mapping[str, Any]
Document = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alterations:
    """What a fault changes while messages are accepted.

    `failing` items are refused though they are right; only the first `only_first` items are looked at at all; with
    `last_inactive` the last recipient of each message to several is skipped; `delayed` messages stay queued.
    """

    failing: Mapping[int, Refusal] = field(default_factory=dict)
    only_first: int | None = None
    last_inactive: bool = False
    delayed: bool = False


UNALTERED = Alterations()


def submit(
    items: Sequence[Item],
    account: Account,
    ledger: Ledger,
    *,
    request: int,
    in_batch: bool,
    alterations: Alterations = UNALTERED,
) -> list[Document]:
    """Accept what can be accepted, in one append, and give one answer per message, in order.

    When the ledger cannot be written (OSError) nothing was accepted.
    """
    verdicts = judge(items[: alterations.only_first], account, in_batch=in_batch)
    if alterations is not UNALTERED:
        verdicts = [_alter(index, verdict, alterations) for index, verdict in enumerate(verdicts)]
    entries = [Entry(str(uuid4()), verdict) for verdict in verdicts if type(verdict) is Envelope]
    at = ledger.append(entries, request=request)
    return _answers(items, verdicts, entries, texts.timestamp(at))


def rehearse(items: Sequence[Item], account: Account, *, at: float, in_batch: bool) -> list[Document]:
    """Answer as the token POSTMARK_API_TEST is answered: everything is checked, nothing is accepted."""
    verdicts = judge(items, account, in_batch=in_batch)
    entries = [Entry(str(uuid4()), verdict) for verdict in verdicts if type(verdict) is Envelope]
    answers = _answers(items, verdicts, entries, texts.timestamp(at))
    return [
        {**answer, "Message": texts.TEST_OK} if answer["ErrorCode"] == 0 else answer for answer in answers
    ]


def judge(items: Sequence[Item], account: Account, *, in_batch: bool) -> list[Envelope | Refusal]:
    """Check each message; accepts nothing."""
    return [check(item, account, in_batch=in_batch) for item in items]


def _alter(index: int, verdict: Envelope | Refusal, alterations: Alterations) -> Envelope | Refusal:
    if isinstance(verdict, Refusal):
        return verdict
    if index in alterations.failing:
        return alterations.failing[index]
    if alterations.last_inactive:
        everyone = [*verdict.to, *verdict.cc, *verdict.bcc]
        last = everyone[-1].lower()
        if any(email.lower() != last for email in everyone):
            return skip(verdict, [last])
    if alterations.delayed:
        return verdict._replace(extra={**verdict.extra, "status": "Queued"})
    return verdict


def _answers(
    items: Sequence[Item], verdicts: Sequence[Envelope | Refusal], entries: Sequence[Entry], submitted_at: str
) -> list[Document]:
    accepted = iter(entries)
    answers: list[Document] = []
    for item, verdict in zip(items, verdicts, strict=False):
        if type(verdict) is Refusal:
            answers.append({"ErrorCode": verdict.code, "Message": verdict.message})
            continue
        message_id, envelope = next(accepted)
        to = item.get("To")
        answer: Document = {"To": to} if to else {}
        answer["SubmittedAt"] = submitted_at
        answer["MessageID"] = message_id
        answer["ErrorCode"] = 0
        answer["Message"] = _message(envelope) if envelope.extra else texts.OK
        answers.append(answer)
    return answers


def _message(envelope: Envelope) -> str:
    skipped = envelope.extra.get("skipped")
    return texts.PARTLY_INACTIVE.format(addresses=", ".join(skipped)) if skipped else texts.OK
