"""From a rendered item to what SMTP carries: an envelope, and a message of RFC 5322 in lines of ASCII.

Header lines are written here and nothing in a value can end one; bodies and attachments are the email package's. Bcc is in
the envelope only. What belongs to Postmark alone (stream, tag, metadata, tracking) is left out.
"""

from __future__ import annotations

import re
from base64 import b64decode
from datetime import UTC, datetime
from email import policy
from email.header import Header
from email.message import EmailMessage, Message
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from atum_schema.addresses import Address, parse_addresses
from atum_schema.webhook import BATCH_KEY, MAIL_KEY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

MAIL_HEADER: Final = "X-Atum-Mail"
BATCH_HEADER: Final = "X-Atum-Batch"

_POLICY: Final = policy.SMTP.clone(cte_type="7bit")
_LINE_BYTES: Final = 998
_FOLDED: Final = 76
# What would end a header line, or a C program's idea of it.
_BREAKS: Final = re.compile(r"[\r\n\0]")
_LINE_ENDS: Final = re.compile(rb"\r\n|\r|\n")
_LEADING_DOTS: Final = re.compile(rb"(?m)^\.")
_ADDRESSES: Final = (("To", "To"), ("Cc", "Cc"), ("ReplyTo", "Reply-To"))
# Ours, or the transport's, whatever a caller may have said.
_OWN: Final = frozenset({"message-id", "date", "x-atum-mail", "x-atum-batch"})
# They are not to be encoded (RFC 2046 §5), so as files they travel like any other.
_AS_FILES: Final = frozenset({"message", "multipart"})


class Parcel(NamedTuple):
    """A mail as SMTP carries it."""

    sender: str
    #: To, Cc and Bcc, each once.
    recipients: tuple[str, ...]
    #: Without angle brackets.
    message_id: str
    #: The message with CRLF line ends and dots doubled, without the final dot.
    data: bytes


def parcel(item: Mapping[str, Any], *, now: datetime | None = None) -> Parcel:
    """Make the envelope and message of a rendered item. Raises `ValueError` for what cannot be said in a message."""
    (sender,) = _mailboxes(item, "From")
    mail_id, batch_id = item["Metadata"][MAIL_KEY], item["Metadata"][BATCH_KEY]
    message_id = f"{mail_id}.{batch_id}@{sender.domain}"
    everyone = [each.email for field in ("To", "Cc", "Bcc") for each in _mailboxes(item, field)]
    lines = [
        _header("Date", format_datetime(now or datetime.now(UTC))),
        _header("Message-ID", f"<{message_id}>"),
        _line("From", _mailbox(sender)),
        *_recipients(item),
        _header("Subject", item["Subject"]),
        _header(MAIL_HEADER, mail_id),
        _header(BATCH_HEADER, batch_id),
        *[
            _header(each["Name"], each["Value"])
            for each in item.get("Headers", ())
            if each["Name"].lower() not in _OWN
        ],
    ]
    message = b"".join(lines) + _content(item).as_bytes(policy=_POLICY)
    text = _LINE_ENDS.sub(b"\r\n", message)
    text = text if text.endswith(b"\r\n") else text + b"\r\n"
    return Parcel(
        sender=sender.email,
        recipients=tuple(dict.fromkeys(everyone)),
        message_id=message_id,
        data=_LEADING_DOTS.sub(b"..", text),
    )


def _recipients(item: Mapping[str, Any]) -> Iterator[bytes]:
    visible = False
    for field, name in _ADDRESSES:
        if mailboxes := _mailboxes(item, field):
            visible = visible or field != "ReplyTo"
            yield _line(name, ",\r\n ".join(map(_mailbox, mailboxes)))
    if not visible:
        yield _line("To", "undisclosed-recipients:;")


def _mailboxes(item: Mapping[str, Any], field: str) -> Sequence[Address]:
    return parse_addresses(item[field], field=field) if item.get(field) else ()


def _mailbox(address: Address) -> str:
    if not address.name or (address.name.isascii() and "=?" not in address.name):
        return str(address)
    name = Header(_unbroken(address.name), "utf-8", maxlinelen=_FOLDED).encode(linesep="\r\n")
    return f"{name} <{address.email}>"


def _header(name: str, value: str) -> bytes:
    """Write one header; what is not plain ASCII, too long, or looks encoded is encoded (RFC 2047)."""
    value = _unbroken(value)
    if not value.isascii() or "=?" in value or len(name) + len(value) + 2 > _LINE_BYTES:
        value = Header(value, "utf-8", maxlinelen=_FOLDED, header_name=name).encode(linesep="\r\n")
    return _line(name, value)


def _line(name: str, value: str) -> bytes:
    if not (name.isascii() and name.isprintable() and " " not in name and ":" not in name):
        raise ValueError(f"the header name {name!r} is not one")
    return f"{name}: {value}\r\n".encode("ascii")


def _unbroken(value: str) -> str:
    if _BREAKS.search(value):
        raise ValueError("a header's value holds a line break")
    return value


def _content(item: Mapping[str, Any]) -> EmailMessage:
    """Make the body: text and HTML as alternatives, images beside the HTML that shows them, files beside all."""
    message = EmailMessage(policy=_POLICY)
    text, html = item.get("TextBody"), item.get("HtmlBody")
    attachments = item.get("Attachments", ())
    if text or not html:
        message.set_content(text or "")
    if html:
        if text:
            message.add_alternative(html, subtype="html")
        else:
            message.set_content(html, subtype="html")
        page = message.get_body(("html",))
        for each in attachments:
            if each["ContentID"] is not None:
                _attach(page, each, "inline")
    for each in attachments:
        if each["ContentID"] is None or not html:
            _attach(message, each, "attachment")
    return message


def _attach(message: Any, each: Mapping[str, Any], disposition: str) -> None:
    kind = Message()
    kind["Content-Type"] = _unbroken(each["ContentType"])
    main, sub = kind.get_content_maintype(), kind.get_content_subtype()
    if main in _AS_FILES:
        main, sub, parameters = "application", "octet-stream", {}
    else:
        # The name is said by the disposition.
        parameters = {k: v for k, v in kind.get_params(failobj=[])[1:] if k.lower() != "name"}
    content_id = each["ContentID"]
    add = message.add_related if disposition == "inline" else message.add_attachment
    add(
        b64decode(each["Content"]),
        maintype=main,
        subtype=sub,
        disposition=disposition,
        filename=_unbroken(each["Name"]),
        cid=None if content_id is None else f"<{content_id.removeprefix('cid:')}>",
        params=parameters,
    )
