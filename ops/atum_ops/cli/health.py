"""`health check`: whether all is well, and what mends what is not."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import click
from rich.progress import Progress

from atum_ops import show
from atum_ops.cli import UNREACHABLE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from atum_ops.health.findings import Finding

_COLUMNS: Final = ("check", "verdict", "found", "remedy")
_MARKS: Final = {"good": "✓ good", "unknown": "? unknown", "warning": "! warning", "bad": "✗ bad"}


@click.group()
def health() -> None:
    """See whether all is well."""


@health.command()
@click.option("--only", multiple=True, metavar="NAME", help="Only this check; may be repeated.")
@click.option("--offline", is_flag=True, help="Ask nobody outside: neither the provider nor DNS.")
@show.LIST_FORMAT
def check(*, only: tuple[str, ...], offline: bool, form: str) -> None:
    """Look at everything that mail needs, and say of each whether it is well and what mends it.

    Database and schema as they really are, clocks, keys, RabbitMQ with its queues and alarms, relays and workers, lanes and
    backlog, failures, webhooks, the provider's token and streams, sender domains. It only reads. docs/health.md explains
    each check. Exit status 1 when something needs attention, 3 when the database does not answer.

    \b
    Examples:
      atum-mailer health check
      atum-mailer health check --offline --only schema --only queues
      atum-mailer health check --format=json | jq '.checks[] | select(.verdict != "good")'
    """
    from atum_ops.health import checks
    from atum_ops.health.findings import Verdict, overall
    from atum_ops.health.surroundings import Surroundings

    names = [each.name for each in checks.CHECKS]
    for name in only:
        if name not in names:
            raise click.BadParameter(
                f"{name!r} is no check; there are: {', '.join(names)}", param_hint="--only"
            )
    findings: list[Finding] = []
    with (
        Surroundings(offline=offline) as surroundings,
        Progress(console=show.console(), transient=True) as bar,
    ):
        task = bar.add_task("looking", total=len(only) or len(names))
        for found in checks.run(surroundings, only):
            findings += found
            bar.advance(task)
    verdict = overall(findings)
    _print(findings, verdict, form)
    if checks.is_unreachable(surroundings, only):
        sys.exit(UNREACHABLE)
    if verdict in {Verdict.WARNING, Verdict.BAD}:
        sys.exit(1)


def _print(findings: Sequence[Finding], verdict: str, form: str) -> None:
    if form == "json":
        looked_at = datetime.now(UTC).isoformat()
        show.json(
            {"verdict": verdict, "looked_at": looked_at, "checks": [each._asdict() for each in findings]}
        )
    elif form == "csv":
        show.csv(_COLUMNS, findings)
    else:
        rows = [(each.name, _MARKS[each.verdict], each.found, each.remedy) for each in findings]
        show.table(f"Health at {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC", _COLUMNS, rows)
        click.echo(f"overall: {verdict}")
