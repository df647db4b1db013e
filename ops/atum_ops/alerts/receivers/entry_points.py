"""Python callables that other packages bring along, found by the entry points of their groups.

Each group is for one purpose and has a name of its own. A callable gets one `Breach`; what it returns is ignored, and no
setting is ever asked of it.
"""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from atum_ops.alerts.alert import Area
from atum_ops.alerts.receivers.receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import Mapping

GROUPS: Final[Mapping[str, frozenset[Area] | None]] = {
    "atum_mailer.alert.failure_rate": frozenset({Area.FAILURES}),
    "atum_mailer.alert.backlog": frozenset({Area.BACKLOG}),
    "atum_mailer.alert.breach": None,
}
"""The groups, and what their callables are told of; None: everything."""


class Broken(NamedTuple):
    """An entry point that cannot be used, and why."""

    name: str
    why: str


def load() -> tuple[list[Receiver], list[Broken]]:
    """Load all of them; one that is broken does not stop the others."""
    receivers: dict[str, Receiver] = {}
    broken: list[Broken] = []
    for group, areas in GROUPS.items():
        for point in metadata.entry_points(group=group):
            name = f"{group.rpartition('.')[2]}:{point.name}"
            loaded = _loaded(point)
            if isinstance(loaded, str):
                broken.append(Broken(name, loaded))
            elif name in receivers:
                broken.append(Broken(name, "there are two of this name"))
            else:
                receivers[name] = Receiver(name, loaded, areas)
    return list(receivers.values()), broken


def _loaded(point: metadata.EntryPoint) -> Any:
    """Give the callable, or say in words why there is none."""
    try:
        found = point.load()
    except (Exception, SystemExit) as error:  # noqa: BLE001  somebody else's module may raise anything while it is imported
        return f"cannot be loaded: {type(error).__name__}"
    return found if callable(found) else "is nothing that can be called"
