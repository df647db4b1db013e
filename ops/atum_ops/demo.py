"""The demo: the whole system does its main job before your eyes, and proves it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from atum_ops import reading, show
from atum_ops.samples import demo_mails
from atum_ops.verification import verify
from atum_producers import Mailer
from atum_schema import database
from atum_schema.errors import StackError
from atum_schema.ids import new_mail_id

if TYPE_CHECKING:
    from collections.abc import Iterable
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


def run(rig: Rig, number: int, *, sender: str | None, folder: Path | None) -> Result:
    """Enqueue `number` mails and watch until only ends and unknown mails remain; then check the ledger.

    Raises `StackError` when a part of the system has ended, or nothing moves for two minutes.
    """
    domain = _LOCAL_DOMAIN if rig.simulator is not None else _REAL_DOMAIN
    mails = demo_mails(number, domain=domain, sender=sender, folder=folder)
    with Mailer(client="demo", settings=rig.settings()) as mailer, _bar() as bar:
        started, first = time.monotonic(), new_mail_id()
        _enqueue(mailer, mails, bar, number)
        _watch(rig, bar, number)
        seconds = time.monotonic() - started
    ledger = None if rig.simulator is None else rig.simulator.ledger()
    return Result(enqueued=number, seconds=seconds, report=verify(rig.database_url, ledger, since=first))


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
    show.table(
        "What became of the mails",
        ["", ""],
        [(key.replace("_", " "), value) for key, value in document.items()],
    )
    for finding in result.report.findings:
        click.echo(f"  {finding}")
    against = "the provider's own ledger" if rig.simulator is not None else "itself"
    if result.report.sound:
        click.echo(f"Ledger check: the log agrees with {against}. Nothing lost, nothing sent twice.")
    else:
        click.echo(f"Ledger check: the log DISAGREES with {against}.")


def _enqueue(mailer: Mailer, mails: Iterable[Mail], bar: Progress, number: int) -> None:
    task = bar.add_task("enqueueing", total=number, note="")
    chunk: list[Mail] = []
    for mail in mails:
        chunk.append(mail)
        if len(chunk) == _AT_ONCE:
            mailer.enqueue(chunk)
            bar.advance(task, len(chunk))
            chunk = []
    if chunk:
        mailer.enqueue(chunk)
        bar.advance(task, len(chunk))


def _watch(rig: Rig, bar: Progress, number: int) -> None:
    task = bar.add_task("delivering", total=number, note="")
    started = moved = time.monotonic()
    last: Progressed | None = None
    with database.connect(rig.database_url, name="demo") as connection:
        while True:
            look = _look(connection, number)
            now = time.monotonic()
            bar.update(task, completed=look.done, note=_note(look, now - started))
            if look.finished:
                return
            if look != last:
                moved, last = now, look
            if now - moved > _STALLED_S:
                raise StackError(f"nothing has moved for {_STALLED_S:.0f} s: {look}; logs are in {rig.logs}")
            rig.check_alive()
            time.sleep(_LOOK_S)


def _look(connection: Connection, number: int) -> Progressed:
    lanes = reading.lanes(connection)
    dead, _ = reading.dead_letters(connection)
    waiting, retrying = sum(lane.due for lane in lanes), sum(lane.later for lane in lanes)
    in_flight, unknown = sum(lane.sending for lane in lanes), sum(lane.unknown for lane in lanes)
    return Progressed(
        done=number - waiting - retrying - in_flight,
        in_flight=in_flight,
        waiting=waiting,
        retrying=retrying,
        unknown=unknown,
        dead=dead,
    )


def _note(look: Progressed, seconds: float) -> str:
    accepted = look.done - look.unknown - look.dead
    parts = [
        f"accepted {accepted:,}",
        f"{accepted / max(seconds, 0.001):,.0f}/s",
        f"in flight {look.in_flight:,}",
    ]
    troubles = {"retrying": look.retrying, "unknown": look.unknown, "dead": look.dead}
    return " · ".join(parts + [f"{name} {count:,}" for name, count in troubles.items() if count])


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description:<11}"),
        BarColumn(bar_width=28),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
        console=show.console(),
    )
