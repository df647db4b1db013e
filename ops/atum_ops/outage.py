"""The outage drill: the provider is away for minutes while thousands of mails wait, and what it costs is measured."""

from __future__ import annotations

import itertools
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

import click

from atum_ops import reading, show, windows
from atum_ops.samples import demo_mails
from atum_ops.verification import verify
from atum_producers import Mailer
from atum_schema import database
from atum_schema.errors import StackError
from atum_schema.ids import new_mail_id

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from atum_ops.rig import Rig
    from atum_ops.simulator.process import SimulatorProcess
    from atum_ops.windows import WindowState
    from atum_schema.database import Connection

LANE: Final = "transactional"
SETTINGS: Final = {
    # Settling takes ten minutes by default; what the outage left unknown shall be settled while somebody watches.
    "ATUM_SETTLE_S": "5,15,45",
    "ATUM_SETTLE_WITHOUT_CONTROL_S": "60",
    "ATUM_REQUEST_TIMEOUT_S": "10",
    "ATUM_LEASE_MARGIN_S": "5",
    "ATUM_PROBE_MAX_S": "15",
}
#: Messages per second that the provider takes after the outage; faster senders get 429.
RATE: Final = 1000.0

_LOOK_S: Final = 0.1
_SHOW_S: Final = 15.0
_DRAIN_S: Final = 300.0
_AT_ONCE: Final = 500
# A probe takes its time: issuing, the ticket, the POST, and this program's own look.
_SLACK_S: Final = 1.5
_STORM: Final = 0.1
# Slow start begins with one batch, and may have seen one good answer before anybody looks.
_FROM: Final = 2


@dataclass(slots=True, kw_only=True)
class Result:
    """What the drill came to."""

    mails: int
    outage_s: float
    #: Attempts charged to mails: a provider that is away is nobody's fault.
    charged: int = 0
    #: Requests that the provider saw while it was away.
    posts_during_outage: int = 0
    #: Seconds from recovery to the first accepted mail, and the distance of the probes by then.
    first_out_s: float = 0.0
    probe_interval_s: float = 0.0
    #: Requests after recovery, and those answered 429.
    posts_after: int = 0
    rate_limited: int = 0
    #: Seconds after recovery and size of the window, at each change.
    ramp: list[tuple[float, int]] = field(default_factory=list)
    drained_s: float = 0.0
    sent: int = 0
    lost: int = 0
    duplicates: int = 0
    unexplained: int = 0

    def failures(self) -> list[str]:
        """Say which bars do not hold."""
        sizes = [size for _, size in self.ramp if size]
        bars = {
            f"{self.charged} attempts were charged": self.charged == 0,
            f"the first mail left {self.first_out_s:.1f} s after recovery, later than the probe interval of "
            f"{self.probe_interval_s:.1f} s": self.first_out_s <= self.probe_interval_s + _SLACK_S,
            f"{self.rate_limited} of {self.posts_after} requests were answered 429": self.rate_limited
            <= max(5, _STORM * self.posts_after),
            f"the window did not ramp up: {sizes}": len(sizes) > 1
            and sizes[0] <= _FROM
            and max(sizes) > sizes[0],
            f"{self.sent} of {self.mails} mails were sent": self.sent == self.mails,
            f"lost {self.lost}, duplicates {self.duplicates}, unexplained {self.unexplained}": not (
                self.lost or self.duplicates or self.unexplained
            ),
        }
        return [words for words, holds in bars.items() if not holds]

    def document(self) -> dict[str, Any]:
        """Give the result for machines."""
        return {**asdict(self), "ok": not self.failures()}


def run(rig: Rig, *, mails: int, seconds: float) -> Result:
    """Play the outage and measure. Raises `StackError` when a part has ended, or the backlog does not drain."""
    simulator = rig.simulator
    if simulator is None:
        raise StackError("the drill needs the simulated provider: unset ATUM_POSTMARK_TOKEN")
    result = Result(mails=mails, outage_s=seconds)
    first = new_mail_id()
    with (
        Mailer(client="outage", settings=rig.settings()) as mailer,
        database.connect(rig.database_url, name="outage") as connection,
    ):
        # One mail before, so that the lane has been open and has a window to lose.
        mailer.wait(mailer.enqueue(next(iter(demo_mails(1, domain="example.net", sender=None)))), timeout=30)
        simulator.scenario("outage")
        before = simulator.summary().sends
        _enqueue(mailer, mails - 1)
        click.echo(f"the provider is away, {mails - 1:,} mails wait", err=True)
        _during(rig, connection, until=time.monotonic() + seconds)
        result.posts_during_outage = simulator.summary().sends - before
        _recover(rig, connection, simulator, result)
        _drain(rig, connection, simulator, result)
    _measure(rig, simulator, first, result)
    return result


def _enqueue(mailer: Mailer, number: int) -> None:
    mails = demo_mails(number, domain="example.net", sender=None)
    while chunk := list(itertools.islice(mails, _AT_ONCE)):
        mailer.enqueue(chunk)


def _during(rig: Rig, connection: Connection, *, until: float) -> None:
    shown = float("-inf")
    while (now := time.monotonic()) < until:
        rig.check_alive()
        if now - shown >= _SHOW_S:
            shown = now
            click.echo(f"{until - now:4.0f} s of the outage left", err=True)
            _show(connection)
        time.sleep(_LOOK_S)


def _recover(rig: Rig, connection: Connection, simulator: SimulatorProcess, result: Result) -> None:
    """End the outage; wait for the first accepted mail."""
    accepted = simulator.summary().accepted
    window = _window(connection)
    # The probe that failed last chose the distance to the next one.
    result.probe_interval_s = round(window.next_probe_s or 0.0, 1)
    simulator.clear_scenario()
    simulator.tune(rate_per_s=RATE, rate_burst=RATE)
    recovered = time.monotonic()
    click.echo(f"the provider is back; the next probe is due in {result.probe_interval_s} s", err=True)
    result.ramp.append((0.0, window.size))
    while simulator.summary().accepted == accepted:
        rig.check_alive()
        if time.monotonic() - recovered > _DRAIN_S:
            raise StackError(
                f"no mail was accepted for {_DRAIN_S:.0f} s after recovery; logs are in {rig.logs}"
            )
        time.sleep(_LOOK_S / 2)
    result.first_out_s = round(time.monotonic() - recovered, 2)
    _note(connection, result, recovered)


def _drain(rig: Rig, connection: Connection, simulator: SimulatorProcess, result: Result) -> None:
    """Wait until nothing waits, travels or is unknown; note each size of the window."""
    began = time.monotonic()
    before = simulator.summary().sends
    shown = began
    while _left(connection):
        now = time.monotonic()
        _note(connection, result, began - result.first_out_s)
        rig.check_alive()
        if now - shown >= _SHOW_S / 5:
            shown = now
            _show(connection)
        if now - began > _DRAIN_S:
            raise StackError(
                f"{_left(connection)} mails are left after {_DRAIN_S:.0f} s; logs are in {rig.logs}"
            )
        time.sleep(_LOOK_S)
    result.drained_s = round(time.monotonic() - began, 1)
    result.posts_after = simulator.summary().sends - before


def _measure(rig: Rig, simulator: SimulatorProcess, first: UUID, result: Result) -> None:
    report = verify(rig.database_url, simulator.ledger(), since=first)
    result.sent, result.lost = report.sent, report.lost
    result.duplicates, result.unexplained = report.duplicates, report.unexplained + report.foreign
    with database.connect(rig.database_url, name="outage") as connection:
        result.charged = _number(connection, CHARGED, first)
        result.rate_limited = _number(connection, RATE_LIMITED, first)


CHARGED = "SELECT coalesce(sum(attempts), 0) FROM atum.mail WHERE id >= %(first)s"
RATE_LIMITED = (
    "SELECT count(DISTINCT batch_id) FROM atum.attempt WHERE mail_id >= %(first)s AND http_status = 429"
)


def _number(connection: Connection, statement: Any, first: UUID) -> int:
    row = connection.execute(statement, {"first": first}).fetchone()
    return 0 if row is None else int(row[0])


def _left(connection: Connection) -> int:
    return sum(lane.due + lane.later + lane.sending + lane.unknown for lane in reading.lanes(connection))


def _window(connection: Connection) -> WindowState:
    found: Iterator[WindowState] = (one for one in windows.windows(connection, {}) if one.lane == LANE)
    return next(found)


def _note(connection: Connection, result: Result, since: float) -> None:
    size = _window(connection).size
    if not result.ramp or result.ramp[-1][1] != size:
        result.ramp.append((round(time.monotonic() - since, 1), size))


def _show(connection: Connection) -> None:
    lane = next(lane for lane in reading.lanes(connection) if lane.lane == LANE)
    waiting = lane.due + lane.sending
    window = next(one for one in windows.windows(connection, {LANE: waiting}) if one.lane == LANE)
    parts = [
        f"{window.state}, window {window.size} of {window.ceiling}",
        f"{waiting:,} waiting, {lane.unknown:,} unknown",
    ]
    if window.next_probe_s is not None:
        parts.append(f"next probe in {window.next_probe_s:.1f} s")
    if window.drain_s is not None:
        parts.append(f"{window.sent_rate:,.0f}/s, drained in {show.age(window.drain_s)}")
    click.echo(f"  {LANE}: {', '.join(parts)}", err=True)
