"""Stopping a lane and letting it go, by an operator's word."""

from __future__ import annotations

from typing import TYPE_CHECKING

from atum_schema import flow, flow_store, recall
from atum_schema.errors import AtumError

if TYPE_CHECKING:
    from collections.abc import Callable

    from atum_schema.database import Connection
    from atum_schema.flow import Window
    from atum_schema.flow_store import Flow


def pause(connection: Connection, lane: str, *, reason: str, by: str) -> int:
    """Pause a lane in all its accounts; give how many mails were taken back from batches.

    After this returns no POST begins in the lane; what was being posted ends. Raises `AtumError` when there is no
    such lane.
    """
    rows = _change(connection, lane, lambda row: flow.paused(row.window, reason=reason, by=by, now=row.now))
    detail = f"lane paused by {by}"
    return sum(
        recall.recall(connection, lane=lane, account=row.account, claimed=True, detail=detail) for row in rows
    )


def resume(connection: Connection, lane: str) -> list[Flow]:
    """Resume a lane in all its accounts; give its windows as they are then. Raises `AtumError` as `pause` does."""
    _change(connection, lane, lambda row: flow.resumed(row.window, now=row.now))
    flow_store.wake_relays(connection)
    return flow_store.read(connection, lanes=[lane])


def _change(connection: Connection, lane: str, decide: Callable[[Flow], Window]) -> list[Flow]:
    rows = flow_store.read(connection, lanes=[lane])
    if not rows:
        known = sorted({row.lane for row in flow_store.read(connection)})
        raise AtumError(f"no relay has served a lane {lane!r}; there are: {', '.join(known) or 'none'}")
    for row in rows:
        flow_store.change(connection, decide, lane=lane, account=row.account, synchronous=True)
    return rows
