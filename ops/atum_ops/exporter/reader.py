"""The thread that reads the database: once per period, however often anybody scrapes, and never twice at once."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Final

from atum_ops.exporter.last import Last, current, pause_s, stale_after_s
from atum_ops.exporter.words import words
from atum_ops.signals import store
from atum_schema import metrics_catalogue as catalogue
from atum_schema.live import Live
from atum_schema.seldom import Seldom
from atum_workers.deadline import boot_time

if TYPE_CHECKING:
    from collections.abc import Callable

    from atum_ops.exporter.link import Link
    from atum_ops.signals.snapshot import Snapshot
    from atum_schema.metrics import Meter
    from atum_schema.settings import Settings

log = logging.getLogger(__name__)

PATIENCE_S: Final = 10.0
"""How long a whole reading may take before its connection is cut."""

_COMPLAIN_EVERY_S: Final = 60.0


class Reader(threading.Thread):
    """Reads until `stop`, and keeps the last snapshot. Any thread may ask for `current`, which costs nothing."""

    def __init__(
        self,
        link: Link,
        settings: Settings,
        meter: Meter,
        *,
        patience_s: float = PATIENCE_S,
        clock: Callable[[], float] = boot_time,
    ) -> None:
        super().__init__(name="atum-exporter", daemon=True)
        self._link = link
        self._live = Live(settings)
        self._every_s = settings.exporter_every_s
        self._patience_s = patience_s
        self._clock = clock
        self._stopping = threading.Event()
        self._complaints = Seldom(_COMPLAIN_EVERY_S)
        self._last = Last()
        self._began: float | None = None
        self._readings = meter.of(catalogue.EXPORTER_READINGS)
        self._errors = meter.of(catalogue.EXPORTER_ERRORS)
        self._duration = meter.of(catalogue.EXPORTER_DURATION)
        self._success = meter.of(catalogue.EXPORTER_SUCCESS)
        meter.ask(catalogue.EXPORTER_UP, lambda: self.current() is not None)

    def current(self) -> Snapshot | None:
        """Give what may be shown now; None: the last reading failed, or it is too old."""
        return current(self._last, self._clock(), stale_s=stale_after_s(self._every_s))

    def stop(self) -> None:
        """Ask the thread to end, and cut short what it waits for."""
        self._stopping.set()
        self._link.cut()

    def hurry(self) -> None:
        """Cut the connection if a reading has taken too long; for another thread, now and then."""
        began = self._began
        if began is not None and self._clock() - began > self._patience_s:
            self._link.cut()

    def run(self) -> None:
        """Read once per period until `stop`."""
        while not self._stopping.is_set():
            began = self._clock()
            self.read()
            self._stopping.wait(pause_s(self._every_s, self._clock() - began))
        self._link.drop()

    def read(self) -> None:
        """Read once. Whatever goes wrong is counted and told, and nothing is shown until a reading succeeds."""
        began = self._began = self._clock()
        try:
            last = Last(self._read(), began)
        except Exception as error:  # noqa: BLE001 - a thread that ends would leave all of it to be guessed
            self._fail(error)
        else:
            if self._last.snapshot is None:
                log.info("exporter: the database is read")
            self._last = last
            self._success.set(time.time())
        finally:
            self._began = None
        self._duration.set(self._clock() - began)
        self._readings.inc()

    def _read(self) -> Snapshot:
        connection = self._link.connection()
        self._live.refresh(connection, every_s=0.0)
        return store.read(connection, self._live.now)

    def _fail(self, error: Exception) -> None:
        self._last = Last()
        self._errors.inc()
        self._link.drop()
        if self._complaints.due() and not self._stopping.is_set():
            log.error("exporter: the database cannot be read", extra={"detail": words(error)})
