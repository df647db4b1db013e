"""One experiment from start to verdict.

::

    ground ─▶ producers enqueue while the plan is carried out ─▶ heal ─▶ drain ─▶ compare
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import psycopg

from atum_ops import reading
from atum_ops.chaos import disturb, drain, orders, plan, recovery, weather
from atum_ops.chaos.bound import Limits
from atum_ops.chaos.disturb import Disturber
from atum_ops.chaos.parts import Ground
from atum_ops.chaos.plan import Kind
from atum_ops.chaos.verdict import judge
from atum_ops.simulator.faults import FaultPlan
from atum_ops.verification import audited
from atum_schema import database

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from uuid import UUID

    from atum_ops.chaos.disturb import Done
    from atum_ops.chaos.drain import Drained
    from atum_ops.chaos.orders import Notes
    from atum_ops.chaos.verdict import Verdict
    from atum_producers.story_store import MailView
    from atum_schema.database import Connection

LEAST_ACKNOWLEDGED: Final = 1000
_OFFENDERS: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run came to."""

    seed: int
    verdict: Verdict
    notes: Notes
    done: Sequence[Done]
    #: Seconds from each disturbance's end to the next accepted mail.
    recoveries: Sequence[float]
    drained_s: float
    #: How often each fault of the provider fired.
    faults: Mapping[str, int]
    settings: Mapping[str, str]
    servers: Sequence[str]
    #: Views of the mails to look at, five at most.
    stories: Sequence[MailView]

    @property
    def kills(self) -> int:
        """How often something was killed."""
        return disturb.kills(self.done)

    def passed(self, *, acknowledged: int = LEAST_ACKNOWLEDGED) -> bool:
        """Whether all promises were kept, under enough load and enough kills to say so."""
        enough = self.kills >= plan.LEAST_KILLS and self.verdict.acknowledged >= acknowledged
        return self.verdict.sound and enough


def run(
    directory: Path,
    logs: Path,
    *,
    seed: int,
    duration: float,
    drain_s: float,
    say: Callable[[str], None],
    settings: Mapping[str, str] = weather.SETTINGS,
) -> Outcome:
    """Run the experiment; `logs` is a folder that keeps what the parts wrote, `say` gets a line now and then.

    Mails without an end `drain_s` seconds after the last fault are a finding. Raises StackError when something cannot
    start.
    """
    # The provider's ledger outlives the run beside the logs.
    simulation = replace(weather.provider(seed), ledger_path=logs / "ledger.jsonl")
    disturbances = plan.schedule(seed, duration)
    say("starting PostgreSQL, RabbitMQ, provider, 2 relays, 3 workers and 2 producers …")
    with Ground(
        directory=directory, logs=logs, seed=seed, simulation=simulation, settings=settings
    ) as ground:
        say(f"{len(disturbances)} disturbances in {duration:g} s")
        with Disturber(ground, disturbances) as disturber:
            disturber.run()
        ground.stop_producers()
        fired = ground.simulator.status()["fired"]
        ground.simulator.set_faults(FaultPlan())
        drained = drain.until_empty(ground.database_url, seconds=drain_s)
        ledger = list(ground.simulator.ledger())
        notes = orders.read(ground.books())
        freezes = tuple((one.began, one.ended) for one in disturber.done if one.kind is Kind.FREEZE)
        with database.connect(ground.database_url, name="chaos") as connection:
            verdict = judge(
                acknowledged=notes.acknowledged,
                rows=_rows(ground.database_url),
                ledger=ledger,
                story=lambda mail_id: _events(connection, mail_id),
                limits=Limits(
                    request_timeout_s=float(settings["ATUM_REQUEST_TIMEOUT_S"]),
                    index_lag_s=simulation.index_lag_s,
                    freezes=freezes,
                ),
            )
            _add(verdict, disturber.ended, notes, drained)
            stories = _stories(connection, verdict)
        return Outcome(
            seed=seed,
            verdict=verdict,
            notes=notes,
            done=disturber.done,
            recoveries=recovery.recoveries(
                [one.since for one in disturber.done], [record.accepted_at for record in ledger]
            ),
            drained_s=drained.seconds,
            faults=Counter(fired),
            settings={
                **settings,
                "index lag": f"{simulation.index_lag_s:g} s",
                "latency": _latency(simulation.latency_ms),
            },
            servers=ground.describe(),
            stories=stories,
        )


def _latency(milliseconds: float) -> str:
    return f"{milliseconds:g} ms, with a tail"


def _add(verdict: Verdict, ended: Sequence[str], notes: Notes, drained: Drained) -> None:
    for what in ended:
        verdict.unexplained += 1
        verdict.blame(what)
    for order in notes.split:
        verdict.unexplained += 1
        verdict.blame(f"order {order} was acknowledged under two mail ids")
    if not drained.left.nothing:
        verdict.unexplained += 1
        left = drained.left
        verdict.blame(f"no end after {drained.seconds:.0f} s: {left}; lanes: {left.lanes}", *drained.mails)


def _rows(database_url: str) -> list[reading.Audited]:
    with psycopg.connect(database_url, application_name="atum-chaos") as connection:
        return list(audited(connection))


def _events(connection: Connection, mail_id: UUID) -> Sequence[Mapping[str, Any]]:
    view = reading.mail(connection, mail_id)
    return [] if view is None else view.events


def _stories(connection: Connection, verdict: Verdict) -> list[MailView]:
    views = [reading.mail(connection, one) for one in list(dict.fromkeys(verdict.offenders))[:_OFFENDERS]]
    return [view for view in views if view is not None]
