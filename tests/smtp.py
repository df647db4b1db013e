"""SMTP servers for tests: one that is somebody else's and keeps what it took, and one that misbehaves as it is told."""

from __future__ import annotations

import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
from base64 import b64decode
from collections import Counter
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes
from email import policy as policies
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import orjson
import trustme

from atum_workers.smtp_message import MAIL_HEADER
from tests.system import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import EmailMessage

USER, PASSWORD = "atum", "correct horse"


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


class Authority:
    """Certificates that only those trust who are told of `ca_file`."""

    def __init__(self, directory: Path) -> None:
        self._authority = trustme.CA()
        self._directory = directory
        self.ca_file = directory / "ca.pem"
        self._authority.cert_pem.write_to_path(str(self.ca_file))

    def certificate(self, name: str = "127.0.0.1") -> Path:
        """Make a server's key and certificate for this name."""
        path = self._directory / f"{name}.pem"
        self._authority.issue_cert(name).private_key_and_cert_chain_pem.write_to_path(str(path))
        return path


class Taken(NamedTuple):
    """What a server took in one transaction, and over which connection."""

    sender: str
    recipients: tuple[str, ...]
    content: bytes
    peer: str


@dataclass
class Relay:
    """Somebody else's server (aiosmtpd) as a process, and what it took. Context manager."""

    #: Key and certificate; None: no TLS.
    certificate: Path | None = None
    #: TLS from the first byte, instead of STARTTLS.
    at_once: bool = False
    auth: bool = False
    #: Mails with this in their subject are taken, and the connection is gone before anybody is told.
    vanishing: str | None = None
    port: int = 0

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            directory = undo.enter_context(tempfile.TemporaryDirectory(prefix="atum-test-smtp-"))
            self._path = Path(directory) / "taken"
            document = {
                "path": str(self._path),
                "certificate": None if self.certificate is None else str(self.certificate),
                "at_once": self.at_once,
                "user": USER if self.auth else None,
                "password": PASSWORD,
                "vanishing": self.vanishing,
            }
            process = undo.enter_context(
                subprocess.Popen(
                    [sys.executable, "-m", "tests.smtp_server", orjson.dumps(document).decode()],
                    cwd=ROOT,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                )
            )
            undo.callback(process.kill)
            assert process.stdout is not None
            self.port = int(process.stdout.readline())
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._last = self.taken
        self._undo.close()

    @property
    def taken(self) -> list[Taken]:
        """What was taken so far, in order; known after the end, too."""
        if not self._path.parent.exists():
            return self._last
        lines = self._path.read_bytes().splitlines() if self._path.exists() else []
        documents = [orjson.loads(line) for line in lines]
        return [
            Taken(each["sender"], tuple(each["recipients"]), b64decode(each["content"]), each["peer"])
            for each in documents
        ]

    @property
    def messages(self) -> list[EmailMessage]:
        return [read(each.content) for each in self.taken]

    def copies(self) -> Counter[str]:
        """Count what was taken, by mail id."""
        return Counter(message[MAIL_HEADER] for message in self.messages)


def read(content: Any) -> EmailMessage:
    """Read a message as a receiver does."""
    return message_from_bytes(content, policy=policies.default)


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
        #: How many final dots were answered.
        self.answered = 0
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
        going_on = self._say("END")
        self.server.answered += 1
        return going_on

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
