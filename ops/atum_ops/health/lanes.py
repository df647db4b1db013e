"""`lanes`: none is closed or paused, and no mail has been due for long; `tasks`: what is done now and then is done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from atum_ops import reading, show, windows
from atum_ops.health import database_store
from atum_ops.health.findings import Finding, bad, good, warning
from atum_ops.health.parts import ALIVE_S
from atum_schema.flow import OPEN

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from atum_ops.health.surroundings import Surroundings
    from atum_ops.reading import LaneState
    from atum_ops.windows import WindowState

NAME: Final = "lanes"
BACKLOG: Final = "backlog"
TASKS: Final = "tasks"
LATE_S: Final = 300.0
VERY_LATE_S: Final = 3600.0
TASK_LATE_S: Final = 600.0
_REMOVED: Final = (
    "the first lane takes them; if it does not, name the lane again, or see: atum-mailer queue status"
)
_SLOW: Final = "see: atum-mailer queue status; add workers, or work it off: atum-mailer queue run"


def look(surroundings: Surroundings) -> list[Finding]:
    """Look at the windows."""
    connection = surroundings.connection
    lanes = reading.lanes(connection)
    served = database_store.lanes_served(connection, alive_s=ALIVE_S)
    return judge(
        windows.windows(connection, {lane.lane: lane.due + lane.sending for lane in lanes}),
        orphaned({lane.lane: lane.due + lane.later + lane.sending for lane in lanes}, served=served),
    )


def orphaned(waiting: Mapping[str, int], *, served: Collection[str]) -> dict[str, int]:
    """Give the lanes that mails wait in (`waiting`: how many) and that no relay serves; none while no relay runs at all."""
    return (
        {lane: number for lane, number in waiting.items() if number and lane not in served} if served else {}
    )


def judge(states: Sequence[WindowState], orphans: Mapping[str, int]) -> list[Finding]:
    """Say of each lane that does not send why, and what mends it. `orphans` are the mails of lanes that nobody serves."""
    found = [
        warning(
            NAME,
            f"{number:,} mails wait in {lane}, which no relay serves: ATUM_LANES does not name it",
            _REMOVED,
        )
        for lane, number in orphans.items()
    ]
    for state in states:
        if state.state == OPEN:
            continue
        who = f" by {state.paused_by}" if state.paused_by else ""
        text = f"{state.lane} is {state.state}{who} since {state.since:%Y-%m-%d %H:%M} UTC: {state.reason}"
        # What a person has paused is meant so; what stopped by itself is not.
        make = warning if state.paused_by else bad
        found.append(make(NAME, text, state.remedy or "see: atum-mailer queue status"))
    return found or [good(NAME, f"{len(states)} open" if states else "no relay has served a lane yet")]


def backlog(surroundings: Surroundings) -> list[Finding]:
    """Look at how long mail has been due."""
    return judge_backlog(reading.lanes(surroundings.connection))


def judge_backlog(lanes: Sequence[LaneState]) -> list[Finding]:
    """Say in which lanes mail has been due for long."""
    found = []
    for lane in lanes:
        text = f"{lane.lane}: the oldest of {lane.due + lane.sending:,} mails has been due for {show.age(lane.oldest_s)}"
        if lane.oldest_s >= VERY_LATE_S:
            found.append(bad(BACKLOG, text, _SLOW))
        elif lane.oldest_s >= LATE_S:
            found.append(warning(BACKLOG, text, _SLOW))
    waiting = sum(lane.due + lane.sending for lane in lanes)
    return found or [good(BACKLOG, f"{waiting:,} mails are due or on their way, none for long")]


def tasks(surroundings: Surroundings) -> list[Finding]:
    """Look at the tasks that are due now and then."""
    connection = surroundings.connection
    overdue = database_store.overdue_tasks(connection, after_s=TASK_LATE_S)
    return judge_tasks(database_store.tasks(connection), overdue)


def judge_tasks(states: Sequence[database_store.TaskState], overdue: Sequence[str]) -> list[Finding]:
    """Say which tasks failed when they were last done, and which nobody does."""
    found = []
    for state in states:
        if state.name in overdue:
            when = "never was" if state.ended_s is None else f"last ended {show.age(state.ended_s)} ago"
            text = f"{state.name} has been due for more than {show.age(TASK_LATE_S)}; it {when} done"
            text = text if state.ended_s is None else text.removesuffix(" done")
            found.append(bad(TASKS, text, "see that a worker and a relay run, and their logs"))
        elif state.failure is not None:
            ago = "" if state.ended_s is None else f" {show.age(state.ended_s)} ago"
            text = f"{state.name} failed{ago}: {state.failure}"
            found.append(warning(TASKS, text, "see the log of the workers; it is tried again by itself"))
    return found or [good(TASKS, f"{len(states)} are done when they are due")]
