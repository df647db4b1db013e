"""A child process that ends when its parent is gone, however the parent ended."""

from __future__ import annotations

import os
import signal
import threading

VARIABLE = "ATUM_LEASH_FD"


def hold() -> None:
    """If this process was started on a leash, get SIGTERM once the other end of the pipe is closed."""
    number = os.environ.pop(VARIABLE, None)
    if number is not None:
        threading.Thread(target=_wait, args=(int(number),), name="atum-leash", daemon=True).start()


def _wait(descriptor: int) -> None:
    os.read(descriptor, 1)
    os.kill(os.getpid(), signal.SIGTERM)
