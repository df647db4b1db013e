"""One interface to all clients: `CLIENTS["postmark.js"].send(place, letters)`. The place is any base URL with a token.

Each call runs the client in a process of its own. The job goes in as JSON on stdin, the token through the environment,
and what comes out is the client's own view: its results, or the error that it raised.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.clients import nodejs
from tests.clients.job import TOKEN_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tests.clients.letter import Letter

_ROOT = Path(__file__).parents[2]
_TIMEOUT_S = 120
#: Places are on this machine, whatever its way to the network is.
_NO_PROXY = {"NO_PROXY": "127.0.0.1,localhost,::1", "no_proxy": "127.0.0.1,localhost,::1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """An API to talk to: base URL without a trailing slash, and a server token."""

    url: str
    token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a client makes of one message, or of one recipient (anymail, which tells no code)."""

    accepted: bool
    message_id: str | None
    code: int | None
    message: str


class ClientError(Exception):
    """A client raised instead of giving results: `kind` is its exception's name, `code` and `status` what it told."""

    def __init__(self, kind: str, message: str, code: int | None, status: int | None) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind
        self.message = message
        self.code = code
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A published client. `jobs` names what it can do besides `send` and `template`."""

    name: str
    command: Callable[[], Sequence[str]]
    jobs: frozenset[str] = frozenset()

    def send(self, place: Place, letters: Sequence[Letter]) -> list[Result]:
        """Send one letter alone, several as the client's batch. Raises ClientError."""
        return [Result(**one) for one in self._do(place, "send", letters=_documents(letters))]

    def template(self, place: Place, letters: Sequence[Letter], alias: str) -> list[Result]:
        """Send letters by a template, without bodies and subject of their own. Raises ClientError."""
        return [
            Result(**one) for one in self._do(place, "template", letters=_documents(letters), alias=alias)
        ]

    def ask(self, place: Place, job: str, **given: Any) -> Any:
        """Do one of `jobs`; what the API calls objects are dicts with its own field names. Raises ClientError."""
        return self._do(place, job, **given)

    def _do(self, place: Place, job: str, **given: Any) -> Any:
        done = subprocess.run(
            self.command(),
            input=json.dumps({"url": place.url, "job": job, **given}),
            cwd=_ROOT,
            env={**os.environ, **_NO_PROXY, TOKEN_VARIABLE: place.token},
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
        if done.returncode != 0:
            raise AssertionError(f"{self.name} ended with {done.returncode}: {done.stderr[-4000:]}")
        said: Mapping[str, Any] = json.loads(done.stdout)
        if "error" in said:
            raise ClientError(**said["error"])
        return said["answer"]


def _python(module: str) -> Callable[[], Sequence[str]]:
    return lambda: [sys.executable, "-m", f"tests.clients.{module}"]


def _documents(letters: Sequence[Letter]) -> list[dict[str, Any]]:
    return [letter.to_document() for letter in letters]


_READING = frozenset({"search", "details", "server"})
_STREAMS = frozenset({"streams", "stream", "suppressions", "suppress", "unsuppress"})

CLIENTS = {
    client.name: client
    for client in (
        Client(name="postmark.js", command=lambda: nodejs.program("postmark.mjs"), jobs=_READING | _STREAMS),
        Client(name="postmarker", command=_python("with_postmarker"), jobs=_READING),
        Client(name="anymail", command=_python("with_anymail")),
        Client(name="postmark-python", command=_python("with_postmark_python"), jobs=_READING | _STREAMS),
    )
}
