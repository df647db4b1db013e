"""`queue`: what waits and what travels, and stopping and starting lanes."""

from __future__ import annotations

import getpass

import click

from atum_ops import pausing, reading, show, windows
from atum_producers import intake_store
from atum_schema import database, settings
from atum_schema.flow import OPEN
from atum_schema.flow_remedies import remedy

_MAX_WORDS = 200


@click.group()
def queue() -> None:
    """Look at the queue; pause and resume lanes."""


@queue.command()
@show.FORMAT
@show.command_errors
def status(form: str) -> None:
    """Show each lane: what waits and travels, its window, and why it does not send if it does not.

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
    if form == "json":
        documents = [windows.document(state) for state in states]
        show.json(
            {
                "lanes": lanes,
                "windows": documents,
                "dead": dead,
                "dead_unpublished": unpublished,
                "rejected_jobs": rejected,
            }
        )
        return
    rows = [
        (s.lane, s.due, s.later, s.sending, s.unknown, f"{s.batches} of {s.window}", show.age(s.oldest_s))
        for s in lanes
    ]
    show.table("Queue", ["lane", "due", "later", "sending", "unknown", "batches in flight", "oldest"], rows)
    if states:
        show.table("Windows", windows.COLUMNS, windows.cells(states))
    for line in windows.explanations(states):
        click.echo(line)
    click.echo(
        f"dead letters: {dead:,}" + (f" ({unpublished:,} not in mail.dead yet)" if unpublished else "")
    )
    if rejected:
        fields = ", ".join(f"{field}: {number:,}" for field, number in rejected.items())
        click.echo(
            f"jobs ever rejected by the intake: {sum(rejected.values()):,} ({fields}); see mail.rejected"
        )


@queue.command()
@click.argument("lane", metavar="LANE")
@click.option("--reason", required=True, help="Why, for whoever looks at the queue next.")
@click.option("--by", default=getpass.getuser, show_default="the user of the system", help="Who pauses it.")
@show.command_errors
def pause(lane: str, reason: str, by: str) -> None:
    """Stop a lane until somebody resumes it. Mail is still accepted, and waits.

    When this returns, nothing of the lane is posted any more, but what was being posted then.

    \b
    Example:
      atum-mailer queue pause broadcast --reason "wrong prices in the newsletter"
    """
    for name, words in (("reason", reason), ("by", by)):
        if not words.strip() or len(words) > _MAX_WORDS:
            raise click.BadParameter(f"must be 1 to {_MAX_WORDS} characters", param_hint=f"--{name}")
    with database.connect(settings.load_database_url(), name="cli") as connection:
        back = pausing.pause(connection, lane, reason=reason.strip(), by=by.strip())
    click.echo(f"{lane} is paused; {back:,} mails were taken back from batches that were not posted yet")


@queue.command()
@click.argument("lane", metavar="LANE")
@show.command_errors
def resume(lane: str) -> None:
    """Let a lane go that somebody paused; one that stopped by itself tries one mail at once.

    \b
    Example:
      atum-mailer queue resume broadcast
    """
    with database.connect(settings.load_database_url(), name="cli") as connection:
        rows = pausing.resume(connection, lane)
    for row in rows:
        if row.window.state == OPEN:
            click.echo(f"{lane} is open")
        else:
            click.echo(
                f"{lane} is {row.window.state} ({row.window.reason}) and tries one mail now; "
                f"if it does not open: {remedy(row.window, lane)}"
            )
