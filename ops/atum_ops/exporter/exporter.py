"""The process: serves what a thread reads, until it is told to stop."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final

from prometheus_client.registry import Collector

from atum_ops.exporter.families import Known, families
from atum_ops.exporter.link import STATEMENT_S, Link
from atum_ops.exporter.reader import PATIENCE_S, Reader
from atum_schema.errors import SettingsError
from atum_schema.metrics import Meter, url
from atum_schema.metrics_logs import counting_logs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from prometheus_client import Metric

    from atum_ops.signals.snapshot import Snapshot
    from atum_schema.settings import Settings

log = logging.getLogger(__name__)

_LOOK_S: Final = 0.2
_END_S: Final = 2.0


class OfDatabase(Collector):
    """Shows the families of the database, all of them or none."""

    def __init__(self, current: Callable[[], Snapshot | None], known: Known) -> None:
        self._current = current
        self._known = known

    def collect(self) -> Iterable[Metric]:
        """Give the families of the snapshot that may be shown now."""
        snapshot = self._current()
        return [] if snapshot is None else families(snapshot, self._known)


class Exporter:
    """`atum-mailer exporter`. `settings` are those of `settings.load_for_exporter`.

    Neither a database that is away, nor one whose schema is older, nor a role that may not read it ends it: then it shows
    `exporter_up 0`, and that is what it is there for.
    """

    def __init__(
        self, settings: Settings, *, patience_s: float = PATIENCE_S, statement_s: float = STATEMENT_S
    ) -> None:
        self._settings = settings
        self._stopping = False
        self._link = Link(settings.database_url.get_secret_value(), statement_s=statement_s)
        self.meter = Meter("exporter")
        self.reader = Reader(self._link, settings, self.meter, patience_s=patience_s)
        self.meter.registry.register(OfDatabase(self.reader.current, Known.of(settings)))

    def stop(self) -> None:
        """Ask it to stop; safe from a signal handler. `run` returns within a second."""
        self._stopping = True

    def run(self) -> None:
        """Serve until `stop()` is called. Raises `SettingsError` when the port is taken."""
        with counting_logs(self.meter):
            self._serve()
            self.reader.start()
            while not self._stopping:
                self.reader.hurry()
                # Not an event: a signal handler that sets one may meet the lock that its own thread holds.
                time.sleep(_LOOK_S)
            self.reader.stop()
            self.reader.join(_END_S)

    def _serve(self) -> None:
        host, port = self._settings.exporter_host, self._settings.exporter_port
        try:
            self.meter.serve(host, port)
        except OSError as error:
            raise SettingsError(
                f"ATUM_EXPORTER_PORT: cannot listen on {host}:{port}: {error.strerror}"
            ) from None
        log.info("exporter: serving", extra={"url": url(host, port)})
