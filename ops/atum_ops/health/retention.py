"""`retention`: the partitions of the coming months are there, none holds strays, and none is kept for longer than is set."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Final

from atum_ops.health import database_store
from atum_ops.health.findings import Finding, bad, good, warning

if TYPE_CHECKING:
    from collections.abc import Sequence

    from atum_ops.health.database_store import Partition
    from atum_ops.health.surroundings import Surroundings

NAME: Final = "retention"
#: A partition goes when all in it is old enough, so it may be there for its own month longer; and some days of grace.
_MONTH_AND_GRACE: Final = timedelta(days=34)


def look(surroundings: Surroundings) -> list[Finding]:
    """Look at the partitions of the log."""
    connection = surroundings.connection
    now = datetime.fromtimestamp(database_store.now(connection), UTC)
    # The setting is younger than this check.
    days = getattr(surroundings.settings, "retention_days", None)
    return [
        *judge_partitions(database_store.partitions(connection), now=now),
        *judge(
            database_store.oldest_mail(connection),
            now=now,
            days=days,
            strays=database_store.has_strays(connection),
        ),
    ]


def judge_partitions(partitions: Sequence[Partition], *, now: datetime) -> list[Finding]:
    """Say which partitions of this month and the next are missing."""
    this = now.replace(day=1)
    following = (this + timedelta(days=32)).replace(day=1)
    missing = []
    for parent, group in groupby(partitions, key=lambda each: each.parent):
        names = {each.name for each in group}
        wanted = [f"{parent}_{month:%Y_%m}" for month in (this, following)] + [f"{parent}_default"]
        missing += [name for name in wanted if name not in names]
    if missing:
        text = f"partitions are missing: {', '.join(missing)}"
        return [bad(NAME, text, "start a relay, which makes them; or: SELECT atum.ensure_partitions()")]
    return []


def judge(oldest: datetime | None, *, now: datetime, days: float | None, strays: bool) -> list[Finding]:
    """Say whether the log is kept as long as is set, and no longer."""
    found = []
    if strays:
        text = "mails lie in no month's partition: the clock of a producer was wrong"
        found.append(warning(NAME, text, "see the check clock on the machines of the producers"))
    age = None if oldest is None else now - oldest
    if age is not None and days and age > timedelta(days=days) + _MONTH_AND_GRACE:
        text = f"the oldest mail is {age.days} days old, kept are {days:g}"
        found.append(
            warning(NAME, text, "see that a worker runs; mails that have not ended keep their month")
        )
    since = "the log is empty" if age is None else f"the oldest mail is {age.days} days old"
    kept = f"{days:g} days are kept" if days else "nothing is ever dropped"
    return found or [good(NAME, f"{since}; {kept}")]
