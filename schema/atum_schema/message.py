"""Read a mail from an e-mail message: RFC 5322 headers and MIME parts, as applications and mailers write them."""

from __future__ import annotations

from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import TYPE_CHECKING, Any

from atum_schema.errors import MailRejected
from atum_schema.mail import Mail
from atum_schema.message_headers import fields_of_headers
from atum_schema.message_parts import fields_of_parts

if TYPE_CHECKING:
    from email.message import Message


def mail_from_eml(data: bytes, **overrides: Any) -> Mail:
    """Read a mail from the bytes of a message; `overrides` are fields of `Mail` that win over the message.

    Raises `MailRejected` if the message is not well formed or does not make a valid mail.
    """
    if not isinstance(data, bytes):
        raise MailRejected("message", f"must be bytes, not {type(data).__name__}")
    try:
        message = message_from_bytes(data, policy=policy.default)
    except RecursionError:
        raise MailRejected("message", "nests parts too deep to be read") from None
    return mail_from_message(message, **overrides)


def mail_from_message(message: Message, **overrides: Any) -> Mail:
    """Read a mail from a message of the standard library, of any policy; as `mail_from_eml` otherwise."""
    modern = _modern(message)
    try:
        fields = fields_of_headers(modern, skip=overrides) | fields_of_parts(modern)
    except MailRejected:
        raise
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        # The standard library's parser of headers raises these for damaged parameters and encodings.
        raise MailRejected("message", f"cannot be read: {type(error).__name__}") from None
    fields.setdefault("to", ())
    fields.setdefault("subject", "")
    fields.update(overrides)
    return Mail(**fields)


def _modern(message: Message) -> EmailMessage:
    if isinstance(message, EmailMessage):
        return message
    try:
        parsed = message_from_bytes(message.as_bytes(), policy=policy.default)
    except (UnicodeError, KeyError, LookupError) as error:
        raise MailRejected("message", f"cannot be written out: {error}") from None
    return parsed
