"""Why a lane does not send, and what mends it: the one place where operators' words for it are written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from atum_schema.flow import OPEN, OUTAGE, RATE_LIMITED

if TYPE_CHECKING:
    from atum_schema.flow import Window

_RESUME: Final = "; or at once: atum-mailer queue resume {lane}"
_PERSON: Final = "paused by {by}; to end it: atum-mailer queue resume {lane}"
_UNKNOWN: Final = "see the detail of the last failures: atum-mailer mail show ID"

REMEDIES: Final[dict[str, str]] = {
    OUTAGE: "the provider does not answer well; it is asked again by itself",
    RATE_LIMITED: "the provider takes less than is offered; it is asked again by itself; see ATUM_RATES",
    "token_refused": "set a valid ATUM_POSTMARK_TOKEN and restart the workers, then: atum-mailer queue resume {lane}",
    "forbidden": "something before the provider refuses us; check proxies and firewalls",
    "endpoint_not_found": "ATUM_POSTMARK_URL is not Postmark's; correct it and restart the workers",
    "media_type_refused": "something rewrites our requests; check proxies and ATUM_POSTMARK_URL",
    "not_allowed_to_send": "the account may not send, or has no credit left; see Postmark's billing page",
    "account_not_approved": "ask Postmark to approve the account",
    "account_pending": "Postmark has not approved the account for other domains yet; ask for approval",
    "server_or_account_invalid": "the Postmark server or account is gone; check both and ATUM_POSTMARK_TOKEN",
    "address_of_caller_not_allowed": "add this host's IP address to the server's allow list at Postmark",
    "sender_not_found": "add the sender's signature or domain at Postmark",
    "sender_not_confirmed": "confirm the sender's signature or domain at Postmark",
    "stream_unknown": "create the message stream at Postmark, or correct the mails' stream",
    "smtp_certificate_refused": "the SMTP relay's certificate is not trusted, or not its own; see ATUM_SMTP_CA_FILE",
    "smtp_starttls_missing": "the SMTP relay offers no STARTTLS; correct ATUM_SMTP_URL (smtps:// for TLS at once)",
    "smtp_credentials_refused": "correct ATUM_SMTP_USERNAME and ATUM_SMTP_PASSWORD, and restart the workers",
    "stream_cannot_send": "the message stream is an inbound one; correct the mails' stream",
}
"""Reason to remedy; `{lane}` stands for the lane. After the remedy, a probe finds out by itself that all is well."""


def remedy(window: Window, lane: str) -> str | None:
    """Say in words what mends a lane that is closed or paused; None when it is open."""
    if window.state == OPEN or window.reason is None:
        return None
    if window.paused_by is not None:
        return _PERSON.format(lane=lane, by=window.paused_by)
    text = REMEDIES.get(window.reason, _UNKNOWN)
    return (text if "{lane}" in text else text + _RESUME).format(lane=lane)
