"""`mail resend`: a mail once more, as a new one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from atum_ops import show
from atum_ops.cli import orders
from atum_ops.mails.accounts import known_accounts
from atum_ops.mails.resending import Overrides
from atum_schema import database, settings
from atum_schema.errors import AtumError

if TYPE_CHECKING:
    from uuid import UUID

    from atum_ops.mails.resend_store import Order, Resent
    from atum_schema.settings import Settings


@click.command()
@click.argument("mail_id", type=click.UUID, metavar="ID")
@click.option("--to", multiple=True, help="Recipients instead of the old ones (may be repeated).")
@click.option("--cc", multiple=True, help='Cc instead of the old one (may be repeated); "" is none.')
@click.option("--bcc", multiple=True, help='Bcc instead of the old one (may be repeated); "" is none.')
@click.option("--subject", help="Another subject.")
@click.option("--stream", help="Another message stream.")
@click.option("--provider", help="The only provider account that may send it.")
@click.option("--allow-recipient-change", is_flag=True, help="It may go to others than the old one.")
@click.option("--again", is_flag=True, help="A second copy is wanted, whatever became of the first.")
@click.option("--dry-run", is_flag=True, help="Only show what the new mail would be.")
@orders.BY
@orders.NOTE
@show.FORMAT
@show.command_errors
def resend(
    mail_id: UUID,
    *,
    to: tuple[str, ...],
    cc: tuple[str, ...],
    bcc: tuple[str, ...],
    subject: str | None,
    stream: str | None,
    provider: str | None,
    allow_recipient_change: bool,
    again: bool,
    dry_run: bool,
    by: str,
    note: str | None,
    form: str,
) -> None:
    """Send a mail again as a new one, linked to the old one. Cc and Bcc stay unless they are given.

    Refused are: a mail that is under way, held, unknown or accepted, or was sent again already (unless --again); one
    that a recipient called spam; one whose content is gone; suppressed recipients; and other recipients, unless
    --allow-recipient-change. The same command twice makes one new mail.

    \b
    Examples:
      atum-mailer mail resend 01932c5e-7d1a-7000-8000-5f3c1b2a4d6e --dry-run
      atum-mailer mail resend 01932c5e-7d1a-7000-8000-5f3c1b2a4d6e \\
        --to jane@example.org --allow-recipient-change --note "typo in the address"
    """
    from atum_ops.mails.resend_store import Order

    configured = settings.load()
    if provider is not None and provider not in known_accounts(configured):
        known = ", ".join(known_accounts(configured))
        raise AtumError(f"provider {provider!r}: must be an account of the settings: {known}")
    order = Order(
        mail_id=mail_id,
        overrides=Overrides(
            to=to or None, cc=cc or None, bcc=bcc or None, subject=subject, stream=stream, account=provider
        ),
        by=by,
        note=note,
        again=again,
        recipients_may_change=allow_recipient_change,
    )
    _print(order, _resent(configured, order, dry_run=dry_run), form)


def _resent(configured: Settings, order: Order, *, dry_run: bool) -> Resent:
    from atum_ops.mails import resend_store
    from atum_ops.mails.ordering import in_transaction

    with database.connect(configured.database_url.get_secret_value(), name="cli") as connection:
        return in_transaction(
            connection,
            lambda: resend_store.resend(
                connection, order, keyring=configured.keyring(), lanes=configured.lane_names, dry_run=dry_run
            ),
        )


def _print(order: Order, resent: Resent, form: str) -> None:
    if form == "json":
        fields = {each.field: {"old": each.old, "new": each.new} for each in resent.differences}
        show.json(
            {
                "id": resent.id,
                "resent_from": order.mail_id,
                "before": resent.before,
                "provider": order.overrides.account,
                "fields": fields,
            }
        )
        return
    if resent.id is None:
        rows = [
            (each.field, each.old, "same" if each.new == each.old else each.new)
            for each in resent.differences
        ]
        show.table("It would be sent again as", ["field", "old", "new"], rows)
        click.echo("repeat without --dry-run to do it", err=True)
        return
    click.echo(resent.id)
    words = "was sent again before, as this mail" if resent.before else "is sent again, as this mail"
    click.echo(f"{order.mail_id} {words}", err=True)
