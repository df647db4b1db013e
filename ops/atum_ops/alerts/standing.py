"""How each alert stands at the moment, for `alerts status`. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from atum_ops.alerts import watching

if TYPE_CHECKING:
    from collections.abc import Sequence

    from atum_ops.alerts.alert import Alert, Seen
    from atum_ops.alerts.watching import Heard, Known, Memory, Pace


class State(StrEnum):
    """How an alert stands."""

    WELL = "well"
    """Its condition is not met."""
    PENDING = "pending"
    """Its condition is met, and has not been for long enough."""
    FIRING = "firing"
    """Its condition has been met for long enough."""
    ENDING = "ending"
    """It fires, and its condition is not met any more; it ends when that has been so for the cooldown."""
    ENDED = "ended"
    """It has ended, and somebody is still to be told so."""
    UNSEEN = "unseen"
    """Only Prometheus can see it."""


FIRES = frozenset({State.FIRING, State.ENDING})
"""The states of an alert that fires."""


class Standing(NamedTuple):
    """How one alert stands."""

    alert: Alert
    state: State
    #: Others speak for it, so that nobody is told.
    is_muted: bool
    known: Known | None
    heard: tuple[Heard, ...]


def standings(alerts: Sequence[Alert], memory: Memory, seen: Seen, at: float, pace: Pace) -> list[Standing]:
    """Say of every alert how it stands, from what is kept and what its condition says now."""
    known = watching.looked(alerts, memory.alerts, seen, at, pace)
    muted = watching.muted(alerts, known, at)
    return [
        Standing(
            alert,
            _state(alert, known.get(alert.name), at, pace),
            alert.name in muted and alert.name in known,
            known.get(alert.name),
            tuple(one for one in memory.heard.values() if one.name == alert.name),
        )
        for alert in alerts
    ]


def _state(alert: Alert, known: Known | None, at: float, pace: Pace) -> State:
    if alert.look is None:
        return State.UNSEEN
    if known is None:
        return State.WELL
    if known.fired_at is None:
        return State.PENDING
    if watching.has_ended(alert, known, at, pace):
        return State.ENDED
    return State.FIRING if known.met_at >= at else State.ENDING
