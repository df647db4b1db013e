"""The API as a process of its own, for tests, and clients that it knows."""

from __future__ import annotations

import os
import signal
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import httpx
import psycopg

from atum_ops.service import Service
from atum_ops.stack.ports import free_port
from atum_producers.api import clients_store, keys
from atum_producers.api.clients_store import Scope
from atum_schema.encryption import new_key
from tests.nodes import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import TracebackType

ALL = (Scope.SEND, Scope.READ, Scope.MANAGE)
CONTENT_KEYS = new_key("test")
STARTED_S = 60.0


def add_client(
    database_url: str,
    name: str = "shop",
    *,
    scopes: Sequence[Scope] = ALL,
    domains: Sequence[str] = (),
    rate: float | None = None,
) -> str:
    """Make a client of the API in a database; give its key."""
    key = keys.new_key()
    with psycopg.connect(database_url) as connection:
        assert clients_store.create(
            connection,
            name=name,
            scopes=scopes,
            domains=domains,
            rate=rate,
            key_id=key.id,
            digest=key.digest,
        )
    return key.text


def letter(**fields: Any) -> dict[str, Any]:
    """Make the document of a mail."""
    return {
        "from": "App <app@example.com>",
        "to": "jane@example.net",
        "subject": "Hello",
        "text": "Hi",
    } | fields


class Api:
    """Context manager: `atum-mailer api` on a free port, and HTTP clients for it. Nothing of it runs afterwards.

    `settings` is environment on top of what it needs.
    """

    arguments: ClassVar[Sequence[str]] = ("api",)
    says: ClassVar[str] = '"serving"'
    port_variable: ClassVar[str] = "ATUM_API_PORT"

    def __init__(self, database_url: str, *, settings: Mapping[str, str] | None = None) -> None:
        self.database_url = database_url
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._environment = {
            "ATUM_CONTENT_KEYS": CONTENT_KEYS,
            **(settings or {}),
            "ATUM_DATABASE_URL": database_url,
            self.port_variable: str(self.port),
        }

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            logs = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="atum-test-api-")))
            self._log = logs / "api.log"
            self.process = Service(list(self.arguments), environment=self._environment, log=self._log)
            self.process.start()
            undo.callback(self._end)
            self.await_output(self.says)
            self._undo = undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._undo.close()

    def output(self) -> str:
        """What the process has written."""
        return self._log.read_text("utf-8", errors="replace")

    def await_output(self, words: str, *, seconds: float = STARTED_S) -> None:
        """Wait until the process has written these words."""
        assert eventually(lambda: words in self.output() or not self.process.running, seconds=seconds)
        assert words in self.output(), self.output()

    def start_again(self) -> None:
        """Start the process after it has ended."""
        self.process.start()
        assert eventually(lambda: self.output().count(self.says) > 1, seconds=STARTED_S), self.output()

    @contextmanager
    def client(self, name: str = "shop", **options: Any) -> Iterator[httpx.Client]:
        """Make a client of the API and an HTTP client that has its key."""
        with self.http(add_client(self.database_url, name, **options)) as http:
            yield http

    @contextmanager
    def http(self, key: str | None = None, **options: Any) -> Iterator[httpx.Client]:
        """Make an HTTP client, with this key if there is one."""
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        with httpx.Client(base_url=self.url, headers=headers, timeout=30, **options) as http:
            yield http

    def _end(self) -> None:
        if self.process.running:
            os.kill(self.process.pid, signal.SIGCONT)
            self.process.kill()
