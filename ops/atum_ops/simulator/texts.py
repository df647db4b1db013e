"""The answers of Postmark in words: error bodies and Message texts (Postmark developer docs, "Error codes").

Texts marked *inferred* in `docs/simulator.md` have the right ErrorCode but wording nobody has captured yet.
"""

from __future__ import annotations

import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from atum_ops.simulator.exchange import Answer

if TYPE_CHECKING:
    from collections.abc import Sequence

SERVER_ID = 1
OK = "OK"
TEST_OK = "Test job accepted"
DELAYED = "Message accepted, but delivery may be delayed."
UNAUTHORIZED = (
    "No Account or Server API tokens were supplied in the HTTP headers, they were not a valid Server or Account "
    "token, or the wrong token type was used for the endpoint."
)
BAD_HEADERS = "Bad or missing 'Accept' or 'Content-Type' header: application/json is required."
BAD_JSON = "Received invalid JSON input."
TOO_MANY = "You may only send up to 500 messages in a single batched request."
NO_RECIPIENTS = "Zero recipients specified"
NO_BODY = "Provide either email TextBody or HtmlBody or both."
BAD_METADATA = (
    "Invalid metadata content. Field names are limited to 20 characters and field values are limited to 80 "
    "characters in length. The '{key}' field in your metadata content exceeds these limits."
)
UNKNOWN_SENDER = (
    "The 'From' address you supplied ({address}) is not a Sender Signature on your account. Please add and confirm "
    "this address in order to be able to use it in the 'From' field of your messages."
)
UNCONFIRMED_SENDER = "The 'From' address you supplied ({address}) is a Sender Signature on your account that is not confirmed yet."
NO_CREDITS = "Not allowed to send: your account has run out of credits and cannot send."
PENDING = "While your account is pending approval, all recipient addresses must share the same domain as the From address."
NOT_APPROVED = "This account is not approved to send email."
IP_NOT_ALLOWED = "You are not authorized to send emails from your current IP address: '127.0.0.1'."
INACTIVE = (
    "You tried to send to {whom} marked as inactive. Found inactive addresses: {addresses}. Inactive recipients are "
    "ones that have generated a hard bounce, a spam complaint, or a manual suppression."
)
PARTLY_INACTIVE = "Message OK, but will not deliver to these inactive addresses: {addresses}"
PARTLY_INACTIVE_OLD = (
    "{short}. Inactive recipients are ones that have generated a hard bounce or a spam complaint."
)
NO_STREAM = "The stream provided: '{stream}' does not exist on this server."
NOT_SENDING = "The stream provided: '{stream}' cannot be used for sending messages."
BAD_FIELDS = "Invalid request field(s): {fields}."
INTERNAL = "An internal error occurred. Error ID: {error_id}"
MAINTENANCE = "The Postmark API is offline for maintenance."
UNHEARD_OF = "The request was refused for a reason that this version does not know."
SLOW_DOWN = "You have exceeded the rate limit. Please slow down."
NOT_FOUND = "The requested resource was not found."
NO_MESSAGE = "This message was not found."
BAD_PAGING = "Invalid paging: 'count' must be from 1 to 500, and 'count' plus 'offset' at most 10000."
ONE_METADATA = "Only one metadata field can be searched for at a time."
UNKNOWN_STREAM = "The message stream for the provided 'ID' was not found."
NO_AUTHORITY = "You do not have the required authority to change this suppression."
BAD_ADDRESS = "An invalid email address was provided."
BAD_REASON = "Parameter `SuppressionReason` is invalid."
BAD_ORIGIN = "Parameter `Origin` is invalid."
NO_PROPER_BODY = "A proper request body must be provided."
TOO_MANY_SUPPRESSIONS = "You cannot provide more than the maximum number of suppressions for this request."
NO_TEMPLATE_ID = "The 'TemplateId' associated with this request is not valid or was not found."
NO_TEMPLATE_ALIAS = "The Template's 'Alias' associated with this request is not valid or was not found."
NO_MODEL = "The 'TemplateModel' is required, though it may be empty."
TEMPLATE_AND_BODY = "A request with a template must not have a 'Subject', 'HtmlBody' or 'TextBody'."
NO_BOUNCE = "The bounce that was requested could not be found."
NO_ACTIVATION = "The address cannot be activated: its bounce does not allow it."
BAD_BOUNCE_QUERY = "Invalid value of the parameter '{name}'."
BAD_WEBHOOK_URL = "The 'Url' is required, and must be an absolute http or https URL."
BAD_WEBHOOK = "Invalid value of the field '{name}'."
NO_WEBHOOK = "The webhook that was requested could not be found."
WEBHOOK_REMOVED = "Webhook {id} removed."
NOT_VERIFIED = "The webhook could not be verified, and nothing was saved: {failures}."
BAD_DATE = "Invalid '{name}': '{value}' is not a date."


class Refusal(NamedTuple):
    """Why one message is refused: the provider's ErrorCode and Message."""

    code: int
    message: str


def invalid(message: str) -> Refusal:
    """Refuse with ErrorCode 300, "invalid email request"."""
    return Refusal(300, message)


def inactive(addresses: Sequence[str], *, in_batch: bool) -> str:
    """Word the refusal (ErrorCode 406) of a message all of whose recipients are inactive."""
    whom = "a recipient that has been" if in_batch else "recipient(s) that have been"
    message = INACTIVE.format(whom=whom, addresses=", ".join(addresses))
    return f"{message} " if in_batch else message


def timestamp(at: float) -> str:
    """Write unix seconds the way Postmark does: UTC with seven fractional digits."""
    whole = int(at)
    return f"{_to_the_second(whole)}.{int((at - whole) * 10_000_000):07d}Z"


@lru_cache(maxsize=16)
def _to_the_second(at: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at))


def json_answer(document: Any, *, status: int = 200, extra: str = "") -> Answer:
    """Give `document` as a JSON answer."""
    return Answer(body=orjson.dumps(document), status=status, extra=extra)


def error(code: int, message: str, *, status: int = 422, extra: str = "") -> Answer:
    """Give Postmark's error envelope, with the code repeated in `X-PM-ApiErrorCode`."""
    return json_answer(
        {"ErrorCode": code, "Message": message},
        status=status,
        extra=f"X-PM-ApiErrorCode: {code}\r\n{extra}",
    )


def html(status: int, title: str) -> Answer:
    """Give the kind of page that a proxy in front of the API answers with."""
    body = (
        f"<html><head><title>{title}</title></head><body><center><h1>{title}</h1></center></body></html>\r\n"
    )
    return Answer(body=body.encode(), status=status, content_type="text/html")


def server(token: str) -> dict[str, Any]:
    """Give the body of `GET /server` (Postmark developer docs, "Server API")."""
    return {
        "ID": SERVER_ID,
        "Name": "atum-mailer simulator",
        "ApiTokens": [token],
        "Color": "Grey",
        "SmtpApiActivated": False,
        "RawEmailEnabled": False,
        "DeliveryType": "Sandbox",
        "ServerLink": "",
        "InboundAddress": "",
        "InboundHookUrl": "",
        "BounceHookUrl": "",
        "OpenHookUrl": "",
        "DeliveryHookUrl": "",
        "ClickHookUrl": "",
        "PostFirstOpenOnly": False,
        "InboundDomain": "",
        "InboundHash": "",
        "InboundSpamThreshold": 0,
        "TrackOpens": False,
        "TrackLinks": "None",
        "IncludeBounceContentInHook": False,
        "EnableSmtpApiErrorHooks": False,
    }


def stream(name: str, kind: str) -> dict[str, Any]:
    """Give one stream of `GET /message-streams` (Postmark developer docs, "Message streams API")."""
    return {
        "ID": name,
        "ServerID": SERVER_ID,
        "Name": name,
        "Description": None,
        "MessageStreamType": kind,
        "CreatedAt": timestamp(0.0),
        "UpdatedAt": None,
        "ArchivedAt": None,
        "ExpectedPurgeDate": None,
        "SubscriptionManagementConfiguration": {
            "UnsubscribeHandlingType": "Postmark" if kind == "Broadcasts" else "None"
        },
    }
