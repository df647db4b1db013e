"""What became of one mail in an SMTP transaction. Pure and total.

::

    connect, greeting, EHLO,   refused or broken                    not sent, at no charge
    STARTTLS, AUTH             refused for good, or untrusted       not sent, at no charge; a person must mend it
    MAIL, RCPT, DATA           4yz  (421: at no charge)             not sent, later
                               5yz                                  rejected
                               broken, or an answer out of place    not sent, at no charge
    message, before its end    broken, or out of time               not sent, at no charge
    end of the message         2yz                                  accepted
                               4yz, 5yz                             as above
                               no reply, or an unreadable one       unclear: nobody knows

A server must not act on a message whose end it has not seen (RFC 5321 §4.1.1.4), so all that comes before the final dot
is certainly not sent. Reply codes are not Postmark's: they are in reason and detail, and `code` stays empty.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple

from atum_schema.scrub import scrub
from atum_workers.outcome import Accepted, Deferred, Rejected, Unclear

if TYPE_CHECKING:
    from atum_workers.outcome import Outcome

CERTIFICATE: Final = "smtp_certificate_refused"
NO_STARTTLS: Final = "smtp_starttls_missing"
CREDENTIALS: Final = "smtp_credentials_refused"

FOR_A_PERSON: Final = frozenset({CERTIFICATE, NO_STARTTLS, CREDENTIALS})
"""Reasons that a person must mend; they pause the window."""

_SHUTTING_DOWN: Final = 421
# Authentication required, mechanism too weak, credentials invalid, encryption required (RFC 4954 §6).
_AUTH_CODES: Final = frozenset({530, 534, 535, 538})


class Stage(Enum):
    """How far a transaction has come: what was asked last, or what is being written."""

    CONNECT = "connecting"
    GREETING = "greeting"
    EHLO = "EHLO"
    STARTTLS = "STARTTLS"
    AUTH = "AUTH"
    MAIL = "MAIL FROM"
    RCPT = "RCPT TO"
    DATA = "DATA"
    MESSAGE = "the message"
    #: The final dot was written, or may have been.
    END = "the end of the message"


_OPENING: Final = frozenset({Stage.CONNECT, Stage.GREETING, Stage.EHLO, Stage.STARTTLS, Stage.AUTH})


class Reply(NamedTuple):
    """A server's reply: three digits and its text."""

    code: int
    text: str


def answered(stage: Stage, reply: Reply) -> Outcome | None:
    """Say what a reply means before the end of the message; None: the transaction goes on."""
    kind = reply.code // 100
    if kind == (3 if stage is Stage.DATA else 2):
        return None
    return _opening(stage, reply, kind) if stage in _OPENING else _refused(stage, reply, kind)


def broke(stage: Stage, why: str, *, slow: bool) -> Outcome:
    """Say what it means that the connection broke, or time ran out, at a stage; `why` is one word."""
    if stage is Stage.END:
        return Unclear(reason="no_answer", detail=f"SMTP: no clear answer to {stage.value}: {why}", slow=slow)
    return Deferred(
        reason="not_sent", detail=f"SMTP: not sent: {stage.value}: {why}", charged=False, slow=slow
    )


def untrusted(why: str) -> Outcome:
    """Say that the server could not prove who it is."""
    return Deferred(reason=CERTIFICATE, detail=f"SMTP: not sent: {scrub(why)}", charged=False)


def without_starttls() -> Outcome:
    """Say that the server does not encrypt."""
    return Deferred(reason=NO_STARTTLS, detail="SMTP: not sent: the server offers no STARTTLS", charged=False)


def without_auth() -> Outcome:
    """Say that there is no common way to log in."""
    return Deferred(
        reason=CREDENTIALS,
        detail="SMTP: not sent: the server offers no way to log in that we know",
        charged=False,
    )


def unsayable(why: str) -> Rejected:
    """Say that this mail cannot be written as a message."""
    return Rejected(reason="smtp_unsayable", detail=f"SMTP: cannot be written as a message: {scrub(why)}")


def ended(reply: Reply, *, message_id: str) -> Outcome:
    """Say what the reply to the end of the message means; `message_id` is ours, and stands for an accepted mail."""
    kind = reply.code // 100
    if kind == 2:  # noqa: PLR2004  the first digit is the meaning
        return Accepted(
            message_id, f"SMTP: {reply.code} {scrub(reply.text)}".rstrip(), http_status=None, code=None
        )
    if kind in {4, 5}:
        return _refused(Stage.END, reply, kind)
    return Unclear(reason="answer_unreadable", detail=_words(Stage.END, reply))


def _opening(stage: Stage, reply: Reply, kind: int) -> Outcome:
    permanent = stage is Stage.AUTH and kind == 5  # noqa: PLR2004  the first digit is the meaning
    reason = CREDENTIALS if permanent else "not_sent"
    return Deferred(reason=reason, detail=_words(stage, reply), charged=False)


def _refused(stage: Stage, reply: Reply, kind: int) -> Outcome:
    detail = _words(stage, reply)
    if stage is not Stage.END and reply.code in _AUTH_CODES:
        return Deferred(reason=CREDENTIALS, detail=detail, charged=False)
    if kind == 5:  # noqa: PLR2004  the first digit is the meaning
        return Rejected(reason=f"smtp_{reply.code}", detail=detail)
    if kind == 4:  # noqa: PLR2004  the first digit is the meaning
        return Deferred(reason=f"smtp_{reply.code}", detail=detail, charged=reply.code != _SHUTTING_DOWN)
    return Deferred(reason="not_sent", detail=detail, charged=False)


def _words(stage: Stage, reply: Reply) -> str:
    return f"SMTP: {stage.value}: {reply.code} {scrub(reply.text)}".rstrip()
