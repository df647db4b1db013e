"""E-mail, through a server that has nothing to do with this system: it has to arrive when this one is down."""

from __future__ import annotations

import logging
import smtplib
import socket
import ssl
import time
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from email import policy
from email.message import EmailMessage
from email.utils import format_datetime, localtime, make_msgid
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from atum_ops.alerts.cutting import cut_after
from atum_ops.alerts.receivers.prose import text
from atum_ops.alerts.receivers.receiver import TIMEOUT, TIMEOUT_S, NotTaken, Receiver, words
from atum_schema.addresses import parse_addresses

if TYPE_CHECKING:
    from pydantic import SecretStr

    from atum_ops.alerts.breach import Breach

NAME: Final = "email"
SMTPS_PORT: Final = 465
SUBMISSION_PORT: Final = 587
_GOODBYE_S: Final = 1.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """An SMTP server as `smtp[s]://[user:password@]host[:port]` says it."""

    host: str
    port: int
    #: TLS from the first byte; else STARTTLS.
    at_once: bool
    user: str | None
    password: str

    @property
    def is_here(self) -> bool:
        """Whether nothing leaves this machine on the way to it."""
        try:
            return self.host == "localhost" or ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def needs_tls(self) -> bool:
        """Whether it has to be TLS: to a relay on this machine, whose certificate nobody has signed, only a password does."""
        return self.at_once or self.user is not None or not self.is_here

    def __repr__(self) -> str:
        return "Server(…)"


def server(url: SecretStr) -> Server:
    """Read the URL, which the settings have checked."""
    parts = urlsplit(url.get_secret_value())
    at_once = parts.scheme == "smtps"
    return Server(
        host=parts.hostname or "",
        port=parts.port or (SMTPS_PORT if at_once else SUBMISSION_PORT),
        at_once=at_once,
        user=None if parts.username is None else unquote(parts.username),
        password=unquote(parts.password or ""),
    )


def receiver(url: SecretStr, *, sender: str, recipients: str, timeout_s: float = TIMEOUT_S) -> Receiver:
    """Make the receiver; `recipients` are addresses, separated by commas."""
    to = server(url)

    def tell(told: Breach) -> None:
        began = time.monotonic()
        try:
            _send(to, message(told, sender=sender, recipients=recipients), timeout_s)
        except (smtplib.SMTPException, OSError, ValueError) as error:
            # Whoever was cut off has said half a reply, which may look like one.
            raise NotTaken(TIMEOUT if time.monotonic() - began >= timeout_s else _why(error)) from None

    return Receiver(NAME, tell)


def _why(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        return f"SMTP {error.smtp_code}"
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return "SMTP: no recipient was taken"
    return words(error)


def message(told: Breach, *, sender: str, recipients: str) -> EmailMessage:
    """Make the mail. `EmailMessage` refuses whatever would break out of a header."""
    mail = EmailMessage(policy=policy.SMTP)
    mail["From"] = sender
    mail["To"] = recipients
    mail["Subject"] = " ".join(told.title.split())
    mail["Date"] = format_datetime(localtime())
    mail["Message-ID"] = make_msgid("atum", _domain(sender))
    # No out-of-office answers it.
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Atum-Alert"] = told.alert
    mail.set_content(text(told))
    return mail


def _domain(sender: str) -> str:
    return parse_addresses(sender)[0].email.rpartition("@")[2]


def _send(to: Server, mail: EmailMessage, timeout_s: float) -> None:
    context = ssl.create_default_context()
    with ExitStack() as ended:
        wire = ended.enter_context(socket.create_connection((to.host, to.port), timeout_s))
        ended.enter_context(cut_after(wire, timeout_s))
        if to.at_once:
            wire = ended.enter_context(context.wrap_socket(wire, server_hostname=to.host))
        session = ended.enter_context(closing(_Session(to, wire, timeout_s)))
        if to.needs_tls and not to.at_once:
            session.ehlo()
            if not session.has_extn("starttls"):
                raise NotTaken("SMTP: the server offers no STARTTLS")
            session.starttls(context=context)
        if to.user is not None:
            session.login(to.user, to.password)
        refused = session.send_message(mail)
        # It has the mail. Whatever it answers now, or does not, would only send it again.
        with suppress(smtplib.SMTPException, OSError):
            _wire(session).settimeout(_GOODBYE_S)
            session.quit()
    if refused:
        log.warning(
            "alerts: the mail server refused some recipients", extra={"receiver": NAME, "count": len(refused)}
        )


class _Session(smtplib.SMTP):
    """Begins with a connection that is there already: whoever drips from the first byte on is cut off as well."""

    def __init__(self, to: Server, wire: socket.socket, timeout_s: float) -> None:
        self._begun = wire
        super().__init__(to.host, to.port, timeout=timeout_s)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        del host, port, timeout
        return self._begun


def _wire(session: smtplib.SMTP) -> socket.socket:
    if session.sock is None:
        raise ConnectionError
    return session.sock
