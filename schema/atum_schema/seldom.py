"""Saying the same thing seldom: an outage of hours must not fill a disk with one line."""

from __future__ import annotations

import logging
import threading
import time
from typing import Final

SECONDS: Final = 10.0


class Seldom:
    """Says yes at most once in so many seconds; may be shared between threads."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._next = float("-inf")

    def due(self) -> bool:
        """Whether it is time to say it again; then the time begins anew."""
        now = time.monotonic()
        with self._lock:
            if now < self._next:
                return False
            self._next = now + self._seconds
            return True


class SeldomFilter(logging.Filter):
    """For a library's logger: lets each of its messages through once in so many seconds, whatever its arguments."""

    def __init__(self, seconds: float = SECONDS) -> None:
        super().__init__()
        self._seconds = seconds
        self._messages: dict[object, Seldom] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record goes out."""
        return self._messages.setdefault(record.msg, Seldom(self._seconds)).due()


def quieten(name: str) -> None:
    """Let the logger of this name say each of its messages once in ten seconds; harmless to repeat."""
    logger = logging.getLogger(name)
    if not any(isinstance(one, SeldomFilter) for one in logger.filters):
        logger.addFilter(SeldomFilter())
