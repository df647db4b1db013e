"""The system under load while its servers fail, and what must hold once they are well again."""

from __future__ import annotations

import re
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, LiteralString

import psycopg

from atum_ops.simulator.config import SimulatorConfig
from tests.nodes import eventually
from tests.system import System, letters

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.system import Part

#: Bytes that a part may write about a fault of some seconds: a line per try and thread, no page per ticket.
MOST_LOG = 60_000
RECOVERED_S = 120.0
TERMINATE: LiteralString = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name IN ('atum-relay', 'atum-sweeper', 'atum-worker')
"""


@dataclass(kw_only=True)
class Load:
    """A system and the mails that it was given, again and again if a module shares it."""

    system: System
    relay: Part
    worker: Part
    #: How many it was given so far.
    mails: int = 0
    _begun: int = 0
    _written: tuple[int, ...] = (0, 0)

    def begin(self, mails: int = 600) -> None:
        """Give it mails for at least three seconds, and wait until it is in the middle of delivering them."""
        self._begun = self.mails
        self._written = tuple(len(part.output()) for part in (self.relay, self.worker))
        self.system.mailer.enqueue(letters(mails))
        self.mails += mails
        assert eventually(lambda: self.system.accepted() > self._begun)

    def add(self, mails: int, *, connection: psycopg.Connection | None = None) -> None:
        """Give it more mails meanwhile; by `connection`, where others must not write."""
        self.system.mailer.enqueue(letters(mails, name="meanwhile"), connection=connection)
        self.mails += mails

    def await_half(self) -> None:
        """Wait until the provider has taken about half of the mails that it was given last."""
        half = (self._begun + self.mails) / 2
        assert eventually(lambda: self.system.accepted() >= half, seconds=RECOVERED_S)

    def await_progress(self, *, seconds: float = RECOVERED_S) -> float:
        """Wait until the provider has taken more than now, or there is no more; give the seconds it took."""
        began = time.monotonic()
        before = self.system.accepted()
        assert eventually(
            lambda: self.system.accepted() > before or self.system.waiting() == 0, seconds=seconds
        )
        return time.monotonic() - began

    def finish(self, *, seconds: float = RECOVERED_S, most_log: int = MOST_LOG) -> None:
        """Assert that all of it and mail that comes later arrives once, and that the parts live and wrote little."""
        self.system.mailer.enqueue(letters(20, name="later"))
        self.mails += 20
        self.system.settled(seconds)
        # What was given up meanwhile is proven by the late answer, and ends as sent.
        assert eventually(lambda: not self.system.query("SELECT FROM atum.batch"), seconds=seconds), (
            self.system.query("SELECT state, claimed_by, claims, posting_at FROM atum.batch")
        )
        self.system.check(sent=self.mails)
        for part, before in zip((self.relay, self.worker), self._written, strict=True):
            said = part.output()[before:]
            assert part.running, said[-2000:]
            assert len(said) < most_log, said[:4000]
            assert not re.search(r'Traceback|"exception":', said), said[:8000]


@contextmanager
def under_load(
    *,
    database_url: str,
    amqp_url: str,
    mails: int = 600,
    relay: Mapping[str, str] | None = None,
    worker: Mapping[str, str] | None = None,
) -> Iterator[Load]:
    """Start a system and let it begin with so many mails; the parts see `relay` and `worker` on top."""
    with without_load(database_url=database_url, amqp_url=amqp_url, relay=relay, worker=worker) as load:
        load.begin(mails)
        yield load


@contextmanager
def without_load(
    *,
    database_url: str,
    amqp_url: str,
    relay: Mapping[str, str] | None = None,
    worker: Mapping[str, str] | None = None,
) -> Iterator[Load]:
    """Start a system that can be given mails; the parts see `relay` and `worker` on top."""
    with System(
        database_url=database_url,
        amqp_url=amqp_url,
        relays=0,
        workers=0,
        simulation=SimulatorConfig(latency_ms=50),
        # What fails for seconds is given up meanwhile, and found to have been accepted.
        settings={"ATUM_BATCH_MAILS": "2", "ATUM_THREADS": "4", "ATUM_REQUEST_TIMEOUT_S": "2"},
    ) as system:
        ours = dict(system.environment)
        system.environment.update(relay or {})
        relaying = system.start_relay()
        system.environment = ours
        working = system.start_worker(**(worker or {}))
        yield Load(system=system, relay=relaying, worker=working)


def terminate_ours(database_url: str) -> int:
    """End every connection of relays and workers; give their number, 0 where none of us may come in."""
    try:
        with psycopg.connect(database_url, autocommit=True) as connection:
            rows = connection.execute(TERMINATE).fetchall()
    except psycopg.OperationalError:
        return 0
    return len(rows)
