"""An intake that kills itself after its first commit, before it acknowledges: `python -m tests.crashing_intake`."""

from __future__ import annotations

import os
import signal

from atum_ops import leash
from atum_producers.intake import Intake
from atum_schema import logs, settings


def crash() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    logs.configure(service="intake")
    leash.hold()
    Intake(settings.load(), stored=crash).run()
