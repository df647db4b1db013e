"""`migrate`: bring the database to this version."""

from __future__ import annotations

import click

from atum_ops import show as show_module
from atum_schema import migrate as migrations
from atum_schema import settings


@click.command()
@click.option(
    "--print", "show", is_flag=True, help="Print the SQL that is still to be applied, and change nothing."
)
@show_module.command_errors
def migrate(*, show: bool) -> None:
    """Bring the database to this version. Safe to run twice, and by several at once.

    \b
    Examples:
      atum-mailer migrate
      atum-mailer migrate --print > upgrade.sql
    """
    url = settings.load_database_url()
    if show:
        click.echo(migrations.pending_sql(url), nl=False)
        return
    for name in migrations.migrate(url):
        click.echo(f"applied {name}")
    click.echo("the database is at this version")
