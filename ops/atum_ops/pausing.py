"""Stopping a lane and letting it go, by an operator's word."""

from __future__ import annotations

from typing import TYPE_CHECKING

from atum_schema import audit, flow, flow_store, recall
from atum_schema.errors import AtumError

if TYPE_CHECKING:
    from collections.abc import Callable

    from atum_schema.database import Connection
    from atum_schema.flow import Window
    from atum_schema.flow_store import Flow
    from atum_schema.settings import Settings


def pause(connection: Connection, lane: str, *, reason: str, by: str) -> int:
    """Pause a lane in all its accounts; give how many mails were taken back from batches.

    After this returns no POST begins in the lane; what was being posted ends. Raises `AtumError` when there is no
    such lane.
    """
    rows = _change(
        connection,
        lane,
        lambda row: flow.paused(row.window, reason=reason, by=by, now=row.now),
        actor=f"operator:{by}",
        action="lane.paused",
        reason=reason,
    )
    detail = f"lane paused by {by}"
    return sum(
        recall.recall(connection, lane=lane, account=row.account, claimed=True, detail=detail) for row in rows
    )


def resume(connection: Connection, lane: str, *, by: str, note: str | None = None) -> list[Flow]:
    """Resume a lane in all its accounts; give its windows as they are then. Raises `AtumError` as `pause` does."""
    _change(
        connection,
        lane,
        lambda row: flow.resumed(row.window, now=row.now),
        actor=f"operator:{by}",
        action="lane.resumed",
        reason=note,
    )
    flow_store.wake_relays(connection)
    return flow_store.read(connection, lanes=[lane])


def lanes(connection: Connection, configured: Settings) -> list[str]:
    """Give all lanes: those of the settings, which get a window if no relay has served them yet, and removed ones."""
    for lane in configured.lane_names:
        flow_store.add(
            connection,
            lane=lane,
            account=configured.account,
            ceiling=configured.window,
            rate=configured.lane_rates.get(lane),
        )
    return sorted({row.lane for row in flow_store.read(connection)})


def _change(
    connection: Connection,
    lane: str,
    decide: Callable[[Flow], Window],
    *,
    actor: str,
    action: str,
    reason: str | None,
) -> list[Flow]:
    rows = flow_store.read(connection, lanes=[lane])
    if not rows:
        known = sorted({row.lane for row in flow_store.read(connection)})
        raise AtumError(f"no relay has served a lane {lane!r}; there are: {', '.join(known) or 'none'}")
    with connection.transaction():
        for row in rows:
            flow_store.change(connection, decide, lane=lane, account=row.account, synchronous=True)
        audit.record(connection, actor, action, {"lane": lane, "reason": reason})
    return rows
