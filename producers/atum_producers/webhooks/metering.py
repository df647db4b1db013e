"""What the webhook endpoint counts of itself: requests by what became of them, and events by what they are."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from atum_schema import metrics_catalogue as catalogue
from atum_schema.metrics_harmless import Harmless, harmless

if TYPE_CHECKING:
    from collections.abc import Callable

    from atum_producers.webhooks.events import About
    from atum_schema.metrics import Meter


class WebhookMetering(Harmless):
    """Counts in the process what Postgres counts for ever."""

    def __init__(self, meter: Meter) -> None:
        super().__init__()
        self._requests = {
            word: meter.of(catalogue.WEBHOOK_REQUESTS, webhook=word) for word in catalogue.FIXED["webhook"]
        }
        self._events = {
            word: meter.of(catalogue.WEBHOOK_EVENTS, record_type=word)
            for word in catalogue.FIXED["record_type"]
        }
        self._lag = meter.of(catalogue.WEBHOOK_LAG)

    @harmless
    def refused(self, reason: str) -> None:
        """Count a request that was not taken."""
        word = reason.replace(" ", "_")
        self._requests[word if word in self._requests else "other"].inc()

    @harmless
    def stored(self, about: About, *, new: bool) -> None:
        """Count a request whose event is stored, and the event if it was not known before."""
        self._requests["stored" if new else "duplicate"].inc()
        if new:
            word = about.record_type
            self._events[word if word in self._events else "other"].inc()
            if about.at is not None:
                # By two clocks.
                self._lag.observe(max(0.0, (datetime.now(UTC) - about.at).total_seconds()))


def group(path: str) -> Callable[[str], str]:
    """Make what says which endpoint a path belongs to, where events come to `path`."""
    endpoints = {path: "webhook", "/healthz": "health", "/readyz": "health"}

    def endpoint_of(asked: str) -> str:
        return endpoints.get(asked, "other")

    return endpoint_of
