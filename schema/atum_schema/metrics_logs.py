"""Counting what is logged: a handler of the root logger that counts warnings and errors, and writes nothing."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

from atum_schema import metrics_catalogue as catalogue

if TYPE_CHECKING:
    from collections.abc import Iterator

    from atum_schema.metrics import Meter


class LogCounter(logging.Handler):
    """Counts by level; what is worse than an error is one too."""

    def __init__(self, meter: Meter) -> None:
        super().__init__(logging.WARNING)
        self._warnings = meter.of(catalogue.LOG_MESSAGES, level="warning")
        self._errors = meter.of(catalogue.LOG_MESSAGES, level="error")

    def emit(self, record: logging.LogRecord) -> None:
        """Count a line."""
        (self._errors if record.levelno >= logging.ERROR else self._warnings).inc()


@contextmanager
def counting_logs(meter: Meter) -> Iterator[None]:
    """Count what is logged in here, by anybody in the process."""
    counter = LogCounter(meter)
    logging.getLogger().addHandler(counter)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(counter)
