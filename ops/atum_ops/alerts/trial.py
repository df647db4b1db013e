"""Notices that only try whether receivers take them. Nothing is wrong, and nothing is remembered but that they were sent."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Final

from atum_ops.alerts import catalogue
from atum_ops.alerts.breach import Kind, Times, breach

if TYPE_CHECKING:
    from atum_ops.alerts.breach import Breach, Metrics
    from atum_ops.alerts.watching import Listener
    from atum_schema.settings import Settings

_EXAMPLES: Final = ("AtumFailureRateHigh", "AtumBacklogHigh")
_LASTED_S: Final = 600.0


def notices(settings: Settings, listener: Listener, metrics: Metrics, at: float) -> list[Breach]:
    """Make one notice of each kind, about the first alert that the receiver wants to hear of."""
    by_name = {alert.name: alert for alert in catalogue.alerts(settings)}
    alert = next(by_name[name] for name in _EXAMPLES if listener.wants(by_name[name].area))
    return [
        breach(
            alert,
            kind,
            id=str(uuid.uuid4()),
            value=alert.threshold,
            metrics=metrics,
            times=Times(at - _LASTED_S, at - _LASTED_S, at if kind is Kind.RESOLVED else None, at),
            settings=settings,
            is_test=True,
        )
        for kind in Kind
    ]
