"""`failures`: how much of what finishes fails; `stopped`: mails that wait for people, for proof, or for `mail.dead`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from atum_ops import failing, reading, show, transitions_store
from atum_ops.failing import Direction
from atum_ops.health import database_store
from atum_ops.health.findings import Finding, bad, good, warning

if TYPE_CHECKING:
    from atum_ops.health.surroundings import Surroundings

NAME: Final = "failures"
STOPPED: Final = "stopped"
WARNING_RATE: Final = 0.05
BAD_RATE: Final = 0.20
UNPUBLISHED_S: Final = 300.0
UNKNOWN_S: Final = 3600.0
_LOOK: Final = "see the commonest reasons: atum-mailer report --since 1d"


def look(surroundings: Surroundings) -> list[Finding]:
    """Look at the failure rate of the last day, and at the day before."""
    return judge(transitions_store.trend(surroundings.connection))


def judge(trend: failing.Trend) -> list[Finding]:
    """Say whether too much fails."""
    text = f"in 24 h: {failing.words(trend)}"
    if trend.rate is not None and trend.rate >= BAD_RATE:
        return [bad(NAME, text, _LOOK)]
    rising = trend.direction is Direction.RISING and (trend.rate or 0) >= WARNING_RATE / 5
    if trend.rate is not None and (trend.rate >= WARNING_RATE or rising):
        return [warning(NAME, text, _LOOK)]
    return [good(NAME, text)]


def stopped(surroundings: Surroundings) -> list[Finding]:
    """Look at what does not go on by itself."""
    connection = surroundings.connection
    dead, unpublished = reading.dead_letters(connection)
    return judge_stopped(
        held=reading.stopped(connection).held,
        settling=database_store.settling(connection),
        dead=dead,
        unpublished=unpublished,
        unpublished_s=database_store.oldest_unpublished_s(connection) if unpublished else 0.0,
    )


def judge_stopped(
    *, held: int, settling: database_store.Settling, dead: int, unpublished: int, unpublished_s: float
) -> list[Finding]:
    """Say what waits for whom."""
    found = []
    if held:
        text = f"{held:,} mails are held: each waits for a person"
        found.append(warning(STOPPED, text, "look at each, and decide: docs/reliability.md"))
    if settling.oldest_s > UNKNOWN_S:
        text = f"{settling.mails:,} mails are unknown, the oldest for {show.age(settling.oldest_s)}"
        found.append(warning(STOPPED, text, "see that workers run, and that the provider's search answers"))
    if unpublished_s > UNPUBLISHED_S:
        text = f"{unpublished:,} dead letters are not in mail.dead, the oldest for {show.age(unpublished_s)}"
        found.append(warning(STOPPED, text, "see that a relay and RabbitMQ run"))
    text = f"{dead:,} dead letters, {settling.mails:,} unknown, none held"
    return found or [good(STOPPED, text)]
