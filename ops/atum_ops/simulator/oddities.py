"""How a fault changes the acceptance of messages, and how it distorts the honest answer. Pure functions."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import orjson

from atum_ops.simulator import recipients, texts
from atum_ops.simulator.exchange import Answer
from atum_ops.simulator.faults import EFFECTS, FaultKind, Truth
from atum_ops.simulator.injector import Fault, hits
from atum_ops.simulator.sending import UNALTERED, Alterations, Document, Item
from atum_ops.simulator.texts import Refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

RETRY_AFTER_S = 2
_MIXED_SHARE = 10
_UNKNOWN_CODE = 9876
_UNKNOWN_FIELDS = {"TraceID": "4f1d", "Warnings": [], "Region": {"Name": "eu", "Weight": 0.5}}

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
    FaultKind.RATE_LIMIT_CODE: (422, 429, texts.SLOW_DOWN, ""),
    FaultKind.UNAUTHORIZED: (401, 10, texts.UNAUTHORIZED, ""),
    FaultKind.IP_NOT_ALLOWED: (422, 1480, texts.IP_NOT_ALLOWED, ""),
    FaultKind.INVALID_REQUEST: (422, 300, texts.NO_RECIPIENTS, ""),
    FaultKind.INVALID_FIELDS: (422, 403, texts.BAD_FIELDS.format(fields="'TemplateModel'"), ""),
    FaultKind.SERVER_ERROR_BEFORE: (500, 101, texts.INTERNAL, ""),
    FaultKind.SERVER_ERROR_AFTER: (500, 101, texts.INTERNAL, ""),
    FaultKind.MAINTENANCE: (503, 100, texts.MAINTENANCE, ""),
}
_ITEM_TEXTS: dict[FaultKind, str] = {
    FaultKind.SENDER_UNKNOWN: texts.UNKNOWN_SENDER,
    FaultKind.SENDER_UNCONFIRMED: texts.UNCONFIRMED_SENDER,
    FaultKind.NO_CREDITS: texts.NO_CREDITS,
    FaultKind.PENDING_APPROVAL: texts.PENDING,
    FaultKind.NOT_APPROVED: texts.NOT_APPROVED,
    FaultKind.STREAM_UNKNOWN: texts.NO_STREAM,
    FaultKind.STREAM_ARCHIVED: texts.NOT_SENDING,
}


def alterations(fault: Fault, items: Sequence[Item]) -> Alterations:
    """Say what the fault changes while `items` are accepted."""
    if EFFECTS[fault.rule.kind].truth is Truth.OTHERS:
        return Alterations(failing=_failing_alike(fault, items))
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
    if kind is FaultKind.UNKNOWN_ERROR:
        document = {"ErrorCode": _UNKNOWN_CODE, "Message": texts.UNHEARD_OF, **_UNKNOWN_FIELDS}
        return texts.json_answer(document, status=422, extra=f"X-PM-ApiErrorCode: {_UNKNOWN_CODE}\r\n")
    if kind is FaultKind.ERROR_AS_STRING:
        return texts.json_answer({"ErrorCode": "300", "Message": texts.NO_RECIPIENTS}, status=422)
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
        case FaultKind.EXTRA_FIELDS:
            answers = [{**answer, **_UNKNOWN_FIELDS} for answer in answers]
        case FaultKind.MISSING_TO:
            answers = [{key: value for key, value in answer.items() if key != "To"} for answer in answers]
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
        Refusal(_UNKNOWN_CODE, texts.UNHEARD_OF),
    )


def _failing_alike(fault: Fault, items: Sequence[Item]) -> dict[int, Refusal]:
    hit = {index: item for index, item in enumerate(items) if hits(fault.rule, item)}
    if fault.rule.kind is FaultKind.PENDING_APPROVAL:
        hit = {index: item for index, item in hit.items() if _leaves_the_domain(item)}
    return {index: _refusal(fault.rule.kind, item) for index, item in hit.items()}


def _refusal(kind: FaultKind, item: Item) -> Refusal:
    code = int(kind.removeprefix("item_"))
    stream = item.get("MessageStream") or "outbound"
    return Refusal(code, _ITEM_TEXTS[kind].format(address=_sender(item), stream=stream))


def _sender(item: Item) -> str:
    found = recipients.parse("From", item.get("From") or "")
    return "" if isinstance(found, Refusal) or not found else found[0].email


def _leaves_the_domain(item: Item) -> bool:
    home = _sender(item).rpartition("@")[2].lower()
    groups = [recipients.parse(name, item.get(name) or "") for name in ("To", "Cc", "Bcc")]
    everyone = [one.email for group in groups if not isinstance(group, Refusal) for one in group]
    return any(email.rpartition("@")[2].lower() != home for email in everyone)


def _delayed(answer: Document) -> Document:
    if "MessageID" not in answer:
        return answer
    return {key: value for key, value in answer.items() if key != "ErrorCode"} | {"Message": texts.DELAYED}


def _wordier(answer: Document) -> Document:
    message = answer["Message"]
    if not message.startswith(texts.PARTLY_INACTIVE.format(addresses="")):
        return answer
    return {**answer, "Message": texts.PARTLY_INACTIVE_OLD.format(short=message)}
