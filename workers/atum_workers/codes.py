"""Postmark's words, as tables: what each HTTP status and ErrorCode means for a mail.

Sources: Postmark developer docs, "API error codes" and "Response codes" (2026), and answers seen in the field.
A few ErrorCodes look like HTTP statuses (401, 403, 405 …); they are only looked up after the HTTP status.
"""

from __future__ import annotations

from enum import Enum
from typing import Final


class Meaning(Enum):
    """What an ErrorCode of a 422 answer, or of an item in a batch answer, says about the mail."""

    PERMANENT = "this mail will never be taken"
    LATER = "not now; nothing is wrong with the mail"
    OPERATOR = "not until somebody changes the account, the sender or the stream"
    UNCLEAR = "nobody knows whether the mail was taken"
    ACCOUNT = "nothing of this account is taken; nothing is wrong with the mail"
    REQUEST = "the request as a whole is wrong; one mail in it may be the cause"


_REQUEST: Final = {
    402: "invalid_json",
    403: "invalid_field_type",
    409: "headers_missing",
    410: "batch_too_large",
}
_ACCOUNT: Final = {
    10: "token_refused",
    405: "not_allowed_to_send",
    413: "account_not_approved",
    422: "server_or_account_invalid",
    1480: "address_of_caller_not_allowed",
}
_UNCLEAR: Final = {101: "internal_error"}
_OPERATOR: Final = {
    400: "sender_not_found",
    401: "sender_not_confirmed",
    412: "account_pending",
    1101: "template_not_found",
    1235: "stream_unknown",
    1236: "stream_cannot_send",
}
_PERMANENT: Final = {
    300: "invalid_mail",
    406: "recipient_inactive",
    411: "attachment_type_forbidden",
    701: "message_not_found",
    1109: "template_model_missing",
    1120: "template_field_missing",
    1121: "template_field_too_long",
    1122: "template_model_invalid",
    1123: "template_and_body",
}
_LATER: Final = {100: "maintenance", 429: "rate_limited"}

CODES: Final[dict[int, tuple[Meaning, str]]] = (
    {code: (Meaning.REQUEST, reason) for code, reason in _REQUEST.items()}
    | {code: (Meaning.OPERATOR, reason) for code, reason in _OPERATOR.items()}
    | {code: (Meaning.PERMANENT, reason) for code, reason in _PERMANENT.items()}
    | {code: (Meaning.ACCOUNT, reason) for code, reason in _ACCOUNT.items()}
    | {code: (Meaning.UNCLEAR, reason) for code, reason in _UNCLEAR.items()}
    | {code: (Meaning.LATER, reason) for code, reason in _LATER.items()}
)
"""ErrorCode to its meaning and our word for it."""

# A code that nobody has told us about is not retried for ever; it dies with its number, and can be replayed.
UNKNOWN_CODE: Final = (Meaning.PERMANENT, "unknown_error_code")

REFUSED_BY_STATUS: Final[dict[int, str]] = {
    401: "token_refused",
    403: "forbidden",
    404: "endpoint_not_found",
    415: "media_type_refused",
    429: "rate_limited",
}
"""HTTP statuses that say for the whole request: certainly not taken, and not the mail's fault."""


def meaning(code: int | None) -> tuple[Meaning, str]:
    """Look up an ErrorCode."""
    return UNKNOWN_CODE if code is None else CODES.get(code, UNKNOWN_CODE)
