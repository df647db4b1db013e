"""`queue`: what waits and what travels."""

from __future__ import annotations

import click

from atum_ops import reading, show
from atum_schema import database, settings


@click.group()
def queue() -> None:
    """Look at the queue."""


@queue.command()
@show.FORMAT
@show.command_errors
def status(form: str) -> None:
    """Show each lane: due, later, in flight, unknown, the window, and the age of the oldest.

    \b
    Examples:
      atum-mailer queue status
      atum-mailer queue status --format=json | jq '.lanes[] | select(.oldest_s > 900)'
    """
    with database.connect(settings.load_database_url(), name="cli") as connection:
        lanes = reading.lanes(connection)
        dead, unpublished = reading.dead_letters(connection)
    if form == "json":
        show.json({"lanes": lanes, "dead": dead, "dead_unpublished": unpublished})
        return
    rows = [
        (s.lane, s.due, s.later, s.sending, s.unknown, f"{s.batches} of {s.window}", show.age(s.oldest_s))
        for s in lanes
    ]
    show.table("Queue", ["lane", "due", "later", "sending", "unknown", "batches in flight", "oldest"], rows)
    click.echo(
        f"dead letters: {dead:,}" + (f" ({unpublished:,} not in mail.dead yet)" if unpublished else "")
    )
