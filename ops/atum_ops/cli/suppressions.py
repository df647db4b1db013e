"""`suppressions`: whom a stream must not mail."""

from __future__ import annotations

import getpass
import sys
from typing import IO, TYPE_CHECKING, Any, Final

import click

from atum_ops import show, suppressing
from atum_schema import database, settings, suppression_list
from atum_schema.errors import AtumError, MailRejected
from atum_schema.mail_rules import checked_stream
from atum_schema.suppression import REASONS
from atum_schema.suppression_list import Wanted
from atum_schema.suppression_orders import Answer, Known

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_COLUMNS: Final = (
    "stream",
    "address",
    "suppressed",
    "reason",
    "origin",
    "source",
    "changed_at",
    "pending",
    "note",
)
_HISTORY: Final = ("at", "actor", "action", "detail")
_MOST: Final = 10_000_000
_MOST_WORDS: Final = 500

_ADDRESSES = click.argument("addresses", metavar="ADDRESS", nargs=-1)
_FILE = click.option(
    "--file", "file", type=click.File("r"), help="A file with one address per line; - is standard input."
)
_NOTE = click.option("--note", help="Why, for whoever looks next.")
_BY = click.option(
    "--by", default=getpass.getuser, show_default="the user of the system", help="Who orders it."
)
_YES = click.option("--yes", is_flag=True, help="Really do it, where there is more than one address.")


def _checked(ctx: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    del ctx, parameter
    try:
        return None if value is None else checked_stream(value)
    except MailRejected as error:
        raise click.BadParameter(error.reason) from None


def _stream(*, required: bool) -> Callable[..., Any]:
    words = "The message stream." if required else "The message stream; without: every one."
    return click.option("--stream", required=required, callback=_checked, help=words)


@click.group()
def suppressions() -> None:
    """Look at, add and lift suppressions: addresses that a stream must not mail."""


@suppressions.command("list")
@_stream(required=False)
@click.option("--address", help="One address, in any case.")
@click.option("--reason", type=click.Choice(REASONS), help="Why it is not mailed.")
@click.option("--lifted", is_flag=True, help="Show those that were lifted, too.")
@click.option(
    "--limit", type=click.IntRange(1, _MOST), default=100, show_default=True, help="At most so many."
)
@show.LIST_FORMAT
@show.command_errors
def list_some(
    *, stream: str | None, address: str | None, reason: str | None, lifted: bool, limit: int, form: str
) -> None:
    """List suppressions by stream and address.

    \b
    Examples:
      atum-mailer suppressions list --stream broadcast --reason complaint
      atum-mailer suppressions list --limit 1000000 --format=csv > suppressions.csv
    """
    wanted = Wanted(stream=stream, address=address, reason=reason, lifted=lifted)
    with database.connect(settings.load_database_url(), name="cli") as connection:
        found = suppressing.walk(connection, wanted, limit=limit)
        if form == "csv":
            show.csv(_COLUMNS, map(_row, found))
            return
        known = list(found)
    if form == "json":
        show.json([each._asdict() for each in known])
        return
    show.table("Suppressions", [*_COLUMNS], [_row(each) for each in known])
    if len(known) == limit:
        click.echo(f"there may be more than these {limit:,}: ask with --limit", err=True)


@suppressions.command("show")
@click.argument("address", metavar="ADDRESS")
@show.LIST_FORMAT
@show.command_errors
def show_one(*, address: str, form: str) -> None:
    """Show what is known about mailing an address, in every stream. Exit status 1 when nobody ever spoke of it.

    \b
    Example:
      atum-mailer suppressions show jane@example.org
    """
    with database.connect(settings.load_database_url(), name="cli") as connection:
        known = list(suppressing.walk(connection, Wanted(address=address, lifted=True), limit=_MOST))
    if form == "csv":
        show.csv(_COLUMNS, map(_row, known))
    elif form == "json":
        show.json([each._asdict() for each in known])
    elif known:
        show.table(f"Mailing {known[0].address}", [*_COLUMNS], [_row(each) for each in known])
    if not known:
        raise AtumError("nobody ever suppressed that address")


@suppressions.command()
@_ADDRESSES
@_stream(required=True)
@_FILE
@_NOTE
@_BY
@_YES
@show.command_errors
def add(
    *, addresses: Sequence[str], stream: str, file: IO[str] | None, note: str | None, by: str, yes: bool
) -> None:
    """Suppress addresses in a stream. When this returns, no later POST goes to them; the provider is told as well.

    \b
    Examples:
      atum-mailer suppressions add jane@example.org --stream broadcast --note "asked by phone"
      atum-mailer suppressions add --file left.txt --stream broadcast --yes
    """
    wanted = _wanted(addresses, file, note, by)
    if len(wanted) > 1 and not yes:
        click.echo(f"{len(wanted):,} addresses would be suppressed in {stream}; repeat with --yes to do it")
        return
    with database.connect(settings.load_database_url(), name="cli") as connection:
        answers = suppressing.add(connection, stream, wanted, by=by.strip(), note=note)
    added = sum(answer is Answer.SUPPRESSED for answer in answers.values())
    click.echo(f"suppressed in {stream}: {added:,}; the provider will be told")
    if added < len(answers):
        click.echo(f"suppressed for good, by a complaint: {len(answers) - added:,}")


@suppressions.command()
@_ADDRESSES
@_stream(required=True)
@_FILE
@_NOTE
@_BY
@_YES
@show.command_errors
def remove(
    *, addresses: Sequence[str], stream: str, file: IO[str] | None, note: str | None, by: str, yes: bool
) -> None:
    """Ask the provider to lift suppressions. They stand until it has agreed. A complaint is never lifted.

    Exit status 1 when there is one that cannot be lifted; the others are.

    \b
    Examples:
      atum-mailer suppressions remove jane@example.org --stream broadcast --note "asked by mail"
      atum-mailer suppressions remove --file back.txt --stream broadcast --yes
    """
    wanted = _wanted(addresses, file, note, by)
    if len(wanted) > 1 and not yes:
        click.echo(f"{len(wanted):,} addresses would be lifted in {stream}; repeat with --yes to do it")
        return
    with database.connect(settings.load_database_url(), name="cli") as connection:
        answers = suppressing.remove(connection, stream, wanted, by=by.strip(), note=note)
    for address, answer in answers.items():
        if answer is Answer.COMPLAINT:
            click.echo(f"{address} has complained in {stream}: that is never lifted", err=True)
        elif answer is Answer.NOT_SUPPRESSED:
            click.echo(f"{address} is not suppressed in {stream}", err=True)
    lifting = sum(answer is Answer.LIFTING for answer in answers.values())
    click.echo(f"to be lifted in {stream}: {lifting:,}, once the provider has agreed")
    if lifting < len(answers):
        sys.exit(1)


@suppressions.command()
@click.argument("address", metavar="ADDRESS")
@_stream(required=False)
@show.LIST_FORMAT
@show.command_errors
def history(*, address: str, stream: str | None, form: str) -> None:
    """Show what people did about an address, and what came of it, oldest first.

    \b
    Example:
      atum-mailer suppressions history jane@example.org --stream broadcast
    """
    with database.connect(settings.load_database_url(), name="cli") as connection:
        done = suppression_list.history(connection, address, stream=stream)
    if form == "json":
        show.json([each._asdict() for each in done])
        return
    rows = [(each.at, each.actor, each.action, _words(each.detail)) for each in done]
    if form == "csv":
        show.csv(_HISTORY, rows)
    else:
        show.table("History", [*_HISTORY], rows)


def _wanted(addresses: Sequence[str], file: IO[str] | None, note: str | None, by: str) -> list[str]:
    """Read and check what the orders have in common."""
    if bool(addresses) == (file is not None):
        raise click.UsageError("give addresses or --file, and not both")
    for name, words in (("note", note), ("by", by)):
        if words is not None and not (words.strip() and words.isprintable() and len(words) <= _MOST_WORDS):
            raise click.BadParameter(
                f"must be one line of 1 to {_MOST_WORDS} characters", param_hint=f"--{name}"
            )
    return suppressing.addresses(addresses if file is None else file)


def _row(known: Known) -> tuple[Any, ...]:
    return tuple(getattr(known, name) for name in _COLUMNS)


def _words(detail: dict[str, Any]) -> str:
    return ", ".join(f"{name}: {value}" for name, value in detail.items() if name != "address")
