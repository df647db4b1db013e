"""One connection to an SMTP server, all of whose reads and writes end by a deadline.

`smtplib` speaks the protocol; here are the socket beneath it, whose time is cut to what is left of a *total* deadline (a
server that drips one byte at a time outlives a time-out per read), and the sending of a message, whose end is withheld
until a final look at the deadline.
"""

from __future__ import annotations

import errno
import smtplib
import socket
import ssl
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from atum_schema.settings_smtp import STARTTLS, TLS, SmtpServer
from atum_workers import smtp_outcome
from atum_workers.deadline import Deadline, DeadlineExceeded
from atum_workers.outcome import Accepted, Rejected
from atum_workers.smtp_outcome import Reply, Stage
from atum_workers.transport import SOCKET_OPTIONS

if TYPE_CHECKING:
    from collections.abc import Callable

    from atum_workers.outcome import Outcome
    from atum_workers.smtp_message import Parcel

_LINE_BYTES: Final = 4096
_LINES: Final = 100
_CONNECT_S: Final = 10.0


class Refused(Exception):
    """The transaction is over, and its outcome known."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome)
        self.outcome = outcome


class Session(smtplib.SMTP):
    """An open connection. Not thread-safe: one thread has it at a time.

    `begin` opens it, `send_parcel` makes one transaction. Both raise `Refused`, with the outcome of the mail, and after
    that the session is to be closed, unless `usable` says that it can go on.
    """

    def __init__(self, server: SmtpServer, tls: ssl.SSLContext, local_name: str) -> None:
        # Without a host, nothing is connected yet.
        super().__init__(local_hostname=local_name)
        self._server = server
        self._tls = tls
        self._read = bytearray()
        #: Of the exchange that it is in; before the first, none is left.
        self.deadline = Deadline.start(0)
        #: How far the last exchange has come, and whether it is not the first.
        self.stage = Stage.CONNECT
        self.used = False
        #: Whether the next transaction may be made over it.
        self.usable = False

    def begin(self, deadline: Deadline, username: str | None, password: str | None) -> None:
        """Connect, greet, encrypt and log in. Raises `Refused`."""
        self.deadline = deadline
        self.stage = Stage.CONNECT
        try:
            self.sock = self._connected()
            self._expect(Stage.GREETING, lambda: Reply(*self._reply()))
            self._greet()
            if self._server.protection == STARTTLS:
                self._encrypt()
            if username is not None:
                self._log_in(username, password or "")
        except (OSError, smtplib.SMTPException, ValueError, DeadlineExceeded) as error:
            raise Refused(self._broke(error)) from None
        self.usable = True

    def renew(self, deadline: Deadline) -> bool:
        """Make ready for another mail after a pause; False when the server has gone away."""
        self.deadline = deadline
        try:
            self.usable = self.rset()[0] // 100 == 2  # noqa: PLR2004  the first digit is the meaning
        except (OSError, smtplib.SMTPException, ValueError, DeadlineExceeded):
            self.usable = False
        return self.usable

    def send_parcel(
        self, parcel: Parcel, deadline: Deadline, begun: Callable[[], None], sent: Callable[[], None]
    ) -> Accepted:
        """Make one transaction: all recipients or none. Raises `Refused`.

        `begun` is told when the message is written but for its end, `sent` when that is written too.
        """
        self.deadline = deadline
        self.stage = Stage.MAIL
        self.usable = False
        try:
            outcome = self._transact(parcel, begun, sent)
            self.used = True
        except (OSError, smtplib.SMTPException, ValueError, DeadlineExceeded) as error:
            raise Refused(self._broke(error)) from None
        self.usable = True
        return outcome

    def _transact(self, parcel: Parcel, begun: Callable[[], None], sent: Callable[[], None]) -> Accepted:
        # Addresses and message are ASCII: nothing more need be offered.
        options = [f"SIZE={len(parcel.data)}"] if self.has_extn("size") else []
        self._ask(Stage.MAIL, lambda: self.mail(parcel.sender, options))
        for recipient in parcel.recipients:
            self._ask(Stage.RCPT, partial(self.rcpt, recipient))
        self._ask(Stage.DATA, lambda: self.docmd("DATA"))
        self.stage = Stage.MESSAGE
        self.send(parcel.data)
        begun()
        self._end()
        sent()
        outcome = smtp_outcome.ended(Reply(*self._reply()), message_id=parcel.message_id)
        if not isinstance(outcome, Accepted):
            self._over(outcome)
            raise Refused(outcome)
        return outcome

    def _end(self) -> None:
        """Write the final dot, after a final look at the deadline: who was frozen until here has sent nothing."""
        if self.sock is None:
            raise smtplib.SMTPServerDisconnected("not connected")
        self.sock.settimeout(self._left())
        self.stage = Stage.END
        self.sock.sendall(b".\r\n")

    def _ask(self, stage: Stage, command: Callable[[], tuple[int, bytes]]) -> None:
        self.stage = stage
        code, text = command()
        outcome = smtp_outcome.answered(stage, Reply(code, _text(text)))
        if outcome is not None:
            self._over(outcome)
            raise Refused(outcome)

    def _over(self, outcome: Outcome) -> None:
        """Leave the session usable where only this mail was refused; nobody of its recipients gets anything."""
        if isinstance(outcome, Rejected) or getattr(outcome, "charged", False):
            try:
                self.usable = self.rset()[0] // 100 == 2  # noqa: PLR2004  the first digit is the meaning
            except (OSError, smtplib.SMTPException, ValueError, DeadlineExceeded):
                self.usable = False

    def _expect(self, stage: Stage, ask: Callable[[], Reply]) -> Reply:
        self.stage = stage
        reply = ask()
        outcome = smtp_outcome.answered(stage, reply)
        if outcome is not None:
            raise Refused(outcome)
        return reply

    def _greet(self) -> None:
        self._expect(Stage.EHLO, lambda: _reply(self.ehlo()))

    def _encrypt(self) -> None:
        if not self.has_extn("starttls"):
            raise Refused(smtp_outcome.without_starttls())
        self.stage = Stage.STARTTLS
        self._expect(Stage.STARTTLS, lambda: _reply(self.docmd("STARTTLS")))
        if self._read or self.sock is None:
            # Nobody knows who wrote what came before the handshake.
            raise smtplib.SMTPServerDisconnected("words before the handshake")
        self.sock = self._wrapped(self.sock)
        self.esmtp_features = {}
        self.does_esmtp = False
        self._greet()

    def _log_in(self, username: str, password: str) -> None:
        self.stage = Stage.AUTH
        self.user, self.password = username, password
        offered = self.esmtp_features.get("auth", "").upper().split()
        ways: dict[str, Any] = {
            "PLAIN": self.auth_plain,
            "LOGIN": self.auth_login,
            "CRAM-MD5": self.auth_cram_md5,
        }
        # One way only: a server that refuses the first may hang up, and its refusal would be lost.
        way = next((each for each in ways if each in offered), None)
        if way is None:
            raise Refused(smtp_outcome.without_auth())
        try:
            self.auth(way, ways[way])
        except smtplib.SMTPAuthenticationError as error:
            outcome = smtp_outcome.answered(Stage.AUTH, Reply(error.smtp_code, _text(error.smtp_error)))
            if outcome is None:
                raise
            raise Refused(outcome) from None

    def _broke(self, error: Exception) -> Outcome:
        if isinstance(error, ssl.SSLCertVerificationError):
            return smtp_outcome.untrusted(f"the server's certificate: {error.verify_message}")
        slow = isinstance(error, TimeoutError | DeadlineExceeded)
        return smtp_outcome.broke(self.stage, type(error).__name__, slow=slow)

    def _connected(self) -> socket.socket:
        """Connect to the first address that answers."""
        last: OSError = OSError(errno.EHOSTUNREACH, "no address")
        for family, kind, protocol, _, address in socket.getaddrinfo(
            self._server.host, self._server.port, type=socket.SOCK_STREAM
        ):
            sock = socket.socket(family, kind, protocol)
            try:
                for option in SOCKET_OPTIONS:
                    sock.setsockopt(*option)
                sock.settimeout(min(_CONNECT_S, self._left()))
                sock.connect(address)
                return self._wrapped(sock) if self._server.protection == TLS else sock
            except OSError as error:
                sock.close()
                last = error
            except BaseException:
                sock.close()
                raise
        raise last

    def _wrapped(self, sock: socket.socket) -> ssl.SSLSocket:
        sock.settimeout(self._left())
        return self._tls.wrap_socket(sock, server_hostname=self._server.host)

    def _left(self) -> float:
        """Give the seconds that are left. Raises `DeadlineExceeded` when there are none."""
        left = self.deadline.remaining()
        if left <= 0:
            raise DeadlineExceeded("the total deadline has passed")
        return left

    # From here on: what smtplib calls for its writes and reads.

    def send(self, s: Any) -> None:
        """Write all of it by the deadline."""
        if self.sock is None:
            raise smtplib.SMTPServerDisconnected("not connected")
        view = memoryview(s.encode(self.command_encoding) if isinstance(s, str) else s)
        while view:
            self.sock.settimeout(self._left())
            view = view[self.sock.send(view) :]

    def getreply(self) -> tuple[int, bytes]:
        """Read a reply by the deadline; raises `SMTPServerDisconnected` where there is none, or it is none."""
        code, text = self._reply()
        return code, text.encode("utf-8", "replace")

    def _reply(self) -> tuple[int, str]:
        texts: list[str] = []
        for _ in range(_LINES):
            line = self._line()
            digits, more = line[:3], line[3:4]
            if not (digits.isdigit() and b"2" <= digits[:1] <= b"5" and more in {b"", b" ", b"-"}):
                raise smtplib.SMTPServerDisconnected("the reply is none")
            texts.append(_text(line[4:]))
            if more != b"-":
                return int(digits), "\n".join(texts)
        raise smtplib.SMTPServerDisconnected("the reply does not end")

    def _line(self) -> bytes:
        while (end := self._read.find(b"\n")) < 0:
            if len(self._read) > _LINE_BYTES:
                raise smtplib.SMTPServerDisconnected("a line of the reply does not end")
            got = self._received()
            if not got:
                raise smtplib.SMTPServerDisconnected("the server closed the connection")
            self._read += got
        line = bytes(self._read[:end])
        del self._read[: end + 1]
        return line.rstrip(b"\r")

    def _received(self) -> bytes:
        """Read some bytes by the deadline.

        Once a message is written to its end, its answer counts after the deadline too, where it is there already: nobody
        else can say what became of the mail.
        """
        if self.sock is None:
            raise smtplib.SMTPServerDisconnected("not connected")
        if self.stage is not Stage.END or self.deadline.remaining() > 0:
            self.sock.settimeout(self._left())
            return self.sock.recv(_LINE_BYTES)
        self.sock.settimeout(0)
        try:
            return self.sock.recv(_LINE_BYTES)
        except (BlockingIOError, ssl.SSLWantReadError):
            raise DeadlineExceeded("the total deadline has passed") from None


def _reply(answer: tuple[int, bytes]) -> Reply:
    return Reply(answer[0], _text(answer[1]))


def _text(words: bytes | str) -> str:
    return words if isinstance(words, str) else words.decode("utf-8", "replace")
