"""What every process that talks to RabbitMQ shows of that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from atum_schema import metrics_catalogue as catalogue
from atum_schema.metrics_harmless import Harmless, harmless
from atum_schema.standing import Standing

if TYPE_CHECKING:
    from collections.abc import Callable

    from atum_schema.metrics import Meter


class BrokerMetering(Harmless):
    """Counts connections to RabbitMQ, and shows at each scrape whether the process is connected."""

    def __init__(self, meter: Meter, standing: Callable[[], Standing]) -> None:
        super().__init__()
        self._connections = meter.of(catalogue.BROKER_CONNECTIONS)
        meter.ask(catalogue.CONNECTED, lambda: float(standing() is Standing.CONNECTED))

    @harmless
    def opened(self) -> None:
        """Count a connection that was made."""
        self._connections.inc()
