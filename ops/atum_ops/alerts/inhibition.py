"""Which alerts say what others say already: the configuration of Alertmanager and `alerts watch` both go by this table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from atum_ops.alerts.alert import Area, Severity

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from atum_ops.alerts.alert import Alert


class Inhibition(NamedTuple):
    """While one of these alerts fires, nobody is told of those areas."""

    sources: tuple[str, ...]
    areas: tuple[Area, ...]


_OF_DATABASE: Final = tuple(area for area in Area if area not in {Area.DATABASE, Area.ALERTING})

INHIBITIONS: Final = (
    # Nothing is known of what only Postgres knows.
    Inhibition(("AtumDatabaseDown", "AtumExporterAbsent"), _OF_DATABASE),
    # Mail waits because it cannot go out.
    Inhibition(
        ("AtumProviderDown", "AtumProviderAuthFailing"),
        (Area.FAILURES, Area.BACKLOG, Area.AGE, Area.DEAD_LETTERS),
    ),
    # Nothing moves because nobody moves it.
    Inhibition(
        ("AtumNoRelay", "AtumNoWorker"),
        (Area.BACKLOG, Area.AGE, Area.BATCHES, Area.TASKS, Area.UNKNOWN, Area.WEBHOOKS),
    ),
)
"""Besides, the critical alert of an area mutes the warnings of that area."""


MUTING: Final = "AtumMuting"
"""Name of what Prometheus shows, with the label `source`, while the condition of a source is met: it tells nobody."""


def sources(all_alerts: Sequence[Alert]) -> list[Alert]:
    """Give the alerts that mute areas, in order."""
    return [alert for alert in all_alerts if any(alert.name in one.sources for one in INHIBITIONS)]


def is_muted(alert: Alert, firing: Collection[str], all_alerts: Sequence[Alert]) -> bool:
    """Whether others that fire say already what this one says. No alert mutes itself.

    `firing` are those whose condition is met, without those that only stay for the cooldown.
    """
    if any(
        alert.area in one.areas and any(source in firing and source != alert.name for source in one.sources)
        for one in INHIBITIONS
    ):
        return True
    return alert.severity is Severity.WARNING and any(
        other.name in firing and other.area is alert.area and other.severity is Severity.CRITICAL
        for other in all_alerts
    )
