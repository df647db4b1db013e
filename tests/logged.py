"""What our processes would have written into their logs, and logging as it was before one was set up here."""

from __future__ import annotations

import logging
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from atum_schema import logs
from atum_schema.log_line import OURS

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

_NAMES = (*OURS, "pika", "httpx")


def said(caplog: pytest.LogCaptureFixture) -> str:
    """Give the caught records as lines of JSON."""
    formatter = logs.formatter(service="tests")
    return "\n".join(map(formatter.format, caplog.records))


@contextmanager
def as_before() -> Iterator[None]:
    """Put everything back, at the end, that `logs.configure` changes: it is the process's, and so that of all other tests."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in _NAMES}
    hooks = sys.excepthook, threading.excepthook, sys.unraisablehook
    try:
        yield
    finally:
        logging.captureWarnings(False)
        sys.excepthook, threading.excepthook, sys.unraisablehook = hooks
        root.handlers[:] = handlers
        root.setLevel(level)
        for name, before in levels.items():
            logging.getLogger(name).setLevel(before)
