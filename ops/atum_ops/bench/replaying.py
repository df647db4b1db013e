"""How fast dead letters are looked through and replayed: by the commands as people run them, on servers of one's own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import uuid
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson
import pika
import psycopg
from pydantic import SecretStr

from atum_ops import pausing, suppressing
from atum_ops.bench.runs import mail
from atum_ops.service import Service
from atum_ops.stack.local import LocalStack
from atum_producers import Mailer, relay_store
from atum_schema import database, flow_store, topology
from atum_schema import settings as settings_module
from atum_schema.encryption import new_key
from atum_schema.errors import StackError
from atum_schema.flow import Policy
from atum_schema.mail import Mail
from atum_schema.migrate import migrate
from atum_workers import store as worker_store
from atum_workers.sweep_dead import pair_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from uuid import UUID

    from atum_schema.database import Connection

#: A dry run of all letters has to end within so many seconds.
DRY_RUN_S: Final = 5.0
#: Mails that have to be replayed per second.
REPLAYS: Final = 5000.0

_LANE: Final = "transactional"
_AT_ONCE: Final = 500
#: Of so many mails, one goes to somebody who is suppressed by then: it stays dead, and its message has to stay.
_ONE_STAYS: Final = 100
_PATIENCE_S: Final = 300.0
_LOOK_S: Final = 0.05
_ALWAYS: Final = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stand:
    """The servers, and the settings of every part."""

    environment: Mapping[str, str]
    database_url: str
    amqp_url: str
    relay: Service

    def run(self, *arguments: str) -> tuple[Any, float]:
        """Run a command with JSON on its last line of output; give that and the seconds from start to end."""
        started = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "atum_ops", *arguments, "--format=json"],
            env={**os.environ, **self.environment},
            capture_output=True,
            check=False,
        )
        seconds = time.monotonic() - started
        # 1: some could not be replayed, as it should be.
        if done.returncode not in {0, 1}:
            raise StackError(f"{' '.join(arguments)}: {done.stderr.decode()[-2000:]}")
        return orjson.loads(done.stdout.splitlines()[-1]), seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What was measured, and what is wrong with it; nothing, if all is well."""

    letters: int
    dry_run_s: float
    replayed: int
    replay_s: float
    sweep_s: float
    wrong: list[str]

    @property
    def per_second(self) -> float:
        """Mails replayed per second, from the start of the command to its end."""
        return self.replayed / self.replay_s


@contextmanager
def stand(directory: Path) -> Iterator[Stand]:
    """Run a private PostgreSQL and RabbitMQ, and a relay whose lanes are paused: it publishes dead letters."""
    with ExitStack() as stack:
        servers = stack.enter_context(LocalStack(directory))
        migrate(servers.database_url)
        environment = {
            "ATUM_DATABASE_URL": servers.database_url,
            "ATUM_AMQP_URL": servers.amqp_url,
            "ATUM_CONTENT_KEYS": new_key("bench"),
        }
        logs = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="atum-bench-")))
        relay = stack.enter_context(Service(["relay"], environment=environment, log=logs / "relay.log"))
        yield Stand(
            environment=environment,
            database_url=servers.database_url,
            amqp_url=servers.amqp_url,
            relay=relay,
        )


def make(at: Stand, number: int, told: Callable[[str], None]) -> None:
    """Make so many dead letters with the statements that make them in life, and have the relay publish them."""
    with database.connect(at.database_url, name="bench") as connection:
        _await(at, lambda: "serving" in at.relay.output(), "the relay to serve")
        _until(lambda: bool(flow_store.read(connection, lanes=[_LANE])), "the relay's windows")
        pausing.pause(connection, _LANE, reason="benchmark", by="bench")
        configured = settings_module.load(
            database_url=SecretStr(at.database_url),
            content_keys=SecretStr(at.environment["ATUM_CONTENT_KEYS"]),
        )
        with Mailer(client="bench", settings=configured) as mailer:
            for first in range(0, number, _AT_ONCE):
                mailer.enqueue([_mail(place) for place in range(first, min(number, first + _AT_ONCE))])
        told(f"{number:,} mails enqueued")
        _kill(connection)
        told("all of them dead")
        unpublished = "SELECT count(*) FROM atum.dead_letter WHERE published_at IS NULL"
        _await(at, lambda: _one(connection, unpublished) == 0, "the relay to publish dead letters")
        told("all of them in mail.dead")


def _mail(number: int) -> Mail:
    if number % _ONE_STAYS:
        return mail(number)
    return Mail(sender="Shop <shop@example.com>", to="left@example.org", subject="Order", text="Thank you.")


def _kill(connection: Connection) -> None:
    """Do what relay and worker do, up to an answer that refuses every mail for good."""
    # A lane of its own account: the relay's window is paused.
    flow_store.ensure(connection, lane=_LANE, account="bench", ceiling=32, rate=None)
    while True:
        issued = relay_store.issue(
            connection,
            lane=_LANE,
            lanes=[_LANE],
            account="bench",
            mark=_ALWAYS,
            batch_mails=_AT_ONCE,
            batch_bytes=50_000_000,
            publish_timeout_s=60,
            policy=Policy(),
        )
        if not issued.batches:
            return
        for batch in issued.batches:
            _refuse(connection, batch)


_RECORDING: Final = worker_store.Recording(drop_content=True, patience_s=60.0, settle_s=30.0)


def _refuse(connection: Connection, batch: UUID) -> None:
    token = uuid.uuid4()
    items = worker_store.claim(connection, batch=batch, token=token, worker="bench", lease_s=60)
    worker_store.mark_posting(connection, batch=batch, token=token, lease_s=60)
    nothing: dict[str, Any] = dict.fromkeys(worker_store.Result._fields)
    refused: dict[str, Any] = nothing | {
        "was": "queued",
        "status": "dead",
        "cause": "provider_rejected",
        "outcome": "rejected",
        "charged": True,
        "http_status": 200,
        "code": 300,
        "reason": "invalid",
        "detail": "refused for the benchmark",
    }
    results = [worker_store.Result(**{**refused, "mail_id": item.mail_id}) for item in items]
    if not worker_store.record(connection, batch=batch, token=token, results=results, recording=_RECORDING):
        raise StackError("a batch of the benchmark was taken away")


def measure(at: Stand, number: int, told: Callable[[str], None]) -> Found:
    """Look through all letters, replay them, sweep; compare what the commands, the database and the broker say."""
    stay = -(-number // _ONE_STAYS)
    with database.connect(at.database_url, name="bench") as connection:
        suppressing.add(connection, "outbound", ["left@example.org"], by="bench", note=None)
    dry, dry_run_s = at.run("dead", "replay", "--all")
    told(f"dry run: {dry_run_s:.2f} s")
    done, replay_s = at.run("dead", "replay", "--all", "--yes")
    told(f"replay: {replay_s:.2f} s")
    swept, sweep_s = at.run("dead", "sweep")
    told(f"sweep: {sweep_s:.2f} s")
    expected = {"would_send": number - stay, "suppressed": stay}
    replayed = {"replayed": number - stay, "suppressed": stay}
    wrong = [
        *_unlike("the dry run", dry["verdicts"], expected),
        *_unlike("the replay", done["counts"], replayed),
        *_unlike(
            "the sweep",
            {name: swept[name] for name in ("kept", "stale", "repeated", "missing")},
            {"kept": stay, "stale": number - stay, "repeated": 0, "missing": 0},
        ),
        *_twice(at, number - stay),
        *_disagreement(at, stay),
    ]
    return Found(
        letters=number,
        dry_run_s=dry_run_s,
        replayed=done["counts"]["replayed"],
        replay_s=replay_s,
        sweep_s=sweep_s,
        wrong=wrong,
    )


def _unlike(who: str, found: Mapping[str, int], expected: Mapping[str, int]) -> list[str]:
    return [] if dict(found) == dict(expected) else [f"{who} says {dict(found)}, expected {dict(expected)}"]


_READY: Final = "SELECT count(*) FROM atum.ready"
_SECOND_CYCLE: Final = """
SELECT count(*) FROM atum.mail m JOIN atum.ready r ON r.mail_id = m.id
WHERE m.cycle = 2 AND m.status = 'queued' AND m.attempts = 0 AND m.tries = 0
"""
_REPLAYED_ONCE: Final = """
SELECT count(*) FROM (
    SELECT mail_id FROM atum.event WHERE cause = 'replayed' GROUP BY mail_id HAVING count(*) = 1) once
"""


def _twice(at: Stand, expected: int) -> list[str]:
    """Say what is wrong where every replayed mail has to wait once, in its second cycle, with one event."""
    asked = {"mails that wait": _READY, "of them in cycle 2": _SECOND_CYCLE, "replayed once": _REPLAYED_ONCE}
    with psycopg.connect(at.database_url) as connection:
        found = {name: _one(connection, statement) for name, statement in asked.items()}
    return [f"{name}: {value:,} of {expected:,}" for name, value in found.items() if value != expected]


def _disagreement(at: Stand, expected: int) -> list[str]:
    with psycopg.connect(at.database_url) as connection:
        rows = connection.execute("SELECT mail_id, cycle FROM atum.dead_letter").fetchall()
    queue = _read(at.amqp_url)
    if len(rows) == len(queue) == expected and set(rows) == set(queue):
        return []
    return [f"Postgres has {len(rows):,} dead letters, mail.dead {len(queue):,}, expected {expected:,}"]


def _read(amqp_url: str) -> list[Any]:
    connection = pika.BlockingConnection(pika.URLParameters(amqp_url))
    try:
        channel = connection.channel()
        left = channel.queue_declare(topology.DEAD, passive=True).method.message_count
        found = []
        if left:
            for _, _, body in channel.consume(topology.DEAD, inactivity_timeout=5.0):
                if body is None:
                    break
                found.append(pair_of(body))
                if len(found) == left:
                    break
        return found
    finally:
        connection.close()


def _one(connection: psycopg.Connection[Any], statement: Any) -> int:
    row = connection.execute(statement).fetchone()
    return 0 if row is None else int(row[0])


def _await(at: Stand, condition: Callable[[], bool], what: str) -> None:
    def holds() -> bool:
        if not at.relay.running:
            raise StackError(f"the relay has ended: {at.relay.output()[-2000:]}")
        return condition()

    _until(holds, what)


def _until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise StackError(f"waited {_PATIENCE_S:g} s for {what}")
        time.sleep(_LOOK_S)
