"""`settings`: what is set, and what operators change while the system runs."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import click

from atum_ops import setting_rows, show
from atum_ops.cli import orders
from atum_schema import database, live
from atum_schema import settings as settings_module
from atum_schema.settings_fields import known, name_of, variable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from atum_ops.setting_rows import SettingRow
    from atum_schema.live import Change, Planned
    from atum_schema.settings import Settings

_COLUMNS = ("name", "value", "from", "range", "live", "version")
_DIFFERENCES = ("name", "now", "from", "then", "from then")
_HISTORY = ("version", "at", "by", "name", "before", "after", "note")
_MOST = 100_000


@click.group()
def settings() -> None:
    """Look at settings, and change those that can change while the system runs."""


@settings.command("show")
@click.argument("names", metavar="NAME", nargs=-1)
@click.option("--live", "only_live", is_flag=True, help="Only those that can be set while it runs.")
@show.LIST_FORMAT
@show.command_errors
def show_some(*, names: Sequence[str], only_live: bool, form: str) -> None:
    """Show settings: the value, whether it comes from the database, the environment or the default, and its range.

    The environment is the one of this command. Of secrets only is said whether they are set. Exit status 1 when
    something is stored that is not valid, and therefore not used.

    \b
    Examples:
      atum-mailer settings show
      atum-mailer settings show window ATUM_RATES
      atum-mailer settings show --live --format=json
    """
    wanted = known(names)
    base = settings_module.load_without_keys()
    with database.connect(base.database_url.get_secret_value(), name="cli") as connection:
        stored = live.read(connection)
        versions = live.versions(connection)
    found = [
        row
        for row in _rows(base, stored.values, versions)
        if (not wanted or row.name in wanted) and (row.live or not only_live)
    ]
    if form == "json":
        show.json({"version": stored.version, "settings": [_document(row) for row in found]})
    elif form == "csv":
        show.csv(_COLUMNS, map(setting_rows.cells, found))
    else:
        show.table(
            f"Settings, version {stored.version}", _COLUMNS, [*map(setting_rows.cells, found)], whole={"name"}
        )
    problems = [row for row in found if row.problem is not None]
    for row in problems:
        click.echo(f"what is stored of {variable(row.name)} is not used: {row.problem}", err=True)
    if problems:
        sys.exit(1)


@settings.command("set")
@click.argument("changes", metavar="NAME=VALUE", nargs=-1)
@click.option("--unset", metavar="NAME", multiple=True, help="Go by the environment again; may be repeated.")
@click.option(
    "--expect-version",
    type=click.IntRange(0),
    help="Only if this is still the version, as 'settings show' has said.",
)
@orders.NOTE
@orders.BY
@orders.YES
@show.FORMAT
@show.command_errors
def set_some(
    *,
    changes: Sequence[str],
    unset: Sequence[str],
    expect_version: int | None,
    note: str | None,
    by: str,
    yes: bool,
    form: str,
) -> None:
    """Change settings while the system runs. Several at once are one version: all or nothing; all others stay.

    Relays and workers go by it within seconds. What is out of its range is refused, and so are secrets and what belongs
    to the environment of a part.

    \b
    Examples:
      atum-mailer settings set window=64 rates=broadcast=50
      atum-mailer settings set window=64 rates=broadcast=50 --yes --note "newsletter day"
      atum-mailer settings set --unset rates --expect-version 7 --yes
    """
    wanted = _wanted(changes, unset)
    base = settings_module.load_without_keys()
    with database.connect(base.database_url.get_secret_value(), name="cli") as connection:
        before = live.read(connection)
        if yes:
            with connection.transaction():
                plan = live.change(
                    connection,
                    base,
                    wanted,
                    actor=f"operator:{by}",
                    reason=note,
                    expected=expect_version,
                )
        else:
            plan = live.planned(base, before, wanted, expected=expect_version)
    _say(base, plan, done=yes, form=form)


@settings.command()
@click.option("--name", help="Only changes of this setting.")
@click.option(
    "--limit", type=click.IntRange(1, _MOST), default=50, show_default=True, help="At most so many versions."
)
@show.LIST_FORMAT
@show.command_errors
def history(*, name: str | None, limit: int, form: str) -> None:
    """Show who changed which settings, and why, newest first.

    \b
    Examples:
      atum-mailer settings history
      atum-mailer settings history --name rates --format=json
    """
    wanted = None if name is None else known([name])[0]
    with database.connect(settings_module.load_database_url(), name="cli") as connection:
        found = live.history(connection, name=wanted, limit=limit)
    if form == "json":
        show.json([_change(each) for each in found])
        return
    cells = [
        (str(each.version), each.at, each.actor, setting, was, now, each.reason)
        for each in found
        for setting, (was, now) in each.changes.items()
        if wanted in {None, setting}
    ]
    if form == "csv":
        show.csv(_HISTORY, cells)
    else:
        rows = [(row[0], f"{row[1]:%Y-%m-%d %H:%M:%S}", *row[2:]) for row in cells]
        show.table("Changes of settings", _HISTORY, rows)
    if len(found) == limit:
        click.echo(f"there may be more than these {limit:,}: ask with --limit", err=True)


def _wanted(changes: Sequence[str], unset: Sequence[str]) -> dict[str, str | None]:
    """Read what is to be changed; None removes."""
    wanted: dict[str, str | None] = {}
    for text in changes:
        name, equals, value = text.partition("=")
        if not equals:
            # It may be a secret that somebody took for a name, so it is not quoted.
            raise click.BadParameter("must be NAME=VALUE", param_hint="NAME=VALUE")
        _want(wanted, name, value.strip())
    for name in unset:
        _want(wanted, name, None)
    if not wanted:
        raise click.UsageError("give NAME=VALUE or --unset")
    return wanted


def _want(wanted: dict[str, str | None], text: str, value: str | None) -> None:
    name = name_of(text)
    if name in wanted:
        raise click.UsageError(f"{name} is given twice")
    wanted[name] = value


def _say(base: Settings, plan: Planned, *, done: bool, form: str) -> None:
    different = setting_rows.differences(
        _rows(base, plan.before, {}), _rows(base, plan.values, {}), plan.different
    )
    if form == "json":
        show.json(
            {
                "version": plan.version,
                "applied": done and bool(different),
                "changes": [each._asdict() for each in different],
            }
        )
        return
    if not different:
        click.echo(f"nothing changes: that is what version {plan.version} says")
        return
    show.table(
        "Changes of settings", _DIFFERENCES, [tuple(map(setting_rows.words, each)) for each in different]
    )
    if done:
        click.echo(
            f"settings are at version {plan.version}; relays and workers go by it within {live.REFRESH_S:g} s"
        )
    else:
        click.echo(
            f"nothing is changed yet; repeat with --yes --expect-version {plan.version} to do exactly this"
        )


def _rows(base: Settings, values: Mapping[str, str], versions: Mapping[str, int]) -> list[SettingRow]:
    return setting_rows.rows(base, values, versions, given=_given(base))


def _given(base: Settings) -> set[str]:
    """Give the names that the environment sets."""
    keys = variable("content_keys")
    # A throw-away key stands in for them.
    has_keys = any(os.environ.get(each) for each in (keys, f"{keys}_FILE"))
    return base.model_fields_set - {"content_keys"} | ({"content_keys"} if has_keys else set())


def _document(row: SettingRow) -> dict[str, Any]:
    return {**row._asdict(), "variable": variable(row.name)}


def _change(change: Change) -> dict[str, Any]:
    return {
        "version": change.version,
        "at": change.at.isoformat(),
        "by": change.actor,
        "note": change.reason,
        "changes": [
            {"name": name, "before": was, "after": now} for name, (was, now) in change.changes.items()
        ],
    }
