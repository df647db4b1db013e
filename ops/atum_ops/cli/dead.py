"""`dead`: mails that could not be sent: look at them, replay them, give them up."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

import click

from atum_ops import dead as letters_of
from atum_ops import dead_store, show
from atum_ops.cli.dead_orders import discard, replay
from atum_ops.cli.filters import selecting
from atum_schema import database, replaying_store, settings
from atum_schema.errors import AtumError
from atum_schema.replaying_store import Wanted

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from atum_ops.dead_store import Letter
    from atum_ops.selection import Selection
    from atum_schema.replaying_store import Outcome

_COLUMNS: Final = (
    "mail_id",
    "cycle",
    "dead_at",
    "lane",
    "stream",
    "reason",
    "code",
    "attempts",
    "tag",
    "in_queue",
)
_MOST: Final = 10_000_000
_MOST_CODE: Final = 2**31 - 1


@click.group()
def dead() -> None:
    """Dead letters: look at them, replay them, give them up. docs/dead-letters.md tells how they come about."""


dead.add_command(replay)
dead.add_command(discard)


@dead.command("list")
@selecting(status=False)
@click.option("--code", type=click.IntRange(0, _MOST_CODE), help="With this ErrorCode of the provider.")
@click.option(
    "--limit", type=click.IntRange(1, _MOST), default=100, show_default=True, help="At most so many."
)
@show.LIST_FORMAT
@show.command_errors
def list_some(*, selection: Selection, code: int | None, limit: int, form: str) -> None:
    """List dead letters, newest first. --since and --until mean when they died.

    \b
    Examples:
      atum-mailer dead list --reason inactive_recipient --since 2h
      atum-mailer dead list --domain example.org --limit 1000000 --format=csv > dead.csv
    """
    wanted = letters_of.Letters(selection=selection, code=code, limit=limit)
    with database.connect(settings.load_database_url(), name="cli") as connection:
        found = letters_of.newest(connection, wanted)
        if form != "table":
            show.listing(form, "Dead letters", _COLUMNS, map(_row, found))
            return
        known = list(found)
    _table(known)
    if len(known) == limit:
        click.echo(f"there may be more than these {limit:,}: ask with --limit", err=True)


@dead.command("show")
@click.argument("mail_id", metavar="ID", type=click.UUID)
@show.FORMAT
@show.command_errors
def show_one(*, mail_id: UUID, form: str) -> None:
    """Show a dead letter, and what a replay would come to. Exit status 1 when there is no such mail.

    \b
    Example:
      atum-mailer dead show 01990c36-5f6e-7c1d-9f6e-2a0b6d3c9e11
    """
    with database.connect(settings.load_database_url(), name="cli") as connection:
        letter = dead_store.letter(connection, mail_id)
        (outcome,) = replaying_store.judged(connection, [Wanted(mail_id, None, letter=False)])
    if outcome.cycle is None:
        raise AtumError(f"there is no mail {mail_id}")
    if form == "json":
        show.json(_document(letter, outcome))
        return
    if letter is None:
        click.echo(f"mail {mail_id} has no dead letter: it is {outcome.status}, in cycle {outcome.cycle}")
    else:
        _table([letter])
    detail = f": {outcome.judged.detail}" if outcome.judged.detail else ""
    click.echo(f"a replay: {outcome.judged.verdict.value.replace('_', ' ')}{detail}")
    click.echo(f"its story: atum-mailer mail show {mail_id}")


@dead.command()
@show.FORMAT
@show.command_errors
def sweep(*, form: str) -> None:
    """Make the queue mail.dead hold what the database holds, now.

    Workers do the same every hour, and after each replay: messages of mails that were replayed or discarded and repeated
    ones go, and what a wiped queue has lost is published again by the relay. Nothing in the database depends on it.

    \b
    Example:
      atum-mailer dead sweep
    """
    from atum_ops.dead_sweep import sweep_now
    from atum_schema.settings import load

    swept = sweep_now(load())
    if form == "json":
        show.json(swept)
        return
    click.echo(
        f"mail.dead: {swept.kept:,} kept, {swept.removed:,} removed, {swept.missing:,} to be published again"
    )
    if swept.unreadable:
        click.echo(f"{swept.unreadable:,} messages were none of ours; they were removed", err=True)
        sys.exit(1)


def _row(letter: Letter) -> tuple[Any, ...]:
    return tuple(getattr(letter, name) for name in _COLUMNS)


def _document(letter: Letter | None, outcome: Outcome) -> dict[str, Any]:
    known = None if letter is None else dict(zip(_COLUMNS, _row(letter), strict=True))
    return {
        "mail_id": outcome.mail_id,
        "status": outcome.status,
        "cycle": outcome.cycle,
        "letter": known,
        "replay": {"verdict": outcome.judged.verdict.value, "detail": outcome.judged.detail},
    }


def _table(letters: Iterable[Letter]) -> None:
    """Show letters in two lines each: ids are long, and have to be copied whole."""
    rows = [
        (
            f"{one.mail_id}\n{one.tag or '–'}",
            f"{one.dead_at:%Y-%m-%d %H:%M:%S}\ncycle {one.cycle}, attempts {one.attempts}",
            f"{one.lane}\n{one.stream}",
            f"{one.reason}\n{'–' if one.code is None else f'code {one.code}'}",
            "yes" if one.in_queue else "no",
        )
        for one in letters
    ]
    columns = ["mail, tag", "dead since (UTC)", "lane, stream", "reason, code", "queued"]
    show.table("Dead letters", columns, rows, whole={"mail, tag", "reason, code"})
