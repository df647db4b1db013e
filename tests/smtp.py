"""SMTP servers for tests: one that is somebody else's and keeps what it took, and one that misbehaves as it is told."""

from __future__ import annotations

import asyncio
import socket
import socketserver
import ssl
import threading
import time
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes
from email import policy as policies
from typing import TYPE_CHECKING, Any, Self

import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from atum_workers.smtp_message import MAIL_HEADER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import EmailMessage
    from pathlib import Path

    from aiosmtpd.smtp import SMTP, Envelope, Session

USER, PASSWORD = "atum", "correct horse"


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


@dataclass
class Authority:
    """Certificates for 127.0.0.1 that only those trust who are told of `ca_file`."""

    ca_file: Path
    authority: trustme.CA = field(default_factory=trustme.CA)

    def __post_init__(self) -> None:
        self.authority.cert_pem.write_to_path(str(self.ca_file))

    def context(self, name: str = "127.0.0.1") -> ssl.SSLContext:
        """Make the context of a server with this name."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert(name).configure_cert(context)
        return context


class _Controller(Controller):
    """Hangs up before it stops: it leaves transports open otherwise."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._served: list[SMTP] = []

    def factory(self) -> SMTP:
        served: SMTP = super().factory()  # type: ignore[no-untyped-call]
        self._served.append(served)
        return served

    async def hang_up(self) -> None:
        for served in self._served:
            for transport in (served.transport, served._original_transport):
                if transport is not None:
                    transport.close()
        await asyncio.sleep(0.02)


@dataclass
class Relay:
    """aiosmtpd with a memory. Context manager."""

    tls: ssl.SSLContext | None = None
    #: TLS from the first byte, instead of STARTTLS.
    at_once: bool = False
    auth: bool = False
    #: Mails with this in their subject are taken, and the connection is gone before anybody is told.
    vanishing: str | None = None
    port: int = field(default_factory=free_port)
    taken: list[Envelope] = field(default_factory=list)
    #: Of each transaction, which connection it came over.
    peers: list[Any] = field(default_factory=list)

    def __enter__(self) -> Self:
        options: dict[str, Any] = {}
        if self.tls is not None and not self.at_once:
            options |= {"tls_context": self.tls, "require_starttls": True}
        if self.auth:
            # It knows of no encryption that began before it.
            options |= {"authenticator": _authenticated, "auth_required": not self.at_once}
            options["auth_require_tls"] = not self.at_once
        self._controller = _Controller(
            self,
            hostname="127.0.0.1",
            port=self.port,
            ssl_context=self.tls if self.at_once else None,
            **options,
        )
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._controller.hang_up(), self._controller.loop).result()
        self._controller.stop()

    async def handle_DATA(  # noqa: N802  aiosmtpd's own hook
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        self.taken.append(envelope)
        self.peers.append(session.peer)
        if self.vanishing and self.vanishing in read(envelope.content)["Subject"] and server.transport:
            server.transport.close()
        return "250 2.0.0 Ok: queued as 4D2F1"

    @property
    def messages(self) -> list[EmailMessage]:
        return [read(envelope.content) for envelope in self.taken]

    def copies(self) -> Counter[str]:
        """Count what was taken, by mail id."""
        return Counter(message[MAIL_HEADER] for message in self.messages)


def read(content: Any) -> EmailMessage:
    """Read a message as a receiver does."""
    return message_from_bytes(content, policy=policies.default)


def _authenticated(*arguments: Any) -> AuthResult:
    words = arguments[-1]
    assert isinstance(words, LoginPassword)
    right = words.login == USER.encode() and words.password == PASSWORD.encode()
    return AuthResult(success=right, handled=False)


@dataclass
class Script:
    """What the misbehaving server says. Steps: greeting, EHLO, STARTTLS, AUTH, MAIL, RCPT, DATA, END, RSET."""

    #: The reply to a step instead of the usual one; "" closes the connection, "drip" says one byte in a tenth of a
    #: second for ever, "silence" says nothing.
    replies: dict[str, str] = field(default_factory=dict)
    #: For how many transactions; afterwards all is well.
    times: int = 1_000_000
    #: Refuse recipients that hold this.
    refused: str = "bad@"
    #: Close the connection after so many bytes of a message.
    cut_after: int | None = None
    extensions: tuple[str, ...] = ("SIZE 10000000",)


_USUAL = {
    "greeting": "220 here",
    "MAIL": "250 ok",
    "RCPT": "250 ok",
    "DATA": "354 go on",
    "END": "250 ok: queued",
    "RSET": "250 ok",
    "AUTH": "235 ok",
    "STARTTLS": "220 go on",
    "QUIT": "221 bye",
}


class Faulty(socketserver.ThreadingTCPServer):
    """A server that does as its script says, and remembers what it saw."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Conversation)
        self.port: int = self.server_address[1]
        self.script = Script()
        #: Commands in order, without their arguments.
        self.commands: list[str] = []
        #: Messages whose final dot has come and that were not refused then.
        self.taken: list[bytes] = []
        self.connections = 0
        self.stopping = threading.Event()

    def copies(self) -> Counter[str]:
        """Count what was taken, by mail id."""
        return Counter(read(message)[MAIL_HEADER] for message in self.taken)

    def handle_error(self, *_: object) -> None:
        """Say nothing of a client that went away."""


class _Conversation(socketserver.StreamRequestHandler):
    server: Faulty

    def handle(self) -> None:
        self.server.connections += 1
        with suppress(ConnectionError, TimeoutError, ValueError):
            going_on = self._say("greeting")
            while going_on and (line := self.rfile.readline()):
                command = line.split()[0].decode().upper() if line.split() else ""
                self.server.commands.append(command)
                if command == "RCPT" and self.server.script.refused.encode() in line:
                    self._write("550 5.1.1 no such user\r\n")
                else:
                    going_on = self._answer(command)

    def _answer(self, command: str) -> bool:
        replies = self.server.script.replies
        if command == "EHLO" and "EHLO" not in replies:
            lines = ["here", *self.server.script.extensions]
            self._write("".join(f"250-{each}\r\n" for each in lines[:-1]) + f"250 {lines[-1]}\r\n")
            return True
        going_on = self._say(command) and command != "QUIT"
        taking = command == "DATA" and replies.get("DATA", "354").startswith("354")
        return self._take() if going_on and taking else going_on

    def _take(self) -> bool:
        message, cut = b"", self.server.script.cut_after
        while not message.endswith(b"\r\n.\r\n"):
            got = self.request.recv(65536 if cut is None else 1)
            message += got
            if not got or (cut is not None and len(message) >= cut):
                return False
        if self.server.script.times <= 0 or self.server.script.replies.get("END", "")[:1] not in {"4", "5"}:
            self.server.taken.append(message)
        return self._say("END")

    def _say(self, step: str) -> bool:
        """Say what the script says, or the usual; whether the conversation goes on."""
        script = self.server.script
        words = script.replies.get(step) if script.times > 0 else None
        if words is None:
            self._write(_USUAL.get(step, "500 what?") + "\r\n")
            return True
        script.times -= 1
        if words in {"drip", "silence"}:
            while not self.server.stopping.wait(0.1):
                self._write("2" if words == "drip" else "")
        if words not in {"", "drip", "silence"}:
            self._write(words + "\r\n")
            return True
        return False

    def _write(self, words: str) -> None:
        self.wfile.write(words.encode())
        self.wfile.flush()


@contextmanager
def faulty() -> Iterator[Faulty]:
    """Run a server that does as its script says."""
    with Faulty() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.stopping.set()
            server.shutdown()
            thread.join()


def waited(begun: float) -> float:
    """Seconds since then."""
    return time.monotonic() - begun
