"""An intake that one job kills: `python -m tests.poisoned_intake`. The job has the word "poison" in it."""

from __future__ import annotations

import os
import signal
from typing import Any
from unittest.mock import patch

from atum_ops import leash
from atum_producers.intake import Intake
from atum_schema import job, logs, settings

_read = job.read


def read(body: bytes, **rest: Any) -> job.Job:
    if b"poison" in body:
        os.kill(os.getpid(), signal.SIGKILL)
    return _read(body, **rest)


if __name__ == "__main__":
    logs.configure(service="intake")
    leash.hold()
    with patch.object(job, "read", read):
        Intake(settings.load()).run()
