"""`restored`: say that the database was put back from a copy."""

from __future__ import annotations

import click

from atum_ops import reading, show
from atum_ops.cli import orders
from atum_schema import audit, database, restore
from atum_schema import settings as settings_module


@click.command()
@click.option("--yes", is_flag=True, help="Do it; without, only say what would be done.")
@orders.BY
@show.command_errors
def restored(*, yes: bool, by: str) -> None:
    """Search for everything that waits, after the database was put back from a copy.

    A restored database has forgotten what was sent after the copy was made, and shows it as waiting. Relays notice a
    recovery that ends on a new timeline, and a copy that was put back while they ran. Only a cold copy that is put
    back while every relay is stopped looks like before: say so before you start them.

    Every mail that waits and is due becomes unknown, is searched for at the provider by its own id, and is sent again
    only when the searches find nothing and its policy allows it.

    \b
    Examples:
      atum-mailer restored
      atum-mailer restored --yes
    """
    settings = settings_module.load_without_keys()
    with database.connect(settings.database_url.get_secret_value(), name="cli") as connection:
        if not yes:
            lanes = reading.lanes(connection)
            mails = sum(lane.due + lane.sending for lane in lanes)
            click.echo(
                f"{mails:,} mails would be searched for before they are sent; repeat with --yes to do it"
            )
            return
        doubted = restore.doubt(
            connection,
            None,
            account=settings.account,
            patience_s=settings.posting_lease_s,
            settle_s=settings.settle_schedule[0],
        )
        audit.record(connection, f"operator:{by}", "database.restored", {"mails": doubted or 0})
    click.echo(f"{doubted or 0:,} mails are unknown now and will be searched for")
