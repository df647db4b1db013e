"""`mail list` and `mail why`: finding mails, and explaining one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import click

from atum_ops import show
from atum_ops.cli.connecting import connected
from atum_ops.cli.filters import selecting
from atum_ops.mails import explaining, log_store, why_store
from atum_schema.ids import milliseconds_of

if TYPE_CHECKING:
    from uuid import UUID

    from atum_ops.mails.log_store import Logged
    from atum_ops.selection import Selection

_MOST: Final = 10_000
_COLUMNS: Final = ("id", "accepted_at", "status", "lane", "to", "cc", "bcc", "subject", "tag", "reason")


@click.command("list")
@selecting()
@click.option(
    "--limit", type=click.IntRange(1, _MOST), default=50, show_default=True, help="At most so many."
)
@click.option("--before", type=click.UUID, help="Only mails older than this one: where the last page ended.")
@show.LIST_FORMAT
@show.command_errors
def list_some(selection: Selection, *, limit: int, before: UUID | None, form: str) -> None:
    """List mails, newest first. All filters that are given have to match.

    One page looks at 10,000 mails at most and says how to go on. Held and dead mails are found wherever they are.

    \b
    Examples:
      atum-mailer mail list --status failed --since 2h
      atum-mailer mail list --recipient jane@example.org --limit 10
      atum-mailer mail list --search pm_406 --format=csv
    """
    with connected() as connection:
        page = log_store.page(connection, selection, limit=limit, before=before)
    if form == "table":
        rows = [_line(mail) for mail in page.mails]
        show.table("Mails", ["id", "accepted (UTC)", "status", "to", "subject"], rows, whole={"id"})
    else:
        show.listing(
            form, "Mails", _COLUMNS, ([getattr(mail, name) for name in _COLUMNS] for mail in page.mails)
        )
    if page.before is not None:
        click.echo(_reach(page, limit), err=True)


def _reach(page: log_store.Page, limit: int) -> str:
    if page.before is None:
        raise AssertionError("there is nothing beyond")
    if len(page.mails) == limit:
        return f"there may be more; go on with: --before {page.before}"
    back = datetime.fromtimestamp(milliseconds_of(page.before) // 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    return f"looked at {log_store.SCANNED:,} mails, back to {back} UTC; go on with: --before {page.before}"


def _line(mail: Logged) -> tuple[Any, ...]:
    recipients = ", ".join(filter(None, (mail.to, mail.cc, mail.bcc)))
    status = f"{mail.status} ({mail.reason})" if mail.reason and mail.reason != mail.status else mail.status
    return mail.id, f"{mail.accepted_at:%m-%d %H:%M:%S}", status, recipients, mail.subject


@click.command()
@click.argument("mail_id", type=click.UUID, metavar="ID")
@show.FORMAT
@show.command_errors
def why(mail_id: UUID, form: str) -> None:
    """Explain in sentences where a mail is, on what evidence, and what happens next. Exit status 1 without such a mail.

    \b
    Example:
      atum-mailer mail why 01932c5e-7d1a-7000-8000-5f3c1b2a4d6e
    """
    with connected() as connection:
        facts = why_store.facts(connection, mail_id)
    told = explaining.explain(facts)
    if form == "json":
        show.json(
            {
                "id": mail_id,
                "status": told.status,
                "where": told.where,
                "evidence": told.evidence,
                "next": told.next,
                "commands": told.commands,
            }
        )
        return
    click.echo(f"Mail {mail_id} is {told.status}.")
    for line in told.where:
        click.echo(f"  {line}")
    for title, lines in (("Evidence", told.evidence), ("Next", told.next), ("Commands", told.commands)):
        if lines:
            click.echo(f"{title}:")
        for line in lines:
            click.echo(f"  {line}")
