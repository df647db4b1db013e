"""What a family of metrics is, without anything that serves them.

No family has a label whose values come from mails: no recipient, domain, client, subject or tag.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

PREFIX: Final = "atum_mailer_"

EVERYWHERE: Final = frozenset({"relay", "intake", "worker", "api", "webhooks", "exporter"})
"""The parts that expose metrics."""


class Kind(StrEnum):
    """What a family measures."""

    COUNTER = "counter"
    """Only grows, from 0 at the start of the process, or, for what is counted in Postgres, for ever."""
    GAUGE = "gauge"
    """A value of now."""
    HISTOGRAM = "histogram"
    """How often values fell into each bucket, and their sum."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One metric, whatever its labels."""

    #: Without the prefix; with `_total` if a counter, and with its unit.
    name: str
    kind: Kind
    help: str
    #: The parts that expose it: `relay`, `intake`, `worker`, `api`, `webhooks`, `exporter`.
    parts: frozenset[str]
    labels: tuple[str, ...] = ()
    #: Upper bounds of a histogram's buckets.
    buckets: tuple[float, ...] = ()

    @property
    def full_name(self) -> str:
        """Its name as Prometheus has it."""
        return PREFIX + self.name
