"""`mail recall`: stop everything that has not gone yet."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from atum_ops import operations, show
from atum_ops.cli import orders
from atum_ops.cli.connecting import connected
from atum_ops.cli.filters import selecting
from atum_ops.mails import recalling

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from uuid import UUID

    from atum_ops.operations import Operation
    from atum_ops.selection import Selection
    from atum_schema.database import Connection


@click.command()
@selecting(status=False)
@click.option("--resume", type=click.UUID, help="Take up this operation again, with its own filters.")
@orders.BY
@orders.NOTE
@orders.YES
@show.FORMAT
@show.command_errors
def recall(
    selection: Selection, *, resume: UUID | None, by: str, note: str | None, yes: bool, form: str
) -> None:
    """Stop all mails that match and have not gone yet: waiting, scheduled, held, in batches that are not posted.

    At least one of --tag, --client, --lane, --since and --until is needed. When this returns, no POST of a stopped mail
    follows. Exit status 1 when something could not be stopped: it was being posted, or nobody knows.

    \b
    Examples:
      atum-mailer mail recall --tag newsletter-47
      atum-mailer mail recall --tag newsletter-47 --since 2h --yes --note "wrong prices"
      atum-mailer mail recall --resume 01932c5e-7d1a-7000-8000-5f3c1b2a4d6e --yes
    """
    if resume is not None and not (selection.is_empty and yes):
        raise click.UsageError("--resume takes --yes, and no filters: the operation has its own")
    if resume is None:
        recalling.check(selection)
    with connected() as connection:
        if not yes:
            _forecast(connection, selection, form)
            return
        operation = (
            recalling.begin(connection, selection, by=by, note=note)
            if resume is None
            else operations.find(connection, resume, recalling.KIND)
        )
        counts = _carry_on(connection, operation, by)
    _print(operation, counts, form)
    if counts.get("posting") or counts.get("unknown"):
        sys.exit(1)


def _carry_on(connection: Connection, operation: Operation, by: str) -> dict[str, int]:
    again = f"atum-mailer mail recall --resume {operation.id} --yes"
    try:
        with _progress("recalling") as told:
            return recalling.carry_on(
                connection, operation, by=by, told=lambda counts: told(counts.get("canceled", 0))
            )
    except BaseException:
        click.echo(f"not finished; to take it up again: {again}", err=True)
        raise


def _forecast(connection: Connection, selection: Selection, form: str) -> None:
    with _progress("counting") as told:
        found = recalling.forecast(connection, selection, told)
    if form == "json":
        show.json(
            {"stopped": found.stopped, "posting": found.posting, "unknown": found.unknown, "gone": found.gone}
        )
        return
    rows = [(f"would be stopped: {status}", number) for status, number in sorted(found.stopped.items())]
    rows += [("cannot be: being posted", found.posting), ("cannot be: unknown", found.unknown)]
    rows += [(f"gone already: {status}", number) for status, number in sorted(found.gone.items())]
    show.table("Recall", ["", "mails"], rows)
    click.echo(f"{found.stopped.total():,} mails would be stopped; repeat with --yes to do it", err=True)


def _print(operation: Operation, counts: Mapping[str, int], form: str) -> None:
    if form == "json":
        show.json({"operation": operation.id, "counts": counts})
        return
    click.echo(f"stopped: {counts.get('canceled', 0):,}")
    for name, words in (
        ("posting", "being posted, so not stopped"),
        ("unknown", "posted without a clear answer, so not stopped"),
        ("gone", "gone meanwhile"),
    ):
        if counts.get(name):
            click.echo(f"{words}: {counts[name]:,}", err=name != "gone")


@contextmanager
def _progress(what: str) -> Iterator[Callable[[int], None]]:
    """Count mails in a line on stderr."""
    from rich.progress import Progress, SpinnerColumn, TextColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}: {task.completed:,} mails"))
    console = show.console()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=None)
        yield lambda number: bar.update(task, completed=number)
