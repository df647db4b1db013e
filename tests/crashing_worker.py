"""A worker that sends itself a signal at one step: `python -m tests.crashing_worker STEP [SIGKILL|SIGSTOP]`."""

from __future__ import annotations

import signal
import sys
import threading

from atum_ops import leash
from atum_schema import logs, settings
from atum_schema.steps import Step
from atum_workers.main import run


class Crash:
    """Sends the signal the first time the step is reached, and never again."""

    def __init__(self, step: Step, number: signal.Signals) -> None:
        self._step = step
        self._number = number
        self._first = threading.Lock()

    def __call__(self, step: Step) -> None:
        if step == self._step and self._first.acquire(blocking=False):
            # To this thread: sent to the process, a SIGSTOP may reach another one, and this one would run on for a while.
            signal.pthread_kill(threading.get_ident(), self._number)


def main(step: str, how: str = "SIGKILL") -> None:
    logs.configure(service="worker")
    leash.hold()
    run(settings.load(), reached=Crash(Step(step), signal.Signals[how]))


if __name__ == "__main__":
    main(*sys.argv[1:])
