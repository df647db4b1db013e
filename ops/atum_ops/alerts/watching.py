"""Which alerts fire, and who is told of them: all decisions of `alerts watch`. Pure and total.

::

    (nothing) ──met──▶ pending ──met for `for_s` without a pause──▶ firing ──unmet for the cooldown──▶ ended
                          │                                           ▲ │                                │
                          └──unmet──▶ (nothing)                       └met      met, or all know it ─────┴─▶ (nothing)

    a receiver:   nothing ──firing──▶ told ──firing, after the cooldown──▶ told ──resolved──▶ nothing

What an alert does is decided first (`looked`), from its condition alone; then who is to be told (`due`), from what each
receiver took before. A receiver's memory changes only by what it took, or did not (`told`).

Where the database cannot be read, a condition that needs it is neither met nor unmet: nothing changes.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Final, NamedTuple

from atum_ops.alerts.alert import Severity
from atum_ops.alerts.breach import Kind
from atum_ops.alerts.inhibition import is_muted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from atum_ops.alerts.alert import Alert, Area, Seen

MUTE_S: Final = 300.0
"""How long an alert whose condition is not met any more still mutes others: what piled up behind it needs a moment."""

DEAF_AFTER: Final = 3
"""Tries in a row that a receiver did not take, from which on it is deaf."""

_BACK_OFF_S: Final = (15.0, 30.0, 60.0, 120.0, 300.0)
# A watcher may be late by this many rounds, and by this part of the time that the condition has to be met.
_ROUNDS: Final = 3
_PART: Final = 0.1
_URGENCY: Final = (Severity.CRITICAL, Severity.WARNING, Severity.NONE)
_NAMESPACE: Final = uuid.UUID("9b5f2f63-6f57-4be5-8c1b-0f0f1c1c2a77")


class Known(NamedTuple):
    """What is known of an alert whose condition was met; all times are seconds since 1970."""

    name: str
    since: float
    #: None: it is pending.
    fired_at: float | None
    #: When it was last seen to be met, and what was measured then.
    met_at: float
    value: float | None = None


class Heard(NamedTuple):
    """What a receiver knows of an alert."""

    name: str
    receiver: str
    #: What it was told last: FIRING, or RESOLVED; None: nothing.
    kind: Kind | None = None
    #: When it last took one that says that the alert fires: its cooldown begins there.
    told_at: float | None = None
    #: Tries in a row that it did not take, when it is tried again, and why it did not take the last one.
    failures: int = 0
    due_at: float | None = None
    failure: str | None = None

    @property
    def believes(self) -> bool:
        """Whether it thinks that the alert fires."""
        return self.kind is Kind.FIRING


class Memory(NamedTuple):
    """Everything that is kept between two rounds."""

    #: By name.
    alerts: Mapping[str, Known] = {}
    #: By name and receiver.
    heard: Mapping[tuple[str, str], Heard] = {}


class Listener(NamedTuple):
    """A receiver, as far as decisions go."""

    name: str
    #: The areas it wants to be told of; None: all.
    areas: frozenset[Area] | None = None

    def wants(self, area: Area) -> bool:
        """Whether it is told of this area."""
        return self.areas is None or area in self.areas


class Due(NamedTuple):
    """A notice to be given now."""

    alert: Alert
    receiver: str
    kind: Kind
    known: Known
    #: The same whenever it is tried again.
    id: str


class Pace(NamedTuple):
    """How fast things go, in seconds: the cooldown, and the time from one round to the next."""

    cooldown_s: float
    every_s: float


def rewound(memory: Memory, at: float) -> Memory:
    """Give what is remembered without a future: there is one when the database's clock was set back, as by a failover.

    Else an alert of that future would end only when it has come, and nobody would be told of it until then.
    """

    def past(then: float | None) -> float | None:
        return None if then is None else min(then, at)

    return Memory(
        {
            name: one._replace(
                since=min(one.since, at), fired_at=past(one.fired_at), met_at=min(one.met_at, at)
            )
            for name, one in memory.alerts.items()
        },
        {
            key: one._replace(
                told_at=past(one.told_at),
                due_at=None if one.due_at is None else min(one.due_at, at + _BACK_OFF_S[-1]),
            )
            for key, one in memory.heard.items()
        },
    )


def looked(
    alerts: Sequence[Alert], known: Mapping[str, Known], seen: Seen, at: float, pace: Pace
) -> dict[str, Known]:
    """Decide what each alert does now. An alert that is in no list any more, or that cannot be seen from here, is gone."""
    found = {alert.name: _looked(alert, known.get(alert.name), seen, at, pace) for alert in alerts}
    return {name: one for name, one in found.items() if one is not None}


def _looked(alert: Alert, before: Known | None, seen: Seen, at: float, pace: Pace) -> Known | None:
    if alert.look is None:
        return None
    value = alert.look(seen)
    if value is None:
        if before is None or before.fired_at is not None or seen.now is None:
            return before
        return None
    # It had not ended when it was last looked at. What had, and is kept because somebody is still to be told so, begins anew.
    if (
        before is not None
        and before.fired_at is not None
        and not has_ended(alert, before, at - pace.every_s, pace)
    ):
        return before._replace(met_at=at, value=value)
    late_s = max(_ROUNDS * pace.every_s, _PART * alert.for_s)
    goes_on = before is not None and before.fired_at is None and at - before.met_at <= late_s
    since = before.since if before is not None and goes_on else at
    fired_at = at if at - since >= alert.for_s else None
    return Known(alert.name, since, fired_at, at, value)


def has_ended(alert: Alert, known: Known, at: float, pace: Pace) -> bool:
    """Whether an alert that fired has ended: its condition has not been met for the cooldown, if it keeps."""
    unmet_s = at - known.met_at
    return known.fired_at is not None and unmet_s > 0 and unmet_s >= (pace.cooldown_s if alert.keeps else 0)


def muted(alerts: Sequence[Alert], known: Mapping[str, Known], at: float) -> frozenset[str]:
    """Name the alerts that others speak for."""
    speaking = {one.name for one in known.values() if one.fired_at is not None and at - one.met_at <= MUTE_S}
    return frozenset(alert.name for alert in alerts if is_muted(alert, speaking, alerts))


def due(
    alerts: Sequence[Alert],
    memory: Memory,
    listeners: Iterable[Listener],
    at: float,
    pace: Pace,
) -> list[Due]:
    """Give the notices that are to be given now, the most urgent first."""
    silent = muted(alerts, memory.alerts, at)
    found: list[Due] = []
    for listener in listeners:
        for alert in alerts:
            if alert.name in silent or not listener.wants(alert.area):
                continue
            heard = memory.heard.get((alert.name, listener.name), Heard(alert.name, listener.name))
            known = memory.alerts.get(alert.name)
            kind = _wanted(alert, known, heard, at, pace)
            if kind is not None and (heard.due_at is None or at >= heard.due_at):
                known = _fired(known, heard, at)
                found.append(Due(alert, listener.name, kind, known, _id(known, heard, kind)))
    return sorted(found, key=lambda one: (one.kind is Kind.RESOLVED, _URGENCY.index(one.alert.severity)))


def _wanted(alert: Alert, known: Known | None, heard: Heard, at: float, pace: Pace) -> Kind | None:
    """Decide what a receiver is still to be told of an alert, whether or not it is tried now."""
    if known is None or known.fired_at is None or has_ended(alert, known, at, pace):
        return Kind.RESOLVED if heard.believes else None
    if heard.told_at is not None and at - heard.told_at < pace.cooldown_s:
        return None
    is_met = known.met_at >= at
    if heard.believes:
        return Kind.REPEATED if is_met else None
    # What nobody is told of yet and is not met any more need not begin to be told; what was tried is told.
    return Kind.FIRING if is_met or heard.failures else None


def _fired(known: Known | None, heard: Heard, at: float) -> Known:
    """Give the alert as it fired, as far as that is known any more."""
    if known is not None and known.fired_at is not None:
        return known
    fired_at = at if heard.told_at is None else heard.told_at
    return Known(heard.name, fired_at, fired_at, fired_at)


def _id(known: Known, heard: Heard, kind: Kind) -> str:
    words = (known.name, heard.receiver, kind.value, known.fired_at, heard.told_at)
    return str(uuid.uuid5(_NAMESPACE, "/".join(map(str, words))))


def told(one: Due, before: Heard | None, at: float, failure: str | None) -> Heard:
    """Give what a receiver knows after a try; `failure` says why it did not take the notice, None that it did."""
    heard = before or Heard(one.alert.name, one.receiver)
    if failure is not None:
        wait_s = _BACK_OFF_S[min(heard.failures, len(_BACK_OFF_S) - 1)]
        return heard._replace(failures=heard.failures + 1, due_at=at + wait_s, failure=failure)
    if one.kind is Kind.RESOLVED:
        return Heard(heard.name, heard.receiver, Kind.RESOLVED, heard.told_at)
    return Heard(heard.name, heard.receiver, Kind.FIRING, at)


def tidied(
    alerts: Sequence[Alert], memory: Memory, listeners: Sequence[Listener], at: float, pace: Pace
) -> Memory:
    """Forget alerts that have ended and whose end everybody knows, and tries that are not wanted any more."""
    by_name = {alert.name: alert for alert in alerts}
    here = {listener.name for listener in listeners}
    heard = {key: one for key, one in memory.heard.items() if key[0] in by_name and key[1] in here}
    ended = {name for name, known in memory.alerts.items() if has_ended(by_name[name], known, at, pace)}
    owed = {name for (name, _), one in heard.items() if one.believes}
    fires = {name for name, known in memory.alerts.items() if known.fired_at is not None} - ended
    for key, one in heard.items():
        if one.failures and key[0] not in fires and not one.believes:
            heard[key] = one._replace(failures=0, due_at=None, failure=None)
    return Memory(
        {name: known for name, known in memory.alerts.items() if name not in ended or name in owed},
        {key: one for key, one in heard.items() if one.kind is not None or one.failures},
    )


def deaf(memory: Memory) -> int:
    """Count the receivers that did not take their last notices."""
    return len({one.receiver for one in memory.heard.values() if one.failures >= DEAF_AFTER})
