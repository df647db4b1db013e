"""What a relay and an intake count of themselves. They observe; nothing depends on them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from atum_producers.line import Outcome
from atum_schema import metrics_catalogue as catalogue
from atum_schema.metrics_broker import BrokerMetering
from atum_schema.metrics_harmless import harmless

if TYPE_CHECKING:
    from collections.abc import Callable

    from atum_producers.sweep_store import Swept
    from atum_schema.metrics import Meter
    from atum_schema.standing import Standing

_WORDS: Final = {outcome: outcome.name.lower() for outcome in Outcome}


class RelayMetering(BrokerMetering):
    """Counts what a relay does."""

    def __init__(self, meter: Meter, standing: Callable[[], Standing]) -> None:
        super().__init__(meter, standing)
        self._meter = meter
        self._published = {
            outcome: meter.of(catalogue.PUBLISHED, published=word) for outcome, word in _WORDS.items()
        }
        self._last_look = meter.of(catalogue.LAST_LOOK)
        self._swept = meter.of(catalogue.SWEPT)

    @harmless
    def looked(self) -> None:
        """Note a look for due mail."""
        self._last_look.set(time.time())

    @harmless
    def issued(self, lane: str, batches: int) -> None:
        """Count batches that are committed."""
        self._meter.of(catalogue.BATCHES_ISSUED, lane=lane).inc(batches)

    @harmless
    def became(self, outcome: Outcome) -> None:
        """Count a message by what became of it."""
        self._published[outcome].inc()

    @harmless
    def swept(self, swept: Swept) -> None:
        """Count the batches of a round of sweeping."""
        self._swept.inc(swept.reissued + swept.buried + swept.unknown)


class IntakeMetering(BrokerMetering):
    """Counts what an intake does."""

    def __init__(self, meter: Meter, standing: Callable[[], Standing]) -> None:
        super().__init__(meter, standing)
        self._jobs = {
            word: meter.of(catalogue.JOBS, job_result=word) for word in catalogue.FIXED["job_result"]
        }
        self._duration = meter.of(catalogue.JOBS_DURATION)

    @harmless
    def committed(self, *, stored: int, known: int, rejected: int, later: int, seconds: float) -> None:
        """Count the jobs of a transaction that is committed."""
        for word, number in (("stored", stored), ("known", known), ("rejected", rejected), ("later", later)):
            self._jobs[word].inc(number)
        self._duration.observe(seconds)
