"""Running one cell of the matrix: the part meets its end, the others carry on, and the truth is checked."""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, LiteralString

from dramatiq import Message

from atum_ops.simulator.config import SimulatorConfig
from atum_ops.simulator.faults import FaultPlan, FaultRule
from atum_schema import topology
from atum_schema.steps import Step
from tests.matrix.cells import Cell, Effect
from tests.nodes import eventually
from tests.smtp import Relay as SmtpRelay
from tests.system import System, letters

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from uuid import UUID

    from tests.system import Part

QUICK = {
    "ATUM_CLAIM_LEASE_S": "1",
    "ATUM_REQUEST_TIMEOUT_S": "2",
    "ATUM_LEASE_MARGIN_S": "0.5",
    # One search decides: the last round of a longer schedule.
    "ATUM_SETTLE_S": "0.3",
    "ATUM_SETTLE_WITHOUT_CONTROL_S": "0.3",
}
QUEUES = (
    *map(topology.deliver_queue, ("transactional", "broadcast")),
    topology.RECONCILE,
    topology.DEAD,
)
ENDED: LiteralString = """
SELECT count(*) FROM atum.mail WHERE id = ANY(%(ids)s) AND finished_at IS NULL AND status <> 'held'
"""
LETTERS: LiteralString = """
SELECT count(*) FROM atum.dead_letter WHERE mail_id = ANY(%(ids)s) AND published_at IS NULL
"""
HELD: LiteralString = "SELECT state FROM atum.batch WHERE mail_ids && %(ids)s ORDER BY 1"
LAST_END: LiteralString = """
SELECT greatest(0, extract(epoch FROM max(greatest(m.finished_at, held.at, d.published_at)) - %(crash)s))::float8
FROM atum.mail m
LEFT JOIN atum.dead_letter d ON d.mail_id = m.id
LEFT JOIN atum.event held ON held.mail_id = m.id AND held.cause = 'held'
WHERE m.id = ANY(%(ids)s)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a cell came to."""

    #: Where the mails were right after the crash: the state of their batch, or without one their status.
    committed: str
    #: How often the provider had accepted each mail at the crash.
    accepted: int
    #: Causes in the mails' events, without repetitions.
    story: tuple[str, ...]
    status: str
    copies: int
    #: From the crash until the last mail ended, and for dead ones, its letter was confirmed.
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A system without parts of its own: each cell starts what it needs."""

    system: System
    #: Takes the mail instead of the provider; None where the provider does.
    smtp: SmtpRelay | None

    def copies(self, ids: Sequence[UUID]) -> list[int]:
        """Say how often each of these mails was accepted, by whom it was meant for."""
        if self.smtp is None:
            return self.system.copies(ids)
        taken = self.smtp.copies()
        return [taken[str(one)] for one in ids]


@contextmanager
def world(*, smtp: bool, database_url: str, amqp_url: str) -> Iterator[World]:
    """Make a world whose mail goes to the provider, or to an SMTP relay."""
    with ExitStack() as undo:
        relay = undo.enter_context(SmtpRelay()) if smtp else None
        settings = dict(QUICK)
        if relay is not None:
            settings |= {
                "ATUM_SMTP_URL": f"smtp+plain://127.0.0.1:{relay.port}",
                "ATUM_FALLBACK": "on",
            }
        system = System(
            database_url=database_url,
            amqp_url=amqp_url,
            relays=0,
            workers=0,
            simulation=SimulatorConfig(index_lag_s=0.1),
            settings=settings,
        )
        yield World(system=undo.enter_context(system), smtp=relay)


def run(world: World, cell: Cell) -> Result:
    """Run a cell; raises AssertionError when a promise is broken."""
    system = world.system
    _empty_queues(system)
    name = f"{cell.name}-".replace("_", "-")
    rules = (
        () if cell.fault is None else (FaultRule(kind=cell.fault, recipient=name, max_count=_times(cell)),)
    )
    system.simulator.set_faults(FaultPlan(rules=rules))
    ids = _enqueue(system, cell, name)
    with ExitStack() as undo:
        crashing = undo.enter_context(_part(system, cell.part, cell.step, cell.effect))
        standby = [undo.enter_context(_part(system, cell.part, "standby"))]
        if cell.part == "worker":
            undo.enter_context(_part(system, "relay", "good"))
        elif cell.worker_killed_at is not None:
            undo.enter_context(_part(system, "worker", cell.worker_killed_at))
            standby.append(undo.enter_context(_part(system, "worker", "standby")))
        else:
            undo.enter_context(_part(system, "worker", "good"))
        assert eventually(lambda: all(map(is_frozen, standby)), seconds=30)
        _await_crash(system, crashing, cell)
        ((crash,),) = system.query("SELECT clock_timestamp()")
        committed = _committed(system, cell, ids)
        accepted = max(world.copies(ids))
        for part in standby:
            part.signal(signal.SIGCONT)
        _await_end(system, ids)
        if cell.effect is Effect.FROZEN:
            # Thawed when all is over, it finishes what it was frozen in before it ends.
            crashing.signal(signal.SIGCONT)
            assert crashing.stop(timeout=20) == 0, crashing.output()[-2000:]
            _await_end(system, ids)
        return _result(world, ids, crash, committed, accepted)


def _empty_queues(system: System) -> None:
    """Wait until the parts of the cell before have left, and drop the tickets that came back from them."""
    with system.broker() as channel:
        for name in QUEUES:
            assert eventually(lambda name=name: _declare(channel, name).consumer_count == 0)  # type: ignore[misc]
            channel.queue_purge(name)


def _declare(channel: Any, name: str) -> Any:
    return channel.queue_declare(name, durable=True, arguments=topology.ARGUMENTS).method


def letters_of(system: System) -> set[str]:
    """Take what stands in `mail.dead`; give the ids of its mails."""
    taken = set()
    with system.broker() as channel:
        while (letter := channel.basic_get(topology.DEAD, auto_ack=True))[0] is not None:
            taken.add(str(Message.decode(letter[2]).args[0]))
    return taken


def is_frozen(part: Part) -> bool:
    """Whether the process is stopped by a signal."""
    assert part.running, part.output()[-2000:]
    return Path(f"/proc/{part.pid}/stat").read_text().rpartition(") ")[2].startswith("T")


def _times(cell: Cell) -> int:
    # Refusals are meant to last; a connection is reset once.
    return 100 if cell.status == "dead" else 1


def _enqueue(system: System, cell: Cell, name: str) -> list[UUID]:
    # SMTP takes mails one by one: with several, the crash would fall between them.
    mails = letters(1 if cell.smtp else 3, name=name)
    if not cell.expiring:
        return system.mailer.enqueue(mails)
    ((soon,),) = system.query("SELECT clock_timestamp() + interval '0.2 seconds'")
    # Before the parts have started it is over.
    ids = system.mailer.enqueue([*mails, *letters(1, name=f"late-{name}", expires_at=soon)])
    time.sleep(0.25)
    return ids[:3]


@contextmanager
def _part(system: System, kind: str, step: str, effect: Effect = Effect.KILLED) -> Iterator[Part]:
    command = [sys.executable, "-m", "tests.matrix.part", kind, str(step), effect.value]
    part = system.start_part(command)
    try:
        yield part
    finally:
        if part.running:
            os.killpg(part.pid, signal.SIGKILL)
            part.ended(seconds=5)


def _await_crash(system: System, part: Part, cell: Cell) -> None:
    if cell.effect is Effect.KILLED:
        assert eventually(lambda: not part.running, seconds=30), f"never got there: {system._tails()}"
        assert part.ended(seconds=1) == -signal.SIGKILL, part.output()[-2000:]
    else:
        assert eventually(lambda: is_frozen(part), seconds=30), f"never got there: {system._tails()}"


def _committed(system: System, cell: Cell, ids: Sequence[UUID]) -> str:
    if cell.status == "dead":
        # What is refused as a whole is halved: its first mail is dead before the others are.
        assert "dead" in system.statuses(ids)
        return "dead"
    if cell.step is Step.CONCLUDED and cell.when == "not accepted":
        # The mails wait again, and the relay, which lives, issues them at once.
        assert eventually(lambda: bool(system.query(HELD, ids=list(ids))))
    states = [state for (state,) in system.query(HELD, ids=list(ids))]
    return ", ".join(sorted(set(states))) or ", ".join(sorted(system.statuses(ids)))


def _await_end(system: System, ids: Sequence[UUID]) -> None:
    done = [(0,)]
    ended = eventually(
        lambda: (
            system.query(ENDED, ids=list(ids)) == done
            and system.query(LETTERS, ids=list(ids)) == done
            and not system.query("SELECT FROM atum.batch")
        ),
        seconds=40,
    )
    assert ended, f"{[system.story(one) for one in ids]}; {system._tails()}"


def _result(world: World, ids: Sequence[UUID], crash: datetime, committed: str, accepted: int) -> Result:
    system = world.system
    system.settled()
    system.check(others=None if world.smtp is None else world.smtp.copies())
    (status,) = system.statuses(ids)
    assert letters_of(system) == ({str(one) for one in ids} if status == "dead" else set())
    (copies,) = set(world.copies(ids))
    causes = [cause for one in ids for cause in system.story(one) if cause != "accepted"]
    ((seconds,),) = system.query(LAST_END, ids=list(ids), crash=crash)
    return Result(
        committed=committed,
        accepted=accepted,
        story=tuple(dict.fromkeys(causes)),
        status=status,
        copies=copies,
        seconds=seconds,
    )
