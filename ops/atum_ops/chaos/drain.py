"""Waiting until every mail has its end, with a display of what is left."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rich.progress import Progress, SpinnerColumn, TextColumn

from atum_ops import show
from atum_schema import database
from atum_schema.errors import StackError

if TYPE_CHECKING:
    from atum_schema.database import Connection

_LOOK_S: Final = 0.5

LEFT = """
SELECT (SELECT count(*) FROM atum.ready) AS waiting,
       (SELECT coalesce(sum(cardinality(mail_ids)), 0) FROM atum.batch WHERE state <> 'unknown') AS sending,
       (SELECT coalesce(sum(cardinality(mail_ids)), 0) FROM atum.batch WHERE state = 'unknown') AS unknown,
       (SELECT count(*) FROM atum.mail WHERE status = 'held') AS held,
       (SELECT count(*) FROM atum.mail WHERE status = 'sent') AS sent,
       (SELECT coalesce(string_agg(DISTINCT lane || ' ' || state || coalesce(' (' || reason || ')', ''), ', '), '')
        FROM atum.flow) AS lanes
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """One look at the mails."""

    waiting: int
    sending: int
    unknown: int
    held: int
    sent: int
    #: The state of each lane's window, in words.
    lanes: str

    @property
    def nothing(self) -> bool:
        """Whether every mail has an end."""
        return not (self.waiting or self.sending or self.unknown)

    def __str__(self) -> str:
        return (
            f"waiting {self.waiting:,} · sending {self.sending:,} · unknown {self.unknown:,} · held {self.held:,}"
            f" · sent {self.sent:,}"
        )


def look(connection: Connection) -> Left:
    """Count what is left. The log of one run is small enough to count."""
    row = connection.execute(LEFT).fetchone()
    waiting, sending, unknown, held, sent, lanes = row or (0, 0, 0, 0, 0, "")
    return Left(
        waiting=waiting, sending=int(sending), unknown=int(unknown), held=held, sent=sent, lanes=lanes
    )


def until_empty(database_url: str, *, seconds: float) -> float:
    """Wait until every mail has an end; give the seconds it took.

    Raises StackError, naming what is left, after `seconds`.
    """
    started = time.monotonic()
    with _display() as display, database.connect(database_url, name="chaos") as connection:
        task = display.add_task("draining", note="")
        while not (left := look(connection)).nothing:
            display.update(task, note=str(left))
            if time.monotonic() - started > seconds:
                raise StackError(f"not drained after {seconds:.0f} s: {left}; lanes: {left.lanes}")
            time.sleep(_LOOK_S)
        display.update(task, note=str(left))
    return time.monotonic() - started


def _display() -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TextColumn("{task.fields[note]}"),
        console=show.console(),
    )
