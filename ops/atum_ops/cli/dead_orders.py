"""`dead replay` and `dead discard`: what would become of each mail, and then doing it."""

from __future__ import annotations

import sys
from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import click

from atum_ops import dead_orders as orders
from atum_ops import operations, show
from atum_ops.cli.filters import selecting
from atum_ops.cli.orders import BY, NOTE, YES
from atum_ops.dead import Letters
from atum_ops.dead_orders import Kind, Progress
from atum_schema import database, settings
from atum_schema.replaying_store import GOES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from uuid import UUID

    from atum_ops.operations import Operation
    from atum_ops.selection import Selection
    from atum_schema.database import Connection
    from atum_schema.replaying_store import Outcome

_COLUMNS: Final = ("mail_id", "cycle", "verdict", "detail")
_SHOWN: Final = 20
_MOST: Final = 10_000_000
_MOST_RATE: Final = 100_000
_MOST_CODE: Final = 2**31 - 1


def _ordering(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add what replaying and discarding have in common."""
    options = (
        click.argument("ids", metavar="ID", type=click.UUID, nargs=-1),
        selecting(status=False),
        click.option(
            "--code", type=click.IntRange(0, _MOST_CODE), help="With this ErrorCode of the provider."
        ),
        click.option("--all", "every", is_flag=True, help="Every dead letter there is."),
        click.option(
            "--limit",
            type=click.IntRange(1, _MOST),
            help="Do it with so many at most, those that have been dead for longest first.",
        ),
        click.option(
            "--resume",
            "resumed",
            metavar="OPERATION",
            type=click.UUID,
            help="Take up an order that was stopped.",
        ),
        NOTE,
        BY,
        YES,
        show.LIST_FORMAT,
        show.command_errors,
    )
    for option in reversed(options):
        function = option(function)
    return function


@click.command()
@_ordering
@click.option(
    "--rate", type=click.IntRange(1, _MOST_RATE), help="Mails per second, at most; without: all at once."
)
def replay(*, rate: int | None, **given: Any) -> None:
    """Send dead mails again, as their next cycle. Without --yes, only say what would become of each.

    Give the ids of mails, or filters, or --all. A mail that is proven to be delivered, whose recipients are suppressed by
    now, whose time is over or whose content is gone is not sent. Mails that died before the order began are looked at
    once each, oldest first. By its id a mail may also be replayed that is canceled, suppressed or expired, as long as
    its content is there.

    \b
    Exit status 1 when something could not be, or was not replayed.

    \b
    Examples:
      atum-mailer dead replay --reason rejected --since 2h
      atum-mailer dead replay --reason rejected --since 2h --rate 200 --yes --note "stream was archived"
      atum-mailer dead replay --resume 01990c36-5f6e-7c1d-9f6e-2a0b6d3c9e11
    """
    _order(Kind.REPLAY, rate, **given)


@click.command()
@_ordering
def discard(**given: Any) -> None:
    """Give dead mails up for good: they are canceled and their content is dropped. Without --yes, only say which.

    \b
    Examples:
      atum-mailer dead discard --domain example.invalid
      atum-mailer dead discard --until 30d --yes --note "too old to be of use"
    """
    _order(Kind.DISCARD, None, **given)


def _order(
    kind: Kind,
    rate: int | None,
    *,
    ids: Sequence[UUID],
    selection: Selection,
    code: int | None,
    every: bool,
    limit: int | None,
    resumed: UUID | None,
    note: str | None,
    by: str,
    yes: bool,
    form: str,
) -> None:
    letters = Letters(selection=selection, code=code, limit=limit)
    _check(letters, ids, every=every, resumed=resumed)
    url = settings.load_database_url()
    with database.connect(url, name="cli") as connection:
        if ids:
            letters = orders.of_mails(connection, ids, limit=limit)
        if resumed is not None:
            operation = operations.find(connection, resumed, kind.value)
        elif yes:
            operation = orders.begin(connection, kind, letters, actor=f"operator:{by}", note=note)
        else:
            with database.pool(url, name="cli", size=orders.CONNECTIONS) as pool:
                _say(kind, orders.would_become(pool, kind, letters), form)
            return
        _carry_out(connection, operation, f"operator:{by}", rate, form)


def _check(letters: Letters, ids: Sequence[UUID], *, every: bool, resumed: UUID | None) -> None:
    means = [bool(ids), not letters.is_every, every, resumed is not None]
    if sum(means) > 1:
        raise click.UsageError("give ids, filters, --all or --resume, and only one of these")
    if not any(means):
        raise click.UsageError("give ids or filters, or --all for every dead letter there is")
    if resumed is not None and letters.limit is not None:
        raise click.UsageError("--resume goes on with the --limit that the order began with")


def _say(kind: Kind, outcomes: Iterator[Outcome], form: str) -> None:
    """Say what would become of each mail: all of them to machines, the first ones to people."""
    counts: Counter[str] = Counter()
    refused = 0

    def counted() -> Iterator[Outcome]:
        nonlocal refused
        for outcome in outcomes:
            counts[outcome.judged.verdict.value] += 1
            refused += outcome.judged.verdict not in GOES
            yield outcome

    if form == "csv":
        show.csv(_COLUMNS, map(_row, counted()))
    elif form == "json":
        mails = [dict(zip(_COLUMNS, _row(outcome), strict=True)) for outcome in counted()]
        show.json({"verdicts": dict(counts), "mails": mails})
    else:
        _tables(kind, counted(), counts)
    if refused:
        sys.exit(1)


def _tables(kind: Kind, outcomes: Iterator[Outcome], counts: Counter[str]) -> None:
    first = [_row(outcome) for outcome in islice(outcomes, _SHOWN)]
    for _ in outcomes:
        pass
    if not counts:
        click.echo("no dead letter matches")
        return
    show.table("Verdicts", ["verdict", "mails"], sorted(counts.items()))
    show.table(f"The first {len(first)}" if len(first) < counts.total() else "Each", [*_COLUMNS], first)
    verb = "replay" if kind is Kind.REPLAY else "discard"
    going = sum(counts[verdict.value] for verdict in GOES)
    click.echo(f"{going:,} of {counts.total():,} would be {kind.done}; repeat with --yes to {verb} them")


def _row(outcome: Outcome) -> tuple[Any, ...]:
    return outcome.mail_id, outcome.cycle, outcome.judged.verdict.value, outcome.judged.detail or None


def _carry_out(connection: Connection, operation: Operation, actor: str, rate: int | None, form: str) -> None:
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    kind = Kind(operation.kind)
    command = "replay" if kind is Kind.REPLAY else "discard"
    click.echo(
        f"operation {operation.id}; if it is stopped: atum-mailer dead {command} --resume {operation.id}",
        err=True,
    )
    progress = Progress(looked=0, counts=operation.counts)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=show.console(), transient=True) as bar:
        task = bar.add_task("letters", total=orders.total(connection, operation))
        for progress in orders.carry_out(connection, operation, actor=actor, rate=rate):
            bar.update(task, completed=progress.looked)
    _tell(kind, operation, progress, form)


def _tell(kind: Kind, operation: Operation, progress: Progress, form: str) -> None:
    refused = progress.refused(kind)
    counts = {kind.done: 0, **progress.counts}
    if form == "json":
        show.json({"operation": operation.id, "counts": counts})
    elif form == "csv":
        show.csv(("what", "mails"), sorted(counts.items()))
    else:
        show.table("Done", ["what", "mails"], _first(kind.done, counts.items()))
    if refused:
        click.echo(f"{refused:,} were not {kind.done}", err=True)
        sys.exit(1)


def _first(word: str, counts: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    return sorted(counts, key=lambda each: (each[0] != word, each[0]))
