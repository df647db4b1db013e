"""What operators ask of a lane: pause, resume, a rate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from atum_ops.simulator.config import SimulatorConfig
from tests import command_line
from tests.nodes import eventually
from tests.system import System, letters

if TYPE_CHECKING:
    from tests.command_line import Answer

LANE = "transactional"


def run(system: System, *arguments: str) -> Answer:
    return command_line.run(*arguments, ATUM_DATABASE_URL=system.database_url)


def test_after_a_pause_is_acknowledged_nothing_is_posted_until_somebody_resumes(
    database_url: str, amqp_url: str
) -> None:
    with System(
        database_url=database_url,
        amqp_url=amqp_url,
        simulation=SimulatorConfig(latency_ms=100),
        settings={"ATUM_BATCH_MAILS": "5"},
    ) as system:
        system.mailer.enqueue(letters(800))
        assert eventually(lambda: 0 < system.accepted() < 300)
        assert run(system, "queue", "pause", LANE, "--reason", "moving house").status == 0
        ((acknowledged,),) = system.query("SELECT clock_timestamp()")
        assert eventually(
            lambda: system.query("SELECT count(*) FROM atum.batch WHERE state <> 'unknown'") == [(0,)]
        )
        waiting = system.waiting()
        assert waiting > 0
        later = system.mailer.enqueue(letters(5, name="later"))
        assert not eventually(lambda: system.waiting() != waiting + 5, seconds=2)
        after = system.query("SELECT count(*) FROM atum.attempt WHERE posting_at > %(at)s", at=acknowledged)
        assert after == [(0,)]
        assert run(system, "queue", "resume", LANE).status == 0
        system.settled()
        assert system.copies(later) == [1] * 5
        system.check(sent=805)


def test_a_rate_is_kept(database_url: str, amqp_url: str) -> None:
    with System(
        database_url=database_url,
        amqp_url=amqp_url,
        relays=2,
        settings={"ATUM_RATES": f"{LANE}=50"},
    ) as system:
        system.mailer.enqueue(letters(350))
        system.settled()
        system.check(sent=350)
        # What was saved up goes out at once; from then on it is the rate. A busy machine may be slower than it.
        ((lasted,),) = system.query(
            "SELECT extract(epoch FROM max(issued_at) - min(issued_at))::float8 FROM atum.attempt"
        )
        assert 6.0 * 0.9 < lasted < 6.0 * 3
        # A rate is kept by small batches, not by single mails.
        ((batches,),) = system.query("SELECT count(DISTINCT batch_id) FROM atum.attempt")
        assert batches < 120


def test_a_relay_that_starts_leaves_what_a_window_has_learnt(database_url: str, amqp_url: str) -> None:
    with System(database_url=database_url, amqp_url=amqp_url) as system:
        system.query("UPDATE atum.flow SET size = 3, threshold = 3 RETURNING 1")
        system.start_relay()
        assert system.query("SELECT DISTINCT size, ceiling FROM atum.flow") == [(3, 32)]
