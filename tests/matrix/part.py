"""A relay or a worker for the matrix: `python -m tests.matrix.part relay|worker STEP SIGKILL|SIGSTOP`.

With `standby` in the place of STEP it stops itself once everything is imported, and serves when it is continued.
"""

from __future__ import annotations

import logging
import os
import signal
import sys

from atum_ops import leash
from atum_producers.relay import Relay
from atum_schema import settings
from atum_schema.steps import Step, go_on
from atum_workers.main import run
from tests.crashing_worker import Crash


def main(kind: str, step: str, how: str) -> None:
    logging.basicConfig(level=logging.INFO)
    leash.hold()
    reached = go_on if step in {"standby", "good"} else Crash(Step(step), signal.Signals[how])
    if step == "standby":
        os.kill(os.getpid(), signal.SIGSTOP)
    if kind == "worker":
        run(settings.load(), reached=reached)
    else:
        relay = Relay(settings.load(), reached=reached)
        signal.signal(signal.SIGTERM, lambda _number, _frame: relay.stop())
        relay.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
