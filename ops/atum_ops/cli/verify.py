"""`verify`: the ledger check."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from atum_ops import show
from atum_schema import settings

if TYPE_CHECKING:
    from atum_ops.audit import Report


@click.command()
@click.option(
    "--ledger",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The ledger file of a simulator (`simulator --ledger`), to compare with.",
)
@show.FORMAT
@show.command_errors
def verify(ledger: Path | None, form: str) -> None:
    """Check that every accepted mail is in exactly one place, with an explanation.

    Walks the whole log in one snapshot. With --ledger it also compares with what a simulator really accepted:
    nothing missing, nothing twice. Exit status 1 when anything is lost, doubled or unexplained.

    \b
    Examples:
      atum-mailer verify
      atum-mailer verify --ledger .local/ledger.jsonl --format=json
    """
    from atum_ops.verification import ledger_file
    from atum_ops.verification import verify as run

    report = run(settings.load_database_url(), None if ledger is None else ledger_file(ledger))
    if form == "json":
        show.json(as_document(report, compared=ledger is not None))
    else:
        print_report(report, compared=ledger is not None)
    if not report.sound:
        sys.exit(1)


def as_document(report: Report, *, compared: bool) -> dict[str, object]:
    """Give the report for machines."""
    return {
        "mails": report.mails,
        "by_status": dict(sorted(report.by_status.items())),
        "lost": report.lost,
        "duplicates": report.duplicates,
        "extra_copies": report.extra_copies,
        "unexplained": report.unexplained,
        "foreign": report.foreign,
        "compared_with_provider": compared,
        "findings": report.findings,
    }


def print_report(report: Report, *, compared: bool) -> None:
    """Print the report for people."""
    rows = [(status, count) for status, count in sorted(report.by_status.items())]
    rows += [
        ("all mails", report.mails),
        ("lost", report.lost),
        ("sent twice", report.duplicates),
        ("unexplained", report.unexplained + report.foreign),
    ]
    show.table("Ledger check", ["", "mails"], rows)
    for finding in report.findings:
        click.echo(f"  {finding}")
    with_whom = "itself and the provider's ledger" if compared else "itself (no provider's ledger was given)"
    verdict = "agrees with" if report.sound else "DISAGREES with"
    click.echo(f"The log {verdict} {with_whom}.")
