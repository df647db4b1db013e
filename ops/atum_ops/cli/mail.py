"""`mail`: finding mails, one mail and its story, and orders on mails."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from atum_ops import reading, show
from atum_ops.cli import mail_looking, mail_orders, mail_recall, mail_resend
from atum_schema import database, settings
from atum_schema.errors import MailNotFound

if TYPE_CHECKING:
    from uuid import UUID


@click.group()
def mail() -> None:
    """Look for mails, explain them, and give orders on them."""


@mail.command("show")
@click.argument("mail_id", type=click.UUID, metavar="ID")
@show.FORMAT
@show.command_errors
def show_one(mail_id: UUID, form: str) -> None:
    """Show where a mail is and how it got there, without its content.

    \b
    Example:
      atum-mailer mail show 01932c5e-7d1a-7000-8000-5f3c1b2a4d6e
    """
    with database.connect(settings.load_database_url(), name="cli") as connection:
        view = reading.mail(connection, mail_id)
    if view is None:
        raise MailNotFound(f"no mail has the id {mail_id}")
    if form == "json":
        show.json(
            {"mail": view.mail, "events": view.events, "recipients": view.recipients, "batch": view.batch}
        )
        return
    show.table(f"Mail {mail_id}", ["field", "value"], [(k, v) for k, v in view.mail.items() if v is not None])
    show.timeline(view.events)
    show.recipients(view.recipients)
    if view.batch is not None:
        show.table("In a batch", ["field", "value"], [(k, v) for k, v in view.batch.items() if v is not None])


for command in (
    mail_looking.list_some,
    mail_looking.why,
    mail_orders.cancel,
    mail_orders.hold,
    mail_orders.release,
    mail_orders.retry,
    mail_resend.resend,
    mail_recall.recall,
):
    mail.add_command(command)
