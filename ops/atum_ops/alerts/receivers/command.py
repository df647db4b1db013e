"""A command of the operator's own: each notice comes as JSON on its standard input."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import orjson

from atum_ops.alerts.breach import document
from atum_ops.alerts.receivers.receiver import TIMEOUT_S, NotTaken, Receiver

if TYPE_CHECKING:
    from atum_ops.alerts.breach import Breach

NAME: Final = "command"
_PASSED: Final = ("PATH", "HOME", "LANG")


def receiver(command: str, *, timeout_s: float = TIMEOUT_S) -> Receiver:
    """Make the receiver. The command is split into words as a shell does, and no shell is run."""
    words = shlex.split(command)

    def tell(told: Breach) -> None:
        _run(words, orjson.dumps(document(told)) + b"\n", timeout_s)

    return Receiver(NAME, tell)


def _run(words: list[str], content: bytes, timeout_s: float) -> None:
    # Our own environment holds secrets.
    environment = {name: os.environ[name] for name in _PASSED if name in os.environ}
    try:
        process = subprocess.Popen(
            words,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        raise NotTaken(f"cannot be started: {type(error).__name__}") from None
    try:
        process.communicate(content, timeout=timeout_s)
    except subprocess.TimeoutExpired:
        raise NotTaken(f"killed after {timeout_s:g} s") from None
    finally:
        if process.poll() is None:
            _kill(process)
    if process.returncode:
        raise NotTaken(f"exit status {process.returncode}")


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdin is not None:
        with suppress(OSError):
            process.stdin.close()
