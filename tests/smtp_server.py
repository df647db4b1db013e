"""aiosmtpd as a process: it writes what it takes to a file, line by line, and ends when its standard input does.

In a process of its own, because it leaves connections open behind TLS that was refused, and warns of it.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import sys
from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

if TYPE_CHECKING:
    from aiosmtpd.smtp import Envelope, Session


class Keeper:
    """Keeps what is sent. Mails whose subject holds `vanishing` are kept too, and then the connection is gone."""

    def __init__(self, path: Path, vanishing: str | None) -> None:
        self._path = path
        self._vanishing = None if vanishing is None else vanishing.encode()

    async def handle_DATA(  # noqa: N802  aiosmtpd's own hook
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        content = envelope.content
        assert isinstance(content, bytes)
        taken = {
            "sender": envelope.mail_from,
            "recipients": envelope.rcpt_tos,
            "content": b64encode(content).decode(),
            "peer": str(session.peer),
        }
        with self._path.open("ab") as file:
            file.write(orjson.dumps(taken) + b"\n")
        if self._vanishing is not None and self._vanishing in content and server.transport is not None:
            server.transport.close()
        return "250 2.0.0 Ok: queued as 4D2F1"


def options(document: dict[str, Any]) -> tuple[dict[str, Any], ssl.SSLContext | None]:
    """Make what aiosmtpd is told of TLS and passwords, and the context where TLS comes first."""
    context = None
    if document["certificate"] is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(document["certificate"])
    told: dict[str, Any] = {}
    if context is not None and not document["at_once"]:
        told |= {"tls_context": context, "require_starttls": True}
    if document["user"] is not None:
        known = LoginPassword(document["user"].encode(), document["password"].encode())

        def authenticated(*arguments: Any) -> AuthResult:
            return AuthResult(success=arguments[-1] == known, handled=False)

        # It knows of no encryption that began before it.
        told |= {"authenticator": authenticated, "auth_required": not document["at_once"]}
        told["auth_require_tls"] = not document["at_once"]
    return told, context if document["at_once"] else None


async def main(document: dict[str, Any]) -> None:
    told, context = options(document)
    keeper = Keeper(Path(document["path"]), document["vanishing"])
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(keeper, hostname="relay", **told), "127.0.0.1", 0, ssl=context
    )
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201  the parent waits for it
    await loop.run_in_executor(None, sys.stdin.read)
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main(orjson.loads(sys.argv[1])))
