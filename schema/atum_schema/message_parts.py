"""The parts of a message: which one is the text, which the HTML, and what is an attachment."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from email import policy
from email.message import EmailMessage
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from atum_schema.errors import MailRejected
from atum_schema.mail_attachments import Attachment, extension_of
from atum_schema.message_charsets import decode_text, decode_words, recover

if TYPE_CHECKING:
    from email.message import Message

_SEPARATORS = re.compile(r"[/\\]")
_PARAMETER = re.compile(r"[A-Za-z0-9._-]+")
_TRANSFER_ENCODINGS: Final = frozenset(("", "7bit", "8bit", "binary", "quoted-printable", "base64"))
_DEEPEST: Final = 50


@dataclass(slots=True)
class Parts:
    """What was found: bodies in the order they show, and files."""

    text: list[str] = field(default_factory=list)
    html: list[str] = field(default_factory=list)
    files: list[EmailMessage] = field(default_factory=list)


def fields_of_parts(message: EmailMessage) -> dict[str, Any]:
    """Read the arguments for `Mail` that the parts of a message give: text, html, attachments.

    multipart/alternative gives its best plain and HTML form, the others are other forms of the same (a calendar
    invitation is kept as a file). In multipart/related and mixed the rest are files. Raises `MailRejected`.
    """
    parts = Parts()
    _collect(message, parts, depth=0)
    text = "\n".join(parts.text) if parts.text else None
    html = parts.html[0] if parts.html else None
    attachments = [_attachment(place, part, html or "") for place, part in enumerate(parts.files)]
    return {"text": text, "html": html, "attachments": attachments}


def _collect(part: Message, parts: Parts, *, depth: int) -> None:
    part = _checked(part)
    if depth > _DEEPEST:
        raise MailRejected("message", f"nests parts more than {_DEEPEST} levels deep")
    if part.get_content_maintype() != "multipart":
        _collect_leaf(part, parts)
        return
    children: list[Message] = list(part.iter_parts())
    if part.get_content_subtype() == "alternative":
        _collect_alternative(children, parts, depth=depth)
        return
    for child in children:
        _collect(child, parts, depth=depth + 1)


def _collect_alternative(children: list[Message], parts: Parts, *, depth: int) -> None:
    """Take the last form of each kind: later ones are the better ones (RFC 2046 §5.1.4)."""
    best = Parts()
    for child in children:
        form = Parts()
        _collect(child, form, depth=depth + 1)
        best.text = form.text or best.text
        best.html = form.html or best.html
        is_other_form = child.get_content_maintype() == "text" and child.get_content_type() != "text/calendar"
        best.files += [] if is_other_form else form.files
    _add(parts, best)


def _add(parts: Parts, more: Parts) -> None:
    parts.text += more.text
    parts.html += more.html
    parts.files += more.files


def _collect_leaf(part: EmailMessage, parts: Parts) -> None:
    content_type = part.get_content_type()
    is_file = part.get_content_disposition() == "attachment" or part.get_filename() is not None
    if content_type == "text/plain" and not is_file and not parts.html:
        parts.text.append(_body("text", part))
    elif content_type == "text/html" and not is_file and not parts.html:
        parts.html.append(_body("html", part))
    else:
        parts.files.append(part)


def _checked(part: Message) -> EmailMessage:
    """Refuse parts whose structure is broken: what is cut short must not be sent as if it were whole."""
    if not isinstance(part, EmailMessage):
        raise MailRejected("message", "has a part that is not an EmailMessage")
    if part.defects:
        raise MailRejected("message", f"is not well formed: {_words(part.defects[0])}")
    encoding = str(part.get("content-transfer-encoding", "")).strip().lower()
    if encoding not in _TRANSFER_ENCODINGS:
        raise MailRejected("message", f"has a part with the unknown transfer encoding {encoding!r}")
    return part


def _words(defect: object) -> str:
    """Turn "CloseBoundaryNotFoundDefect" into "close boundary not found"."""
    name = type(defect).__name__.removesuffix("Defect")
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).lower()


def _bytes(place: str, part: EmailMessage) -> bytes:
    data = part.get_payload(decode=True)
    # Decoding base64 reports its defects on the part, only after the fact.
    if part.defects:
        raise MailRejected(place, f"is not well formed: {_words(part.defects[0])}")
    return data if isinstance(data, bytes) else b""


def _body(name: str, part: EmailMessage) -> str:
    try:
        text = decode_text(_bytes(name, part), part.get_content_charset())
    except MailRejected:
        raise
    except ValueError as error:
        raise MailRejected(name, str(error)) from None
    return text.removeprefix("\ufeff").replace("\r\n", "\n")


def _attachment(place: int, part: EmailMessage, html: str) -> Attachment:
    where = f"attachments[{place}]"
    content = (
        _message_bytes(part) if part.get_content_maintype() == "message" else _bytes(f"{where}.content", part)
    )
    try:
        return Attachment(
            name=_name(part, place),
            content=content,
            content_type=_content_type(part),
            content_id=_content_id(part, html),
        )
    except MailRejected as error:
        raise MailRejected(f"{where}.{error.field}", error.reason) from None


def _message_bytes(part: EmailMessage) -> bytes:
    """Write an attached message out as it was, with the line ends of mail."""
    as_it_was = policy.default.clone(refold_source="none", linesep="\r\n")
    inner = part.get_payload()
    messages = [each for each in inner if isinstance(each, EmailMessage)] if isinstance(inner, list) else []
    return b"\r\n".join(each.as_bytes(policy=as_it_was) for each in messages)


def _name(part: EmailMessage, place: int) -> str:
    """Name of the file, without the path that some senders give (RFC 2183 §2.3)."""
    name = part.get_filename()
    if name:
        try:
            return _SEPARATORS.split(decode_words(recover(name)).strip())[-1]
        except ValueError as error:
            raise MailRejected("name", str(error)) from None
    if part.get_content_type() == "message/rfc822":
        return f"message-{place + 1}.eml"
    return f"part-{place + 1}.{extension_of(part.get_content_type())}"


def _content_type(part: EmailMessage) -> str:
    """Media type with the parameters that a reader of the file needs."""
    content_type = part.get_content_type()
    for name in ("charset", "method"):
        value = part.get_param(name)
        if isinstance(value, str) and _PARAMETER.fullmatch(value):
            content_type += f"; {name}={value}"
    return content_type


def _content_id(part: EmailMessage, html: str) -> str | None:
    """Content id if the HTML shows this part; other parts with an id are plain attachments."""
    value = str(part.get("content-id", "")).strip().removeprefix("<").removesuffix(">")
    if value and (f"cid:{value}" in html or f"cid:{quote(value)}" in html):
        return value
    return None
