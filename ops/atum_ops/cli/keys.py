"""`keys`: content keys."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Final

import click

from atum_ops import show
from atum_ops.cli import orders
from atum_schema import database
from atum_schema import settings as settings_module
from atum_schema.encryption import new_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from atum_ops.key_use import Status, Use
    from atum_ops.operations import Operation
    from atum_schema.database import Connection

_COLUMNS: Final = ("key", "in keyring", "content", "events", "last walk", "unreadable", "may be removed")
_PATIENCE_S: Final = 20.0
_CONNECTIONS: Final = 2


@click.group()
def keys() -> None:
    """Content keys, under which mail is encrypted at rest."""


@keys.command()
@click.argument("key_id", default="k1")
def new(key_id: str) -> None:
    """Make a key for ATUM_CONTENT_KEYS. Put a new one first to rotate; keep the old ones behind it.

    \b
    Example:
      atum-mailer keys new 2026-11 > /run/secrets/content-keys
    """
    click.echo(new_key(key_id))


@keys.command()
@click.option(
    "--all", "everything", is_flag=True, help="Look at all rows, not only at the oldest and newest."
)
@show.LIST_FORMAT
@show.command_errors
def status(*, everything: bool, form: str) -> None:
    """Show which keys there are, which are in use, and which may be removed from ATUM_CONTENT_KEYS.

    Exit status 1 when something is stored under a key that is not in ATUM_CONTENT_KEYS, or cannot be read with the one
    that is.

    \b
    Examples:
      atum-mailer keys status
      atum-mailer keys status --all --format=json
    """
    from atum_ops import key_use

    configured = settings_module.load()
    with database.connect(configured.database_url.get_secret_value(), name="cli") as connection:
        use = _count(connection) if everything else key_use.look(connection)
        found = key_use.status(configured.keyring(), use, key_use.progress(connection))
    if form == "json":
        show.json(key_use.document(found))
    elif form == "csv":
        show.csv(_COLUMNS, found.keys)
    else:
        show.table("Content keys", _COLUMNS, found.keys)
        click.echo(_words(found))
    problems = _problems(found)
    for problem in problems:
        click.echo(f"atum-mailer: {problem}", err=True)
    if problems:
        sys.exit(1)


@keys.command()
@click.option("--here", is_flag=True, help="Do it in this process; no worker is needed.")
@orders.NOTE
@orders.BY
@orders.YES
@show.FORMAT
@show.command_errors
def rotate(*, here: bool, note: str | None, by: str, yes: bool, form: str) -> None:
    """Encrypt anew, under the first key of ATUM_CONTENT_KEYS, all that is stored under another, and follow it.

    Workers that have that key first do it in the background, at their pace, while mail is delivered; Ctrl-C ends only the
    looking on. They also begin by themselves after a restart with a new first key. Exit status 1 when something could
    not be read: it stays as it is.

    \b
    Examples:
      atum-mailer keys rotate
      atum-mailer keys rotate --yes --note "k1 has left the building"
      atum-mailer keys rotate --here --yes --format=json
    """
    from atum_ops import key_rotation, key_use

    configured = settings_module.load()
    keyring = configured.keyring()
    url = configured.database_url.get_secret_value()
    database.reach(url, name="cli")
    with database.pool(url, name="cli", size=_CONNECTIONS) as pool:
        with pool.connection() as connection:
            if not yes:
                _would(key_use.look(connection), keyring.active, form=form)
                return
            order = key_rotation.order(connection, keyring.active, actor=f"operator:{by}", reason=note)
        if here:
            done = _followed(key_rotation.do_here(pool, keyring, order.id), patience_s=None)
        else:
            with pool.connection() as connection:
                done = _followed(key_rotation.follow(connection, order.id), patience_s=_PATIENCE_S)
    if form == "json":
        show.json({"operation": str(done.id), "active": keyring.active, **done.counts})
    else:
        click.echo(
            f"everything that can be read is under key {keyring.active}:"
            f" {done.counts.get('reencrypted', 0):,} encrypted anew, {done.counts.get('looked_at', 0):,} looked at"
        )
    if done.counts.get("late"):
        click.echo(
            f"{done.counts['late']:,} came under another key meanwhile: restart the parts and applications that still"
            " have another key first, and repeat it",
            err=True,
        )
    if done.counts.get("unreadable"):
        click.echo(
            f"atum-mailer: {done.counts['unreadable']:,} cannot be read and stay as they are;"
            " see: atum-mailer keys status",
            err=True,
        )
        sys.exit(1)


def _would(use: Use, active: str, *, form: str) -> None:
    others = sum(number for counts in use.counts.values() for key, number in counts.items() if key != active)
    if form == "json":
        show.json(
            {"active": active, "under_others": others, "looked_at": use.total, "complete": use.complete}
        )
        return
    least = "" if use.complete else "at least "
    click.echo(
        f"{least}{others:,} mails and events are under another key than {active};"
        " repeat with --yes to encrypt them anew"
    )


def _count(connection: Connection) -> Use:
    from rich.progress import Progress, SpinnerColumn, TextColumn

    from atum_ops import key_use

    use = key_use.Use({}, complete=False)
    columns = (SpinnerColumn(), TextColumn("{task.completed:,} looked at"))
    with Progress(*columns, console=show.console(), transient=True) as bar:
        task = bar.add_task("", total=None)
        for use in key_use.count(connection):
            bar.update(task, completed=use.total)
    return use


def _followed(steps: Iterator[Operation], *, patience_s: float | None) -> Operation:
    """Show how far an order is until it has ended; say so when nobody takes it up."""
    from rich.progress import Progress, SpinnerColumn, TextColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.completed:,} looked at, {task.fields[changed]:,} encrypted anew"),
    )
    began = time.monotonic()
    now: Operation | None = None
    with Progress(*columns, console=show.console(), transient=True) as bar:
        task = bar.add_task("", total=None, changed=0)
        for now in steps:
            bar.update(
                task,
                completed=now.counts.get("looked_at", 0),
                changed=now.counts.get("reencrypted", 0),
            )
            if patience_s is not None and not now.counts and time.monotonic() - began > patience_s:
                patience_s = None
                bar.console.print(
                    "no worker has begun: restart the workers with the new ATUM_CONTENT_KEYS, or use --here"
                )
    if now is None:
        raise AssertionError("an order has a state")
    return now


def _words(found: Status) -> str:
    looked = (
        f"all {found.looked_at:,} rows were looked at"
        if found.complete
        else f"{found.looked_at:,} rows were looked at, the oldest and the newest; --all looks at all"
    )
    walk, last = found.progress.walk, found.progress.ended
    if walk is not None:
        return (
            f"{looked}; a walk to key {walk.active} is under way:"
            f" {walk.counts['looked_at']:,} looked at in pass {walk.passes}, {walk.changed:,} encrypted anew"
        )
    if last is None:
        return f"{looked}; no walk has ended yet"
    return f"{looked}; the last walk, to key {last.active}, ended at {last.ended_at:%Y-%m-%d %H:%M:%S} UTC"


def _problems(found: Status) -> list[str]:
    missing = [
        f"key {one.key} is not in ATUM_CONTENT_KEYS, and"
        f" {max(one.content + one.events, one.unreadable or 0):,} mails and events are under it: put it back behind the first"
        for one in found.missing
    ]
    return missing + [
        f"{one.unreadable:,} mails and events under key {one.key} cannot be read: altered, or the key is another one"
        for one in found.broken
    ]
