"""`retention`: what is kept how long, and dropping what is older."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from atum_ops import operations, retaining, show
from atum_ops.cli import orders
from atum_ops.retaining_store import LOOKED
from atum_ops.retaining_store import task as find_task
from atum_schema import database, maintenance, settings
from atum_schema.errors import AtumError

if TYPE_CHECKING:
    from atum_ops.retaining import Picture
    from atum_schema.settings import Settings
    from atum_workers.retain import Retained

_KIND = "retention.run"
_CONNECTIONS = 2
_UNITS = ("B", "kB", "MB", "GB", "TB")
_STEP = 1024


@click.group()
def retention() -> None:
    """Look at what is kept how long; drop what is older."""


@retention.command()
@show.FORMAT
@show.command_errors
def status(form: str) -> None:
    """Show the settings against the oldest mails and contents that exist, and what the next run drops.

    Workers run it every hour by themselves. Exit status 1 where something is overdue, a run has failed, or partitions for
    the next months are missing.

    \b
    Examples:
      atum-mailer retention status
      atum-mailer retention status --format=json | jq '.next_run.months'
    """
    base = settings.load_without_keys()
    with database.connect(base.database_url.get_secret_value(), name="cli") as connection:
        picture = retaining.look(connection, base)
    if form == "json":
        show.json(retaining.document(picture))
    else:
        _tables(picture)
    if picture.attention():
        sys.exit(1)


@retention.command()
@orders.YES
@orders.BY
@orders.NOTE
@show.FORMAT
@show.command_errors
def run(*, yes: bool, by: str, note: str | None, form: str) -> None:
    """Drop what is older than it is kept, at once instead of at a worker's next look.

    Months go whole. Mails of theirs that are not over (waiting, unknown, held, dead) are put aside first and stay, with
    their content. A month that somebody reads for long is left for later: exit status 1.

    \b
    Examples:
      atum-mailer retention run
      atum-mailer retention run --yes --note "disk at 80 %"
    """
    base = settings.load_without_keys()
    if yes:
        retained = _run(base, by=by, note=note)
        if form == "json":
            show.json(retained)
        else:
            _say(retained)
        if retained.busy:
            sys.exit(1)
        return
    with database.connect(base.database_url.get_secret_value(), name="cli") as connection:
        picture = retaining.look(connection, base)
    if form == "json":
        show.json(retaining.document(picture)["next_run"])
    else:
        _next_run(picture)
        click.echo("nothing was done; repeat with --yes to do it")


def _run(base: Settings, *, by: str, note: str | None) -> Retained:
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from atum_workers.maintain import Lease
    from atum_workers.retain import Retaining

    actor = f"operator:{by}"
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}: {task.fields[mails]:,} mails, {task.fields[contents]:,} contents"),
        TimeElapsedColumn(),
    )
    url = base.database_url.get_secret_value()
    with (
        database.pool(url, name="cli", size=_CONNECTIONS) as pool,
        database.connect(url, name="cli") as connection,
        Progress(*columns, console=show.console(), transient=True) as bar,
    ):
        row = bar.add_task("retention", total=None, mails=0, contents=0)

        def told(what: str, so_far: Retained) -> None:
            bar.update(row, description=what, mails=so_far.dropped + so_far.deleted, contents=so_far.contents)

        begun = maintenance.begin(connection, find_task(connection).id)
        if begun is None:
            raise AtumError("a worker is at it; look again in a minute: atum-mailer retention status")
        lease = Lease(pool=pool, token=begun.token, progress=begun.progress, stopping=lambda: False)
        failure: str | None = None
        try:
            order = operations.begin(connection, _KIND, actor=actor, reason=note, selection={})
            work = Retaining(pool=pool, settings=base, actor=actor, careful=True, told=told)
            retained = work.run(lease, everything=True)
            operations.end(connection, order.id, actor=actor, counts=_counts(retained))
        except BaseException as error:
            failure = type(error).__name__
            raise
        finally:
            maintenance.end(connection, begun.token, due_s=0.0 if failure else 3600.0, failure=failure)
    return retained


def _counts(retained: Retained) -> dict[str, int]:
    return {
        name: len(value) if isinstance(value, list) else value for name, value in asdict(retained).items()
    }


def _say(retained: Retained) -> None:
    for month in retained.months:
        click.echo(f"{month} is dropped")
    click.echo(
        f"{retained.dropped:,} mails went with their months, {retained.aside:,} were put aside;"
        f" {retained.deleted:,} mails and {retained.contents:,} contents were deleted one by one"
    )
    for month in retained.busy:
        click.echo(
            f"{month} is in use (a long query, a dump, a vacuum) and is dropped later; or repeat this",
            err=True,
        )
    for month in retained.thick:
        click.echo(f"{month} stays: too many of its mails are not over to be put aside")


def _tables(picture: Picture) -> None:
    kept = (
        "none after acceptance" if picture.privacy == "metadata" else f"{picture.content_retention_days} days"
    )
    rows = [
        ("mails", f"{picture.retention_days} days, by month", _day(picture.oldest_mail)),
        ("content of sent mails", kept, _day(picture.oldest_content)),
    ]
    show.table("Retention", ["what", "kept", "oldest"], rows)
    _next_run(picture)
    ended = picture.run.ended_at
    click.echo(f"last run: {ended:%Y-%m-%d %H:%M:%S} UTC" if ended else "last run: never")
    for sentence in picture.attention():
        click.echo(f"attention: {sentence}")


def _next_run(picture: Picture) -> None:
    if picture.months:
        rows = [
            (
                str(due.month),
                "–" if due.size.mails < 0 else f"{due.size.mails:,}",
                _bytes(due.size.bytes),
                retaining.why(due.staying),
                "stays, thinned" if due.thick else "dropped",
            )
            for due in picture.months
        ]
        show.table("Next run", ["month", "mails, about", "size", "put aside", "then"], rows)
    click.echo(
        f"next run: {len(picture.months)} months,"
        f" {_number(picture.aside.number, picture.aside.looked)} mails that were put aside,"
        f" {_number(picture.content.number, picture.content.looked)} contents"
    )


def _number(number: int, looked: int) -> str:
    return f"at least {number:,}" if looked == LOOKED else f"{number:,}"


def _day(moment: object) -> str | None:
    return None if moment is None else f"{moment:%Y-%m-%d}"


def _bytes(number: float) -> str:
    for unit in _UNITS[:-1]:
        if number < _STEP:
            return f"{number:.0f} {unit}"
        number /= _STEP
    return f"{number:.1f} {_UNITS[-1]}"
