"""Waiting until every mail has its end, with a display of what is left."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rich.progress import Progress, SpinnerColumn, TextColumn

from atum_ops import show
from atum_schema import database

if TYPE_CHECKING:
    from uuid import UUID

    from atum_schema.database import Connection

_LOOK_S: Final = 0.5
_NAMED: Final = 5

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


LEFT_MAILS = """
SELECT mail_id FROM atum.ready
UNION ALL SELECT unnest(mail_ids) FROM atum.batch
LIMIT %(most)s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drained:
    """How waiting ended: after so many seconds, with what is left, and some of the mails that are."""

    seconds: float
    left: Left
    mails: tuple[UUID, ...] = ()


def until_empty(database_url: str, *, seconds: float) -> Drained:
    """Wait until every mail has its end, at most `seconds`."""
    started = time.monotonic()
    with _display() as display, database.connect(database_url, name="chaos") as connection:
        task = display.add_task("draining", note="")
        while True:
            left = look(connection)
            passed = time.monotonic() - started
            display.update(task, note=str(left))
            if left.nothing:
                return Drained(seconds=passed, left=left)
            if passed > seconds:
                rows = connection.execute(LEFT_MAILS, {"most": _NAMED}).fetchall()
                return Drained(seconds=passed, left=left, mails=tuple(mail_id for (mail_id,) in rows))
            time.sleep(_LOOK_S)


def _display() -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TextColumn("{task.fields[note]}"),
        console=show.console(),
    )
