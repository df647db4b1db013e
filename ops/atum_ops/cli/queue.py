"""`queue`: what waits and what travels, stopping and starting lanes, working off and purging."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from atum_ops import failing, pausing, reading, show, transitions_store, windows
from atum_ops.cli.orders import BY, NOTE
from atum_ops.cli.queue_work import purge, run
from atum_producers import intake_store
from atum_schema import database, settings
from atum_schema.flow import OPEN
from atum_schema.flow_remedies import remedy

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from atum_ops.reading import LaneState
    from atum_ops.windows import WindowState

_MAX_WORDS = 200


@click.group()
def queue() -> None:
    """Look at the queue; pause and resume lanes, work off what is due, purge what has waited for too long."""


queue.add_command(run)
queue.add_command(purge)


@queue.command()
@show.FORMAT
@show.command_errors
def status(form: str) -> None:
    """Show each lane: what waits and travels, its window, and why it does not send if it does not.

    It only shows; whether that is good says: atum-mailer health check.

    \b
    Examples:
      atum-mailer queue status
      atum-mailer queue status --format=json | jq '.lanes[] | select(.oldest_s > 900)'
    """
    with database.connect(settings.load_database_url(), name="cli") as connection:
        lanes = reading.lanes(connection)
        states = windows.windows(connection, {lane.lane: lane.due + lane.sending for lane in lanes})
        dead, unpublished = reading.dead_letters(connection)
        rejected = intake_store.rejected_jobs(connection)
        stopped = reading.stopped(connection)
        trend = transitions_store.trend(connection)
    if form == "json":
        documents = [windows.document(state) for state in states]
        show.json(
            {
                "lanes": lanes,
                "windows": documents,
                "dead": dead,
                "dead_unpublished": unpublished,
                "rejected_jobs": rejected,
                "held": stopped.held,
                "unknown": stopped.unknown,
                "failures": failing.document(trend),
                "last_outage": _outage(states),
            }
        )
        return
    show.table("Queue", _COLUMNS, [_row(lane, states) for lane in lanes], whole={"lane"})
    if states:
        show.table("Windows", windows.COLUMNS, windows.cells(states), whole={"lane"})
    for line in windows.explanations(states):
        click.echo(line)
    click.echo(f"failures in 24 h: {failing.words(trend)}")
    click.echo(f"held: {stopped.held:,}, unknown: {stopped.unknown:,}")
    if rejected:
        fields = ", ".join(f"{field}: {number:,}" for field, number in rejected.items())
        click.echo(
            f"jobs ever rejected by the intake: {sum(rejected.values()):,} ({fields}); see mail.rejected"
        )
    click.echo(
        f"dead letters: {dead:,}" + (f" ({unpublished:,} not in mail.dead yet)" if unpublished else "")
    )


_COLUMNS = ("lane", "due", "later", "sending", "unknown", "batches in flight", "oldest", "next due", "paused")


def _row(lane: LaneState, states: Sequence[WindowState]) -> tuple[Any, ...]:
    reasons = [state.reason for state in states if state.lane == lane.lane and state.reason is not None]
    return (
        lane.lane,
        lane.due,
        lane.later,
        lane.sending,
        lane.unknown,
        f"{lane.batches} of {lane.window}",
        show.age(lane.oldest_s),
        None if lane.next_due_s is None else f"in {show.age(lane.next_due_s)}",
        reasons[0] if reasons else None,
    )


def _outage(states: Sequence[WindowState]) -> dict[str, datetime | str | None] | None:
    """Give the outage that began last, of any lane."""
    known = [state for state in states if state.outage_at is not None]
    if not known:
        return None
    last = max(known, key=lambda state: state.outage_at or state.since)
    return {"lane": last.lane, "account": last.account, "began": last.outage_at, "ended": last.outage_end}


@queue.command()
@click.argument("lane", metavar="LANE", required=False)
@click.option("--reason", required=True, help="Why, for whoever looks at the queue next.")
@BY
@show.command_errors
def pause(lane: str | None, reason: str, by: str) -> None:
    """Stop a lane, or all, until somebody resumes it. Mail is still accepted, and waits.

    When this returns, nothing of the lane is posted any more, but what was being posted then. Relays, workers and queue
    run heed it alike.

    \b
    Examples:
      atum-mailer queue pause broadcast --reason "wrong prices in the newsletter"
      atum-mailer queue pause --reason "moving to another account"
    """
    for name, words in (("reason", reason), ("by", by)):
        if not words.strip() or len(words) > _MAX_WORDS:
            raise click.BadParameter(f"must be 1 to {_MAX_WORDS} characters", param_hint=f"--{name}")
    configured = settings.load_without_keys()
    with database.connect(configured.database_url.get_secret_value(), name="cli") as connection:
        for each in [lane] if lane is not None else pausing.lanes(connection, configured):
            back = pausing.pause(connection, each, reason=reason.strip(), by=by.strip())
            click.echo(
                f"{each} is paused; {back:,} mails were taken back from batches that were not posted yet"
            )


@queue.command()
@click.argument("lane", metavar="LANE", required=False)
@BY
@NOTE
@show.command_errors
def resume(lane: str | None, by: str, note: str | None) -> None:
    """Let a lane go that somebody paused, or all; one that stopped by itself tries one mail at once.

    \b
    Examples:
      atum-mailer queue resume broadcast
      atum-mailer queue resume --note "prices are right now"
    """
    configured = settings.load_without_keys()
    with database.connect(configured.database_url.get_secret_value(), name="cli") as connection:
        lanes = [lane] if lane is not None else pausing.lanes(connection, configured)
        rows = [row for each in lanes for row in pausing.resume(connection, each, by=by, note=note)]
    for row in rows:
        if row.window.state == OPEN:
            click.echo(f"{row.lane} is open")
        else:
            click.echo(
                f"{row.lane} is {row.window.state} ({row.window.reason}) and tries one mail now; "
                f"if it does not open: {remedy(row.window, row.lane)}"
            )
