"""A worker that was stopped by the kernel when SIGTERM came still drains once it goes on."""

from __future__ import annotations

import signal

from tests.system import System


def test_sigterm_while_frozen_drains_the_worker_once_it_is_thawed(database_url: str, amqp_url: str) -> None:
    with System(database_url=database_url, amqp_url=amqp_url, workers=0) as system:
        for _ in range(5):
            worker = system.start_worker()
            worker.signal(signal.SIGSTOP)
            worker.signal(signal.SIGTERM)
            worker.signal(signal.SIGCONT)
            assert worker.ended(seconds=60) == 0
