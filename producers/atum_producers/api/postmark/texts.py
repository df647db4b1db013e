"""Refusals in Postmark's words, and the error that carries one (Postmark developer docs, "Error codes").

What clients read out of texts must stay as it is; where Postmark's wording leaves the reason open, ours follows it.
"""

from __future__ import annotations

from typing import Final, NamedTuple

OK: Final = "OK"
UNAUTHORIZED: Final = (
    "No Account or Server API tokens were supplied in the HTTP headers, they were not a valid Server or Account "
    "token, or the wrong token type was used for the endpoint."
)
BAD_HEADERS: Final = "Bad or missing 'Content-Type' header: application/json is required."
BAD_JSON: Final = "Received invalid JSON input."
BAD_FIELDS: Final = "Invalid request field(s): {fields}."
TOO_MANY: Final = "You may only send up to {most} messages in a single batched request."
NO_RECIPIENTS: Final = "Zero recipients specified"
NO_TO: Final = (
    "Zero recipients specified in 'To'. At least one is required; 'Cc' and 'Bcc' do not count here."
)
NO_SENDER: Final = "Invalid 'From' address: ''."
NO_BODY: Final = "Provide either email TextBody or HtmlBody or both."
BAD_METADATA: Final = (
    "Invalid metadata content. Field names are limited to 20 characters and field values are limited to 80 "
    "characters in length. {reason}."
)
UNKNOWN_SENDER: Final = (
    "The 'From' address you supplied ({address}) is not a Sender Signature on your account. Please add and confirm "
    "this address in order to be able to use it in the 'From' field of your messages."
)
FORBIDDEN_FILE: Final = "Attachment '{name}' has a file type that is not allowed."
NO_STREAM: Final = "The stream provided: '{stream}' does not exist on this server."
NO_TEMPLATES: Final = (
    "Templates are not supported here: the 'TemplateId' or 'TemplateAlias' associated with this request was not "
    "found. Render the message in the application, and send it by /email or /email/batch."
)
NOT_FOUND: Final = "The requested resource was not found."
NO_MESSAGE: Final = "This message was not found."
BAD_PAGING: Final = "Invalid paging: 'count' must be from 1 to 500, and 'count' plus 'offset' at most 10000."
ONE_METADATA: Final = "Only one metadata field can be searched for at a time."
BAD_STATUS: Final = "Invalid 'status': '{value}' is none of queued, sent, processed and failed."
BAD_DATE: Final = "Invalid '{name}': '{value}' is not a date."
BAD_PARAMETER: Final = "Invalid '{name}': it must be text of at most {most} characters without NUL."


class Refusal(NamedTuple):
    """Why one message is refused: Postmark's ErrorCode, and a Message."""

    code: int
    message: str


class Refused(Exception):
    """Ends a request with Postmark's error envelope: ErrorCode, Message, HTTP status."""

    def __init__(self, code: int, message: str, *, status: int = 422) -> None:
        self.code = code
        self.message = message
        self.status = status
        super().__init__(f"{status}/{code}: {message}")


def invalid(message: str) -> Refusal:
    """Refuse with ErrorCode 300, "invalid email request"."""
    return Refusal(300, message)
