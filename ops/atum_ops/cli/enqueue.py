"""`enqueue`: hand over mails from files."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from atum_ops import show
from atum_schema import database, settings


@click.command()
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path), metavar="FILE…"
)
@click.option(
    "--client", default="cli", show_default=True, help="Name in the log, and scope of idempotency keys."
)
@click.option("--dry-run", is_flag=True, help="Read and check everything, and store nothing.")
@show.FORMAT
@show.command_errors
def enqueue(files: tuple[Path, ...], client: str, *, dry_run: bool, form: str) -> None:
    """Enqueue mails from .eml files, JSON documents, JSON lines, or folders of them.

    A file that is refused is reported with its reason, and the rest goes on; the exit status is 1 then.

    \b
    Examples:
      atum-mailer enqueue invoice.eml
      atum-mailer enqueue --dry-run outbox/
      atum-mailer enqueue mails.jsonl --client shop --format=json
    """
    from atum_ops.enqueueing import enqueue_files
    from atum_producers import Mailer

    if dry_run:
        outcome = enqueue_files(files, None, show.console())
    else:
        loaded = settings.load()
        database.reach(loaded.database_url.get_secret_value(), name="cli")
        with Mailer(client=client, settings=loaded) as mailer:
            outcome = enqueue_files(files, mailer, show.console())
    if form == "json":
        show.json({"accepted": outcome.accepted, "refused": outcome.refused, "dry_run": dry_run})
    else:
        _print(outcome, dry_run=dry_run)
    if outcome.refused:
        sys.exit(1)


def _print(outcome: object, *, dry_run: bool) -> None:
    from atum_ops.enqueueing import Outcome

    if not isinstance(outcome, Outcome):
        raise TypeError(type(outcome))
    for each in outcome.refused:
        click.echo(f"refused {each['source']}: {each['reason']}", err=True)
    if len(outcome.accepted) == 1 and not dry_run:
        click.echo(outcome.accepted[0]["id"])
    verb = "would be accepted" if dry_run else "accepted"
    click.echo(f"{len(outcome.accepted):,} mails {verb}, {len(outcome.refused):,} refused", err=True)
