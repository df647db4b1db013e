"""What operators see of windows: whether a lane sends, how fast, and what mends it when it does not."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from atum_ops import show
from atum_schema import flow_store
from atum_schema.flow import OPEN, Policy
from atum_schema.flow_allowance import drain_estimate
from atum_schema.flow_remedies import remedy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from atum_schema.database import Connection
    from atum_schema.flow_store import Flow

COLUMNS = ("lane", "state", "window", "in flight", "rate", "drained in", "next probe", "last outage")


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowState:
    """The window of a lane and account. Times are UTC, `*_s` are seconds from now."""

    lane: str
    account: str
    #: `open`, `closed` or `paused`.
    state: str
    since: datetime
    #: Why it is not open, who paused it if a person did, and what mends it in words.
    reason: str | None
    paused_by: str | None
    remedy: str | None
    #: Batches that may be in flight, at most ever, and that are.
    size: int
    ceiling: int
    in_flight: int
    #: Mails per second that may be issued; None: no limit. And those accepted lately.
    rate: float | None
    sent_rate: float
    #: Until all that waits is accepted at the pace of late; None when there is no pace.
    drain_s: float | None
    #: Until one mail tries a closed or paused lane.
    next_probe_s: float | None
    #: Until the provider may be asked again, by its own word.
    silent_s: float | None
    outage_at: datetime | None
    outage_end: datetime | None


def windows(connection: Connection, waiting: Mapping[str, int]) -> list[WindowState]:
    """Give all windows; `waiting` is how many mails of each lane are due or travelling."""
    return [_state(row, waiting.get(row.lane, 0)) for row in flow_store.read(connection)]


def document(state: WindowState) -> dict[str, Any]:
    """Give a window for JSON, its times in ISO 8601."""
    return {
        key: value.isoformat() if isinstance(value, datetime) else value
        for key, value in asdict(state).items()
    }


def cells(states: Sequence[WindowState]) -> list[tuple[str, ...]]:
    """Give the rows of the table."""
    return [
        (
            _named(one, states),
            one.state,
            f"{one.size} of {one.ceiling}",
            str(one.in_flight),
            "–" if one.rate is None else f"{one.rate:g}/s",
            "–" if one.drain_s is None else show.age(one.drain_s),
            "–" if one.next_probe_s is None else show.age(one.next_probe_s),
            "–" if one.outage_at is None else f"{one.outage_at:%m-%d %H:%M}",
        )
        for one in states
    ]


def explanations(states: Sequence[WindowState]) -> list[str]:
    """Say of each lane that does not send why, since when, and what mends it."""
    lines = []
    for one in states:
        if one.state != OPEN:
            since = f"{one.since:%Y-%m-%d %H:%M:%S} UTC"
            lines.append(f"{_named(one, states)} is {one.state} since {since}: {one.reason}")
            # A command has a line of its own, to be copied.
            lines += f"  {one.remedy}".replace(": atum-mailer ", ":\n    atum-mailer ").splitlines()
        elif one.silent_s is not None:
            lines.append(
                f"{_named(one, states)} is silent for {show.age(one.silent_s)}, as the provider asked"
            )
    return lines


def _named(one: WindowState, states: Sequence[WindowState]) -> str:
    several = len({state.account for state in states}) > 1
    return f"{one.lane} ({one.account})" if several else one.lane


def _state(row: Flow, waiting: int) -> WindowState:
    window = row.window
    silence = None if window.not_before is None else window.not_before - row.now
    return WindowState(
        lane=row.lane,
        account=row.account,
        state=window.state,
        since=datetime.fromtimestamp(window.since, UTC),
        reason=window.reason,
        paused_by=window.paused_by,
        remedy=remedy(window, row.lane),
        size=window.size,
        ceiling=window.ceiling,
        in_flight=row.in_flight,
        rate=window.rate,
        sent_rate=round(window.sent_rate, 3),
        drain_s=drain_estimate(window, waiting, now=row.now, policy=Policy()),
        next_probe_s=None if window.probe_at is None else max(0.0, window.probe_at - row.now),
        silent_s=silence if silence is not None and silence > 0 else None,
        outage_at=_moment(window.outage_at),
        outage_end=_moment(window.outage_end),
    )


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
