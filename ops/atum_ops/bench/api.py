"""How fast the API takes mail: durable, the API on one core, everything else on the others."""

from __future__ import annotations

import secrets
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson
import psycopg

from atum_ops.bench import http, runs, serving
from atum_ops.percentiles import percentile
from atum_ops.stack.local import LocalStack
from atum_ops.stack.ports import free_port
from atum_producers.api import clients_store, keys
from atum_producers.api.clients_store import Scope
from atum_schema.document import mail_to_document
from atum_schema.encryption import new_key
from atum_schema.errors import StackError
from atum_schema.migrate import migrate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: What an API process has to take per second.
SINGLES_BAR: Final = 1500.0
ARRAYS_BAR: Final = 8000.0
_CLIENT: Final = "bench"
_SINGLE_CONNECTIONS: Final = 48
_ARRAY_CONNECTIONS: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One measurement: mails of about 2 KB, every one answered with 202 and found in the log."""

    requests_per_second: float
    mails_per_second: float
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Stand:
    """The API that is measured."""

    port: int
    database_url: str
    key: str


@contextmanager
def stand(directory: Path) -> Iterator[Stand]:
    """Run a private PostgreSQL and one API process, which has one core of its own if there are several."""
    with ExitStack() as stack:
        postgres = stack.enter_context(LocalStack(directory, broker=False))
        migrate(postgres.database_url)
        key = keys.new_key()
        with psycopg.connect(postgres.database_url) as connection:
            clients_store.create(
                connection,
                name=_CLIENT,
                scopes=[Scope.SEND],
                domains=[],
                rate=None,
                key_id=key.id,
                digest=key.digest,
            )
        port = free_port()
        environment = {
            "ATUM_DATABASE_URL": postgres.database_url,
            "ATUM_CONTENT_KEYS": new_key("bench"),
            "ATUM_API_PORT": str(port),
        }
        stack.enter_context(serving.pinned(["api"], environment, says="serving"))
        yield Stand(port=port, database_url=postgres.database_url, key=key.text)


def singles(at: Stand, number: int) -> Round:
    """Hand over mails one by one."""
    bodies = [orjson.dumps(_document(place)) for place in range(number)]
    return _measure(at, bodies, mails=number, connections=_SINGLE_CONNECTIONS)


def arrays(at: Stand, number: int, *, each: int) -> Round:
    """Hand over mails in arrays of `each`."""
    bodies = [
        orjson.dumps([_document(place) for place in range(first, min(first + each, number))])
        for first in range(0, number, each)
    ]
    return _measure(at, bodies, mails=number, connections=_ARRAY_CONNECTIONS)


def _document(number: int) -> dict[str, Any]:
    return mail_to_document(runs.mail(number))


def _measure(at: Stand, bodies: list[bytes], *, mails: int, connections: int) -> Round:
    headers = {"Authorization": f"Bearer {at.key}", "X-Run": secrets.token_hex(4)}
    requests = [http.request("/v1/mails", body, headers) for body in bodies]
    before = _stored(at)
    measured = serving.run(lambda: http.load(at.port, iter(requests), connections=connections))
    if measured.statuses != {202: len(bodies)}:
        raise StackError(f"not every request was taken; answers by status: {measured.statuses}")
    if _stored(at) - before != mails:
        raise StackError(f"{mails} mails were taken, and {_stored(at) - before} are in the log")
    return Round(
        requests_per_second=len(bodies) / measured.seconds,
        mails_per_second=mails / measured.seconds,
        p50_ms=(percentile(measured.waits, 0.50) or 0.0) * 1000,
        p99_ms=(percentile(measured.waits, 0.99) or 0.0) * 1000,
    )


def _stored(at: Stand) -> int:
    with psycopg.connect(at.database_url) as connection:
        row = connection.execute("SELECT count(*) FROM atum.mail").fetchone()
    return 0 if row is None else int(row[0])
