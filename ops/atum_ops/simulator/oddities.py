"""How a fault changes the acceptance of messages, and how it distorts the honest answer. Pure functions."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import orjson

from atum_ops.simulator import texts
from atum_ops.simulator.faults import FaultKind
from atum_ops.simulator.injector import Fault, hits
from atum_ops.simulator.sending import UNALTERED, Alterations, Document, Item
from atum_ops.simulator.texts import Refusal
from atum_ops.simulator.wire import Answer

if TYPE_CHECKING:
    from collections.abc import Sequence

RETRY_AFTER_S = 2
_MIXED_SHARE = 10
_UNKNOWN_CODE = 9876

_PAGES: dict[FaultKind, tuple[int, str]] = {
    FaultKind.BAD_GATEWAY_BEFORE: (502, "502 Bad Gateway"),
    FaultKind.BAD_GATEWAY_AFTER: (502, "502 Bad Gateway"),
    FaultKind.MAINTENANCE_HTML: (503, "503 Service Temporarily Unavailable"),
    FaultKind.GATEWAY_TIMEOUT_BEFORE: (504, "504 Gateway Time-out"),
    FaultKind.GATEWAY_TIMEOUT_AFTER: (504, "504 Gateway Time-out"),
    FaultKind.TOO_LARGE: (413, "413 Request Entity Too Large"),
    FaultKind.HTML_200: (200, "Postmark"),
}
_ERRORS: dict[FaultKind, tuple[int, int, str, str]] = {
    FaultKind.RATE_LIMIT: (429, 429, texts.SLOW_DOWN, ""),
    FaultKind.RATE_LIMIT_RETRY_AFTER: (429, 429, texts.SLOW_DOWN, f"Retry-After: {RETRY_AFTER_S}\r\n"),
    FaultKind.UNAUTHORIZED: (401, 10, texts.UNAUTHORIZED, ""),
    FaultKind.SERVER_ERROR_BEFORE: (500, 101, texts.INTERNAL, ""),
    FaultKind.SERVER_ERROR_AFTER: (500, 101, texts.INTERNAL, ""),
    FaultKind.MAINTENANCE: (503, 100, texts.MAINTENANCE, ""),
}


def alterations(fault: Fault, items: Sequence[Item]) -> Alterations:
    """Say what the fault changes while `items` are accepted."""
    match fault.rule.kind:
        case FaultKind.MIXED:
            return Alterations(failing=_failing(fault, items))
        case FaultKind.HANG_HALFWAY:
            return Alterations(only_first=(len(items) + 1) // 2)
        case FaultKind.PARTIAL_INACTIVE | FaultKind.PARTIAL_INACTIVE_LONG:
            return Alterations(last_inactive=True)
        case FaultKind.DELAYED:
            return Alterations(delayed=True)
        case _:
            return UNALTERED


def instead(fault: Fault) -> Answer | None:
    """Give the answer that hides the honest one, for faults that have one."""
    kind = fault.rule.kind
    if kind in _PAGES:
        return texts.html(*_PAGES[kind])
    if kind in _ERRORS:
        status, code, message, extra = _ERRORS[kind]
        error_id = f"{random.Random(fault.seed).getrandbits(64):016x}"  # noqa: S311 - reproducible, not secret
        return texts.error(code, message.format(error_id=error_id), status=status, extra=extra)
    return None


def distort(kind: FaultKind, answers: Sequence[Document], *, in_batch: bool) -> Answer:
    """Give the answer to accepted messages as the fault shows it: honest for kinds that do not touch the body."""
    match kind:
        case FaultKind.DELAYED:
            answers = [_delayed(answer) for answer in answers]
        case FaultKind.PARTIAL_INACTIVE_LONG:
            answers = [_wordier(answer) for answer in answers]
        case FaultKind.CODE_AS_STRING:
            answers = [{**answer, "ErrorCode": str(answer["ErrorCode"])} for answer in answers]
        case FaultKind.SHORT_ARRAY:
            return texts.json_answer(list(answers[:-1]) if in_batch else {})
        case FaultKind.TRUNCATED_JSON:
            body = honest(answers, in_batch=in_batch).body
            return Answer(body=body[: len(body) // 2])
        case _:
            pass
    return honest(answers, in_batch=in_batch)


def honest(answers: Sequence[Document], *, in_batch: bool) -> Answer:
    """Give the answer of a provider in good health: a batch is always 200, a refused single message 422."""
    if in_batch:
        return Answer(body=orjson.dumps(answers))
    only = answers[0]
    if "MessageID" in only:
        return Answer(body=orjson.dumps(only))
    return texts.json_answer(only, status=422, extra=f"X-PM-ApiErrorCode: {only['ErrorCode']}\r\n")


def _failing(fault: Fault, items: Sequence[Item]) -> dict[int, Refusal]:
    draw = random.Random(fault.seed)  # noqa: S311 - reproducible, not secret
    if fault.rule.metadata_key is None and fault.rule.recipient is None:
        chosen = draw.sample(range(len(items)), max(1, len(items) // _MIXED_SHARE)) if items else []
    else:
        chosen = [index for index, item in enumerate(items) if hits(fault.rule, item)]
    return {index: draw.choice(_refusals(items[index])) for index in chosen}


def _refusals(item: Item) -> tuple[Refusal, ...]:
    to: Any = item.get("To") or ""
    return (
        Refusal(300, f"Invalid 'To' address: '{to}'."),
        Refusal(406, texts.inactive([to.lower()], in_batch=True)),
        Refusal(_UNKNOWN_CODE, "The request was refused for a reason that this version does not know."),
    )


def _delayed(answer: Document) -> Document:
    if "MessageID" not in answer:
        return answer
    return {key: value for key, value in answer.items() if key != "ErrorCode"} | {"Message": texts.DELAYED}


def _wordier(answer: Document) -> Document:
    message = answer["Message"]
    if not message.startswith(texts.PARTLY_INACTIVE.format(addresses="")):
        return answer
    return {**answer, "Message": texts.PARTLY_INACTIVE_OLD.format(short=message)}
