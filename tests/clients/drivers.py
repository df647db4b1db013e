"""One interface to all clients: `CLIENTS["postmark.js"].send(place, letters)`. The place is any base URL with a token.

Each call runs the client in a process of its own. The job goes in as JSON on stdin, and what comes out is the client's own
view: its results, or the error that it raised.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.clients import nodejs
from tests.clients.resident import Residents

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tests.clients.letter import Letter

    Program = Callable[[Mapping[str, Any]], Any]

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
    #: Takes a job and gives what it says.
    program: Program
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
        said = self.program({"url": place.url, "token": place.token, "job": job, **given})
        if "error" in said:
            raise ClientError(**said["error"])
        return said["answer"]


def _node(script: str) -> Program:
    def program(job: Mapping[str, Any]) -> Any:
        done = subprocess.run(
            nodejs.program(script),
            input=json.dumps(job),
            cwd=_ROOT,
            env=_environment(),
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
        if done.returncode != 0:
            raise AssertionError(f"{script} ended with {done.returncode}: {done.stderr[-4000:]}")
        return json.loads(done.stdout)

    return program


def _python(module: str) -> Program:
    @cache
    def residents() -> Residents:
        command = [sys.executable, "-m", f"tests.clients.{module}"]
        return Residents(command, directory=_ROOT, environment=_environment())

    def program(job: Mapping[str, Any]) -> Any:
        with residents().one() as resident:
            return resident.ask(job, seconds=_TIMEOUT_S)

    return program


def _environment() -> dict[str, str]:
    return {**os.environ, **_NO_PROXY}


def _documents(letters: Sequence[Letter]) -> list[dict[str, Any]]:
    return [letter.to_document() for letter in letters]


_READING = frozenset({"search", "details", "server"})
_STREAMS = frozenset({"streams", "stream", "suppressions", "suppress", "unsuppress"})

CLIENTS = {
    client.name: client
    for client in (
        Client(name="postmark.js", program=_node("postmark.mjs"), jobs=_READING | _STREAMS),
        Client(name="postmarker", program=_python("with_postmarker"), jobs=_READING),
        Client(name="anymail", program=_python("with_anymail")),
        Client(name="postmark-python", program=_python("with_postmark_python"), jobs=_READING | _STREAMS),
    )
}
