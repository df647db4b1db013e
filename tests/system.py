"""The whole system on real servers, for tests: provider, relays and workers as processes, and a check of the truth.

What a test may believe is the provider's own ledger and the tables; the check here shares no code with `verify`.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, LiteralString, Self

import pika
import psycopg

from atum_ops import leash
from atum_ops.service import Service
from atum_ops.simulator.config import SimulatorConfig
from atum_ops.simulator.process import SimulatorProcess
from atum_producers import Mailer
from atum_schema import settings as settings_module
from atum_schema.encryption import new_key
from atum_schema.mail import Mail
from tests.nodes import eventually

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from types import TracebackType
    from uuid import UUID

    from atum_schema.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
STARTED_S = 60.0

#: Everything that waits for something lost waits for about a second, but nobody is given up who is only slow: on a busy
#: machine any process may stand still for seconds.
HURRIED: Mapping[str, str] = {
    "ATUM_CLAIM_LEASE_S": "3",
    "ATUM_REQUEST_TIMEOUT_S": "10",
    "ATUM_LEASE_MARGIN_S": "1",
    "ATUM_POLL_S": "0.1",
    "ATUM_TICKET_LOST_AFTER_S": "1",
    "ATUM_PUBLISH_TIMEOUT_S": "1",
    "ATUM_PULL_AFTER_S": "1",
    "ATUM_RETRY_BASE_S": "0.05",
    "ATUM_RETRY_MAX_S": "0.5",
    "ATUM_PROBE_S": "0.2",
    "ATUM_PROBE_MAX_S": "1",
    "ATUM_PAUSE_PROBE_S": "0.2",
    "ATUM_THREADS": "2",
    # Dramatiq's own: milliseconds until a lost consumer starts again.
    "dramatiq_restart_delay": "200",
}
#: What is unknown is settled within seconds.
SETTLED_SOON: Mapping[str, str] = {
    "ATUM_SETTLE_S": "0.2,0.5,1",
    "ATUM_SETTLE_WITHOUT_CONTROL_S": "2",
    "ATUM_REQUEST_TIMEOUT_S": "3",
    "ATUM_LEASE_MARGIN_S": "0.5",
}
#: How long the provider keeps an answer that `SETTLED_SOON` is not to wait for.
HANG_S = 10.0
#: An answer that only takes long is waited for: for tests in which no request is lost.
PATIENT: Mapping[str, str] = {"ATUM_REQUEST_TIMEOUT_S": "30"}
PROVEN = {"sent", "delivered", "bounced", "complained"}
WAITING = {"queued", "scheduled", "retrying"}


def letters(number: int, *, name: str = "r", **fields: Any) -> list[Mail]:
    """Make mails, each to its own recipient whose address starts with `name`."""
    return [
        Mail(
            **{
                "sender": "App <app@example.com>",
                "to": f"{name}{place}@example.net",
                "subject": f"Hello {place}",
                "text": "Hi",
                **fields,
            }
        )
        for place in range(number)
    ]


class Part(Service):
    """Any command of ours as a child, run from the root of the sources."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Tests that care how a part ends stop it themselves; all others want it gone, frozen or not.
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            self._reap()

    def _launch(self, child_end: int, log: IO[bytes]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self._arguments,
            cwd=ROOT,
            env={**os.environ, **self._environment, leash.VARIABLE: str(child_end)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(child_end,),
            start_new_session=True,
        )

    def stop(self, *, timeout: float = 60.0) -> int | None:
        """SIGTERM, and SIGKILL after `timeout` seconds, which no part needs on the slowest machine; give the exit status."""
        return super().stop(timeout=timeout)

    @property
    def frozen(self) -> bool:
        """Whether it was stopped by a signal and goes on only by another one."""
        return Path(f"/proc/{self.pid}/stat").read_text().rpartition(") ")[2].startswith("T")

    def ended(self, *, seconds: float) -> int:
        """Wait until it has ended by itself; give its exit status."""
        return self._running().wait(seconds)


@dataclass(kw_only=True)
class System:
    """Context manager: simulator, relays and workers run inside; nothing of it runs afterwards."""

    database_url: str
    amqp_url: str
    relays: int = 1
    workers: int = 1
    simulation: SimulatorConfig = field(default_factory=SimulatorConfig)
    #: Environment of relays and workers, on top of `HURRIED`.
    settings: Mapping[str, str] = field(default_factory=dict)

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            self._logs = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="atum-test-logs-")))
            self.simulator = undo.enter_context(SimulatorProcess(self.simulation, start_s=STARTED_S))
            self.environment = {
                **HURRIED,
                **self.settings,
                "ATUM_DATABASE_URL": self.database_url,
                "ATUM_AMQP_URL": self.amqp_url,
                "ATUM_CONTENT_KEYS": new_key("test"),
                "ATUM_POSTMARK_URL": self.simulator.url,
                "ATUM_POSTMARK_TOKEN": self.simulation.token,
            }
            self._undo = undo
            self._started = 0
            self._asking: psycopg.Connection | None = None
            undo.callback(self._stop_asking)
            self.mailer = undo.enter_context(self.new_mailer())
            relays = [self._start_relay() for _ in range(self.relays)]
            for part in [*relays, *[self._start() for _ in range(self.workers)]]:
                self.await_output(part, "serving")
            self._undo = undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._undo.close()

    def load(self, **overrides: Any) -> Settings:
        """Load the settings that relays and workers run with."""
        return settings_module.load_from(self.environment, **overrides)

    def new_mailer(self, *, client: str = "tests", **overrides: Any) -> Mailer:
        """Make another application's mailer; the caller closes it."""
        return Mailer(client=client, settings=self.load(**overrides))

    def start_relay(self, **settings: str) -> Part:
        """Start one more relay, with `settings` on top, and wait until it serves."""
        return self.await_output(self._start_relay(**settings), "serving")

    def start_worker(self, **settings: str) -> Part:
        """Start one more worker, with `settings` on top, and wait until it serves."""
        return self.await_output(self._start(**settings), "serving")

    def start_crashing_worker(self, step: str, *, how: str = "SIGKILL", **settings: str) -> Part:
        """Start a worker that gets the signal `how` from itself the first time it reaches `step`.

        Where a ticket waits for it already, that may be before it could say that it serves.
        """
        part = self._launched([sys.executable, "-m", "tests.crashing_worker", step, how], settings)
        assert eventually(
            lambda: "serving" in part.output() or not part.running or part.frozen, seconds=STARTED_S
        )
        assert part.running or part.ended(seconds=0) == -signal.Signals[how], part.output()[-2000:]
        return part

    def start_part(self, command: Sequence[str]) -> Part:
        """Start any command in the environment of the parts."""
        return self._launched(command, {})

    def await_output(self, part: Part, words: str, *, seconds: float = STARTED_S) -> Part:
        """Wait until a part has written these words."""
        if not eventually(lambda: words in part.output() or not part.running, seconds=seconds):
            raise AssertionError(f"no {words!r} after {seconds} s: {part.output()[-2000:]}")
        assert words in part.output(), part.output()[-4000:]
        return part

    def query(self, statement: LiteralString, **values: Any) -> list[tuple[Any, ...]]:
        """Ask the database over a connection of our own, made again where the server has ended it.

        Kept, because whoever waits for something asks fifty times a second: a new connection each time takes the processor
        from those that are waited for.
        """
        if self._asking is not None and (self._asking.closed or _has_news(self._asking)):
            self._stop_asking()
        if self._asking is None:
            self._asking = psycopg.connect(self.database_url, autocommit=True, prepare_threshold=None)
        return self._asking.execute(statement, values).fetchall()

    def _stop_asking(self) -> None:
        if self._asking is not None:
            self._asking.close()
            self._asking = None

    def widen(self) -> None:
        """Make every window as wide as it may get, as it is in a lane that has been busy."""
        self.query("UPDATE atum.flow SET size = ceiling RETURNING lane")

    def statuses(self, ids: Iterable[UUID]) -> Counter[str]:
        """Count the stored statuses of these mails."""
        rows = self.query("SELECT status FROM atum.mail WHERE id = ANY(%(ids)s)", ids=list(ids))
        return Counter(status for (status,) in rows)

    def await_status(self, mail_id: UUID, status: str, *, seconds: float = 60) -> None:
        """Wait until the mail has this status, `sending` included."""
        if not eventually(lambda: self.mailer.get(mail_id).status == status, seconds=seconds):
            raise AssertionError(
                f"{self.mailer.get(mail_id)} is not {status}; {self.story(mail_id)}; {self._tails()}"
            )

    def await_posting(self) -> UUID:
        """Wait until some batch has its posting mark; give its id."""
        posting: LiteralString = "SELECT id FROM atum.batch WHERE state = 'posting'"
        assert eventually(lambda: bool(self.query(posting)))
        batch: UUID = self.query(posting)[0][0]
        return batch

    def story(self, mail_id: UUID) -> list[str]:
        """Give the causes of the mail's events, in order."""
        rows = self.query("SELECT cause FROM atum.event WHERE mail_id = %(id)s ORDER BY seq", id=mail_id)
        return [cause for (cause,) in rows]

    def accepted(self) -> int:
        """Count what the provider really accepted, copies included; cheaper than the ledger."""
        return self.simulator.summary().accepted

    def ledger(self) -> Counter[str]:
        """Count what the provider really accepted, by mail id."""
        return Counter(record.mail_id or "" for record in self.simulator.ledger())

    def copies(self, ids: Iterable[UUID]) -> list[int]:
        """Say how often the provider accepted each of these mails."""
        ledger = self.ledger()
        return [ledger[str(one)] for one in ids]

    def settled(self, seconds: float = 120) -> None:
        """Wait until no mail waits: nothing ready, and no batch apart from unknown ones."""
        if not eventually(lambda: self.waiting() == 0, seconds=seconds):
            batches = self.query(
                "SELECT state, count(*), sum(claims), sum(publishes) FROM atum.batch GROUP BY 1"
            )
            raise AssertionError(f"{self.waiting()} mails still wait; batches: {batches}; {self._tails()}")

    def waiting(self) -> int:
        """Count the mails that wait for a batch or travel in one; -1 while the database is away."""
        try:
            ((number,),) = self.query(
                "SELECT (SELECT count(*) FROM atum.ready) + (SELECT coalesce(sum(cardinality(mail_ids)), 0)"
                " FROM atum.batch WHERE state <> 'unknown')"
            )
        except psycopg.OperationalError:
            return -1
        return int(number)

    def check(self, *, sent: int | None = None, others: Counter[str] | None = None) -> None:
        """Assert that nothing is lost, doubled or unexplained; with `sent`, that so many mails are all that is.

        `others` is what somebody else than the simulator accepted, by mail id.
        """
        ledger = self.ledger() + (others or Counter())
        rows = self.query(EVERYTHING)
        wrong = [finding for row in rows for finding in _findings(*row, copies=ledger[str(row[0])])]
        wrong += [
            f"{stray} is at the provider only" for stray in ledger.keys() - {str(row[0]) for row in rows}
        ]
        assert wrong == []
        if sent is not None:
            assert Counter(row[1] for row in rows) == {"sent": sent}
            assert len(ledger) == sent

    @contextmanager
    def broker(self) -> Iterator[Any]:
        """Open a channel of our own to RabbitMQ."""
        connection = pika.BlockingConnection(pika.URLParameters(self.amqp_url))
        try:
            yield connection.channel()
        finally:
            if connection.is_open:
                connection.close()

    def _start_relay(self, **settings: str) -> Part:
        return self._launched([sys.executable, "-m", "atum_ops", "relay"], settings)

    def _start(self, **settings: str) -> Part:
        return self._launched([sys.executable, "-m", "atum_ops", "worker"], settings)

    def _launched(self, command: Sequence[str], settings: Mapping[str, str]) -> Part:
        self._started += 1
        log = self._logs / f"{self._started:02}-{command[-1]}.log"
        part = Part(command, environment={**self.environment, **settings}, log=log)
        return self._undo.enter_context(part)

    def _tails(self) -> str:
        return "\n".join(f"{log.name}: {log.read_text()[-600:]}" for log in sorted(self._logs.glob("*.log")))


def _has_news(connection: psycopg.Connection) -> bool:
    """Whether something came without being asked for: that the server has gone, mostly."""
    return bool(select.select([connection], [], [], 0)[0])


EVERYTHING: LiteralString = """
SELECT m.id, m.status, (SELECT count(*) FROM atum.ready r WHERE r.mail_id = m.id),
       (SELECT count(*) FROM atum.batch b WHERE m.id = ANY(b.mail_ids) AND b.state <> 'unknown'),
       (SELECT count(*) FROM atum.batch b WHERE m.id = ANY(b.mail_ids) AND b.state = 'unknown'),
       (SELECT to_status FROM atum.event e WHERE e.mail_id = m.id ORDER BY seq DESC LIMIT 1)
FROM atum.mail m
"""


def _findings(
    mail_id: UUID, status: str, ready: int, flying: int, unknown: int, last: str, *, copies: int
) -> Iterator[str]:
    """Say what is wrong with a mail: its owner, its explanation, or what the provider says."""
    owners = {"waiting": ready + flying, "unknown": unknown}
    expected = {"waiting": int(status in WAITING), "unknown": int(status == "unknown")}
    if owners != expected:
        yield f"{mail_id} is {status} and owned by {owners}"
    if last != status:
        yield f"{mail_id} is {status} and its last event says {last}"
    if copies > 1:
        yield f"{mail_id} was accepted {copies} times"
    if status in PROVEN and copies == 0:
        yield f"{mail_id} is {status} and was never accepted"
    if copies and status not in PROVEN | {"unknown", "held"}:
        yield f"{mail_id} is {status} and was accepted"
