"""`logs`: the log for other programs."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from atum_ops import show
from atum_ops.cli.connecting import connected
from atum_ops.cli.filters import selecting
from atum_ops.mails import exporting, log_store
from atum_schema.ids import milliseconds_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from uuid import UUID

    from atum_ops.selection import Selection
    from atum_schema.database import Connection

_CLOSED: Final = 141
"""Exit status when whoever read the output has stopped reading: as if the signal of it had ended the process."""


@click.group()
def logs() -> None:
    """Take the log elsewhere."""


@logs.command()
@selecting()
@click.option(
    "--format",
    "form",
    type=click.Choice(list(exporting.FORMATS)),
    default="csv",
    show_default=True,
    help="CSV for spreadsheets, one JSON array, or one JSON object per line.",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file to write; without, standard output.",
)
@click.option("--force", is_flag=True, help="Replace the file if there is one.")
@click.option("--limit", type=click.IntRange(min=1), help="At most so many, the newest.")
@show.command_errors
def export(selection: Selection, *, form: str, output: Path | None, force: bool, limit: int | None) -> None:
    """Write all mails that match, newest first, with all their recipients. Never the content.

    Memory does not depend on how many there are. A file appears when it is complete, readable by its owner only; cells of
    CSV are safe for spreadsheets.

    \b
    Examples:
      atum-mailer logs export --status failed --since 7d --output failed.csv
      atum-mailer logs export --search http_5 --format=jsonl | jq -r .to
      atum-mailer logs export --search pm_406 --limit 100
    """
    try:
        # The file is looked at first: an hour of work must not end with "exists already".
        with exporting.sink(output, force=force) as write, connected() as connection:
            with _progress(connection, selection) as told:
                number = exporting.export(connection, selection, write, form=form, limit=limit, told=told)
            if output is None:
                sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes once more at its end, into nothing.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(_CLOSED)
    if output is not None:
        click.echo(f"{number:,} mails in {output}", err=True)


@contextmanager
def _progress(connection: Connection, selection: Selection) -> Iterator[Callable[[int, UUID | None], None]]:
    """Show how far back in time it is, which needs no count of the mails."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    found = log_store.bounds(connection, selection)
    oldest, newest = (0, 1) if found is None else (milliseconds_of(found[0]), milliseconds_of(found[1]) + 1)
    columns = (
        TextColumn("exporting"),
        BarColumn(),
        TextColumn("{task.fields[mails]:,} mails"),
        TimeRemainingColumn(),
    )
    console = show.console()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=newest - oldest, mails=0)

        def told(number: int, before: UUID | None) -> None:
            at = oldest if before is None else milliseconds_of(before)
            bar.update(task, completed=newest - at, mails=number)

        yield told
