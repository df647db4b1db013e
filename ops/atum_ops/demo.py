"""The demo: the whole system does its main job before your eyes, and proves it."""

from __future__ import annotations

import itertools
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Column

from atum_ops import reading, show
from atum_ops.samples import demo_mails
from atum_ops.verification import verify
from atum_producers import Mailer
from atum_schema import database
from atum_schema.errors import StackError
from atum_schema.ids import new_mail_id

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from atum_ops.audit import Report
    from atum_ops.rig import Rig
    from atum_schema.database import Connection
    from atum_schema.mail import Mail

_AT_ONCE: Final = 250
_LOOK_S: Final = 0.2
_STALLED_S: Final = 120.0
# Postmark's own address for mail that is accepted and goes nowhere.
_REAL_DOMAIN: Final = "blackhole.postmarkapp.com"
_LOCAL_DOMAIN: Final = "example.net"

#: Settings that make retries and unknown outcomes come within seconds.
HURRIED: Final = {
    "ATUM_RETRY_BASE_S": "0.2",
    "ATUM_RETRY_MAX_S": "2",
    "ATUM_REQUEST_TIMEOUT_S": "5",
    "ATUM_CLAIM_LEASE_S": "3",
    "ATUM_LEASE_MARGIN_S": "2",
    "ATUM_TICKET_LOST_AFTER_S": "3",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Progressed:
    """One look at the work."""

    done: int
    in_flight: int
    waiting: int
    retrying: int
    unknown: int
    dead: int

    @property
    def finished(self) -> bool:
        """Whether nothing waits and nothing travels."""
        return not (self.waiting or self.in_flight or self.retrying)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a run came to."""

    enqueued: int
    seconds: float
    report: Report
    #: Dead mails by their reason.
    dead_reasons: dict[str, int]


def run(rig: Rig, number: int, *, sender: str | None, folder: Path | None) -> Result:
    """Enqueue `number` mails and watch until only ends and unknown mails remain; then check the ledger.

    Raises `StackError` when a part of the system has ended, or nothing moves for two minutes.
    """
    domain = _LOCAL_DOMAIN if rig.simulator is not None else _REAL_DOMAIN
    mails = demo_mails(number, domain=domain, sender=sender, folder=folder)
    with Mailer(client="demo", settings=rig.settings()) as mailer, _bar() as bar:
        started, first = time.monotonic(), new_mail_id()
        enqueueing = _Enqueueing(mailer, mails)
        enqueueing.start()
        _watch(rig, bar, number, enqueueing)
        enqueueing.join()
        seconds = time.monotonic() - started
    if enqueueing.failure is not None:
        raise enqueueing.failure
    ledger = None if rig.simulator is None else rig.simulator.ledger()
    report = verify(rig.database_url, ledger, since=first)
    with database.connect(rig.database_url, name="demo") as connection:
        reasons = reading.dead_reasons(connection, since=first)
    return Result(enqueued=number, seconds=seconds, report=report, dead_reasons=reasons)


def as_document(result: Result, rig: Rig) -> dict[str, Any]:
    """Give the result for machines."""
    report = result.report
    database_name, broker_name = rig.describe()
    return {
        "enqueued": result.enqueued,
        "sent": report.sent,
        "dead": report.by_status["dead"],
        "unknown": report.by_status["unknown"],
        "lost": report.lost,
        "duplicates": report.duplicates,
        "unexplained": report.unexplained + report.foreign,
        "seconds": round(result.seconds, 2),
        "mails_per_second": round(result.enqueued / result.seconds),
        "broker": broker_name,
        "database": database_name,
    }


def print_result(result: Result, rig: Rig) -> None:
    """Print the result for people."""
    document = as_document(result, rig)
    servers = [document.pop("database"), document.pop("broker")]
    rows = [(key.replace("_", " "), value) for key, value in document.items()]
    show.table("What became of the mails", ["", "mails"], rows)
    if result.dead_reasons:
        show.table("Why mails are dead", ["reason", "mails"], list(result.dead_reasons.items()))
    for server in servers:
        click.echo(server)
    for finding in result.report.findings:
        click.echo(f"  {finding}")
    against = "the provider's own ledger" if rig.simulator is not None else "itself"
    if result.report.sound:
        click.echo(f"Ledger check: the log agrees with {against}. Nothing lost, nothing sent twice.")
    else:
        click.echo(f"Ledger check: the log DISAGREES with {against}.")


class _Enqueueing(threading.Thread):
    """Hands the mails over while the system already delivers them, as an application would."""

    def __init__(self, mailer: Mailer, mails: Iterator[Mail]) -> None:
        super().__init__(name="demo-enqueue", daemon=True)
        self._mailer = mailer
        self._mails = mails
        self.accepted = 0
        self.failure: Exception | None = None

    def run(self) -> None:
        """Enqueue all mails; keep the error that stopped it."""
        try:
            while chunk := list(itertools.islice(self._mails, _AT_ONCE)):
                self._mailer.enqueue(chunk)
                self.accepted += len(chunk)
        except Exception as error:  # noqa: BLE001  raised again by the thread that waits
            self.failure = error


def _watch(rig: Rig, bar: Progress, number: int, enqueueing: _Enqueueing) -> None:
    accepted = bar.add_task("enqueued", total=number, note="")
    delivered = bar.add_task("delivered", total=number, note="")
    started = moved = time.monotonic()
    last: Progressed | None = None
    with database.connect(rig.database_url, name="demo") as connection:
        while True:
            working = enqueueing.is_alive()
            look = _look(connection, enqueueing.accepted)
            now = time.monotonic()
            bar.update(accepted, completed=enqueueing.accepted)
            bar.update(delivered, completed=look.done, note=_note(look, now - started))
            if look.finished and not working:
                return
            if look != last:
                moved, last = now, look
            if now - moved > _STALLED_S:
                raise StackError(f"nothing has moved for {_STALLED_S:.0f} s: {look}; logs are in {rig.logs}")
            rig.check_alive()
            time.sleep(_LOOK_S)


def _look(connection: Connection, accepted: int) -> Progressed:
    lanes = reading.lanes(connection)
    dead, _ = reading.dead_letters(connection)
    waiting, retrying = sum(lane.due for lane in lanes), sum(lane.later for lane in lanes)
    in_flight, unknown = sum(lane.sending for lane in lanes), sum(lane.unknown for lane in lanes)
    return Progressed(
        # Mails accepted since the count was taken may be waiting already.
        done=max(0, accepted - waiting - retrying - in_flight),
        in_flight=in_flight,
        waiting=waiting,
        retrying=retrying,
        unknown=unknown,
        dead=dead,
    )


def _note(look: Progressed, seconds: float) -> str:
    accepted = look.done - look.unknown - look.dead
    parts = [f"{accepted:,} accepted", f"{accepted / max(seconds, 0.001):,.0f}/s"]
    others = {
        "in flight": look.in_flight,
        "retrying": look.retrying,
        "unknown": look.unknown,
        "dead": look.dead,
    }
    return " · ".join(parts + [f"{count:,} {name}" for name, count in others.items() if count])


def _bar() -> Progress:
    whole = Column(no_wrap=True)
    return Progress(
        TextColumn("{task.description:<9}", table_column=whole),
        BarColumn(bar_width=12),
        TaskProgressColumn(table_column=whole),
        TextColumn("{task.fields[note]}", table_column=whole),
        console=show.console(),
    )
