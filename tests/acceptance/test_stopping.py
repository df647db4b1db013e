"""SIGTERM finishes what is in flight, a second one ends at once, and the stock command line serves too."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

from atum_ops.simulator.config import SimulatorConfig
from tests.nodes import eventually
from tests.system import System, letters


def test_sigterm_finishes_what_is_in_flight_and_starts_nothing_new(database_url: str, amqp_url: str) -> None:
    with System(
        database_url=database_url,
        amqp_url=amqp_url,
        workers=0,
        # The signal comes before the answer, even where this test stands still meanwhile.
        simulation=SimulatorConfig(latency_ms=5000),
        settings={"ATUM_BATCH_MAILS": "2", "ATUM_REQUEST_TIMEOUT_S": "30"},
    ) as system:
        worker = system.start_worker(ATUM_THREADS="1")
        ids = system.mailer.enqueue(letters(6))
        system.await_posting()
        assert worker.stop() == 0
        assert '"level":"warning"' not in worker.output(), worker.output()
        assert system.statuses(ids) == {"sent": 2, "queued": 4}
        assert sorted(system.copies(ids)) == [0, 0, 0, 0, 1, 1]
        system.simulator.tune(latency_ms=0)
        system.start_worker()
        system.settled()
        system.check(sent=6)


def test_a_second_sigterm_ends_the_worker_at_once(database_url: str, amqp_url: str) -> None:
    with System(
        database_url=database_url,
        amqp_url=amqp_url,
        workers=0,
        simulation=SimulatorConfig(latency_ms=60_000),
        settings={"ATUM_REQUEST_TIMEOUT_S": "90"},
    ) as system:
        worker = system.start_worker()
        system.mailer.enqueue(letters(1))
        system.await_posting()
        worker.signal(signal.SIGTERM)
        system.await_output(worker, "draining")
        assert worker.running
        asked = time.monotonic()
        worker.signal(signal.SIGTERM)
        assert worker.ended(seconds=60) == 3
        # The answer would have come after sixty.
        assert time.monotonic() - asked < 30
        assert eventually(lambda: bool(system.query("SELECT FROM atum.batch WHERE state = 'posting'")))


def test_the_stock_command_line_of_dramatiq_delivers(database_url: str, amqp_url: str) -> None:
    with System(database_url=database_url, amqp_url=amqp_url, workers=0) as system:
        dramatiq = str(Path(sys.executable).with_name("dramatiq"))
        stock = system.start_part([dramatiq, "atum_workers.app:setup", "-p", "1", "-t", "2"])
        both = [*letters(200), *letters(200, name="b", stream="broadcast")]
        system.mailer.enqueue(both)
        system.settled()
        system.check(sent=400)
        assert stock.stop(timeout=60) == 0
