"""A relay or a worker for the matrix: `python -m tests.matrix.part relay|worker STEP SIGKILL|SIGSTOP`.

With `standby` in the place of STEP it stops itself once everything is imported, and serves when it is continued.
"""

from __future__ import annotations

import os
import signal
import sys

from atum_ops import leash
from atum_producers.relay import Relay
from atum_schema import logs, settings
from atum_schema.steps import Reached, Step, go_on
from atum_workers.main import run
from tests.crashing_worker import Crash


def main(kind: str, step: str, how: str) -> None:
    logs.configure(service=kind)
    leash.hold()
    reached: Reached = go_on
    configured = settings.load()
    if step not in {"standby", "good"}:
        reached = Crash(Step(step), signal.Signals[how])
        # It does one thing at a time, and gets it by a ticket: so the first of each step belongs to the same delivery.
        configured = settings.load(threads=1, pull_after_s=30)
    if step == "standby":
        os.kill(os.getpid(), signal.SIGSTOP)
    if kind == "worker":
        run(configured, reached=reached)
    else:
        relay = Relay(configured, reached=reached)
        signal.signal(signal.SIGTERM, lambda _number, _frame: relay.stop())
        relay.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
