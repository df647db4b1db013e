"""From one answer of the provider to an outcome for every mail in the request. Pure and total."""

from __future__ import annotations

from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final, TypeGuard

import orjson

from atum_schema.scrub import scrub
from atum_workers.codes import REFUSED_BY_STATUS, Meaning, meaning
from atum_workers.outcome import Accepted, Deferred, Outcome, Rejected, Unclear

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

_MAX_ID: Final = 200
_MAX_CODE_DIGITS: Final = 10
_MAX_RETRY_AFTER_S: Final = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back over HTTP."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def classify(answer: Answer, *, count: int, now: datetime) -> list[Outcome]:
    """Give the outcome of each of the `count` mails, in order.

    What is not a clear answer is `Unclear` for every mail: 500, 502, 504, an unparsable or short 200, and whatever
    is not in the tables. Only HTTP statuses that exclude acceptance say "not taken".
    """
    status = answer.status
    document = _parse(answer.body)
    if status == 200:
        return _accepted_request(document, count)
    if status in REFUSED_BY_STATUS:
        wait_s = retry_after_s(answer.headers, now)
        outcome: Outcome = Deferred(
            reason=REFUSED_BY_STATUS[status],
            detail=_detail(document, status),
            charged=False,
            retry_after=wait_s,
            http_status=status,
            code=_code(document),
        )
        return [outcome] * count
    if status == 413:
        return [_too_large(document, count)] * count
    if status == 422:
        return [_refused_request(document, answer, count, now)] * count
    if status == 503 and _code(document) == 100:
        outcome = Deferred(
            reason="maintenance",
            detail=_detail(document, status),
            charged=False,
            retry_after=retry_after_s(answer.headers, now),
            http_status=status,
            code=100,
        )
        return [outcome] * count
    return [_unclear(f"http_{status}", _detail(document, status), status, _code(document))] * count


def _accepted_request(document: Any, count: int) -> list[Outcome]:
    results = [document] if count == 1 and isinstance(document, dict) else document
    if not isinstance(results, list) or len(results) != count:
        got = f"{len(results)} results" if isinstance(results, list) else "no list of results"
        return [_unclear("answer_does_not_match", f"200 with {got} for {count} mails", 200, None)] * count
    return [_item(result) for result in results]


def _item(result: Any) -> Outcome:
    if not isinstance(result, dict):
        return _unclear("answer_unreadable", "the result of this mail is not an object", 200, None)
    code, message_id = _code(result), result.get("MessageID")
    # A delayed acceptance has a MessageID and no ErrorCode: it is queued at the provider, never to be sent again.
    if _is_id(message_id) and (code == 0 or "ErrorCode" not in result):
        return Accepted(message_id, None if result.get("Message") == "OK" else _remark(result))
    if code in (None, 0) or message_id is not None:
        return _unclear("answer_unreadable", "neither a clear acceptance nor a clear refusal", 200, code)
    return _by_code(result, 200, companions=False)


def _is_id(value: Any) -> TypeGuard[str]:
    return type(value) is str and 0 < len(value) <= _MAX_ID and value.isascii() and value.isprintable()


def _refused_request(document: Any, answer: Answer, count: int, now: datetime) -> Outcome:
    if not isinstance(document, dict) or _code(document) is None:
        return _unclear("http_422", "422 without an ErrorCode", 422, None)
    return _by_code(document, 422, companions=count > 1, retry_after=retry_after_s(answer.headers, now))


def _by_code(
    document: dict[str, Any], status: int, *, companions: bool, retry_after: float | None = None
) -> Outcome:
    code = _code(document)
    kind, reason = meaning(code)
    detail = _detail(document, status)
    if kind is Meaning.UNCLEAR:
        return _unclear(reason, detail, status, code)
    if kind in (Meaning.LATER, Meaning.ACCOUNT):
        return Deferred(
            reason=reason,
            detail=detail,
            charged=False,
            retry_after=retry_after,
            http_status=status,
            code=code,
        )
    if companions:
        # Refused as a whole: nobody knows which mail is at fault, so the batch is halved, at no charge.
        return Deferred(
            reason=reason, detail=detail, charged=False, split=True, http_status=status, code=code
        )
    if kind is Meaning.OPERATOR:
        return Deferred(reason=reason, detail=detail, charged=True, http_status=status, code=code)
    return Rejected(reason=reason, detail=detail, http_status=status, code=code)


def _too_large(document: Any, count: int) -> Outcome:
    detail = _detail(document, 413)
    if count > 1:
        return Deferred(reason="too_large", detail=detail, charged=False, split=True, http_status=413)
    return Rejected(reason="too_large", detail=detail, http_status=413)


def _unclear(reason: str, detail: str, status: int, code: int | None) -> Unclear:
    return Unclear(reason=reason, detail=detail, http_status=status, code=code)


def _parse(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def _code(document: Any) -> int | None:
    """Read the ErrorCode; some answers carry it as a string of digits."""
    if not isinstance(document, dict):
        return None
    code = document.get("ErrorCode")
    if isinstance(code, str) and len(code) <= _MAX_CODE_DIGITS and code.isascii() and code.isdigit():
        code = int(code)
    # The database keeps codes as 32-bit integers; anything else is not an ErrorCode.
    return code if type(code) is int and 0 <= code < 2**31 else None


def _detail(document: Any, status: int) -> str:
    message = document.get("Message") if isinstance(document, dict) else None
    return scrub(message) if isinstance(message, str) and message else f"HTTP {status} without a message"


def _remark(result: dict[str, Any]) -> str | None:
    message = result.get("Message")
    return scrub(message) if isinstance(message, str) else None


def retry_after_s(headers: Mapping[str, str], now: datetime) -> float | None:
    """Read Retry-After: seconds or a date (RFC 9110 §10.2.3); nonsense is as if it were not there."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return min(float(value[:9]), _MAX_RETRY_AFTER_S)
    try:
        seconds = (parsedate_to_datetime(value) - now).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(seconds, 0.0), _MAX_RETRY_AFTER_S)
