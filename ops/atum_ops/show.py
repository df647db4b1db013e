"""How commands show things: a table for people, JSON for machines."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import click
import orjson
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from atum_ops import csv_cells
from atum_schema.fallback import SMTP

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

FORMAT = click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="A table for people, JSON for machines.",
)
LIST_FORMAT = click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json", "csv"]),
    default="table",
    show_default=True,
    help="A table for people, JSON for machines, CSV for spreadsheets.",
)


def console() -> Console:
    """Make a console for people, on stderr so that stdout stays machine-readable."""
    return Console(stderr=True, highlight=False)


def json(value: Any) -> None:
    """Print one JSON value on one line of stdout."""
    click.echo(orjson.dumps(value, default=_plain).decode())


def csv(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print a table as CSV on stdout, row by row as they come."""
    for line in csv_cells.lines(columns, rows):
        click.echo(line)


def listing(
    form: str,
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    whole: Collection[str] = (),
) -> None:
    """Print a list in the form of `LIST_FORMAT`: JSON is one line, a list of objects by the names of the columns."""
    if form == "csv":
        csv(columns, rows)
    elif form == "json":
        json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        table(title, columns, list(rows), whole=whole)


def table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], *, whole: Collection[str] = ()
) -> None:
    """Print a table on stdout; numbers to the right. The columns in `whole` are never broken: they are copied."""
    made = Table(title=title, title_justify="left", title_style="bold", header_style="bold")
    for place, name in enumerate(columns):
        numeric = bool(rows) and all(isinstance(row[place], int | float) for row in rows)
        made.add_column(name, justify="right" if numeric else "left", overflow="fold", no_wrap=name in whole)
    for row in rows:
        made.add_row(*[_cell(value) for value in row])
    Console(highlight=False).print(made)


def timeline(events: Sequence[Mapping[str, Any]]) -> None:
    """Print the story of a mail, from the events that `reading.mail` gives."""
    rows = [
        (
            event["at"].strftime("%Y-%m-%d %H:%M:%S.%f")[:-3],
            event["cause"],
            f"{event['from_status'] or '–'} → {event['to_status']}",
            _posting(event),
            event["detail"],
        )
        for event in events
    ]
    table("Timeline", ["when (UTC)", "cause", "status", "POST", "detail"], rows)


def recipients(known: Sequence[Mapping[str, Any]]) -> None:
    """Print what is known of each recipient of a mail, if anything is."""
    rows = [
        (
            one["address"] or "(nobody named)",
            one["state"],
            (fact["told_at"] or fact["noted_at"]).strftime("%Y-%m-%d %H:%M:%S"),
            fact["kind"],
            fact["detail"],
        )
        for one in known
        for fact in one["facts"]
    ]
    if rows:
        table("Recipients", ["recipient", "state", "when (UTC)", "fact", "in the provider's words"], rows)


def _posting(event: Mapping[str, Any]) -> str | None:
    if event["outcome"] is None:
        return None
    if event["account"] == SMTP:
        return f"SMTP: {event['outcome']}"
    answer = f"HTTP {event['http_status']}" if event["http_status"] is not None else "no answer"
    return f"{answer}, code {event['code']}" if event["code"] else answer


def age(seconds: float) -> str:
    """Say a duration in words that fit a column."""
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else escape(str(value))


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    return str(value)


def _reason(error: Exception) -> str:
    """Say in one line what the driver says in several: the last line is often only its advice."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return next(
        (line for line in lines if "failed:" in line or "FATAL" in line),
        lines[0] if lines else type(error).__name__,
    )


def command_errors(function: Callable[..., Any]) -> Callable[..., Any]:
    """Turn a database that is away into one line."""
    import functools

    import psycopg

    from atum_schema.errors import AtumError, Unreachable

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except psycopg.errors.UndefinedTable:
            raise AtumError("the database has no schema yet; run: atum-mailer migrate") from None
        except psycopg.OperationalError as error:
            raise Unreachable(f"cannot use the database: {_reason(error)}") from None

    return wrapped
