"""`report`: what happened in the last hours or days."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from atum_ops import failing, reporting, show
from atum_ops.durations import Duration
from atum_schema import database, settings

if TYPE_CHECKING:
    from datetime import timedelta

    from atum_ops.reporting import Report

_LANES: Final = ("lane", "finished", "sent", "failed", "p50", "p95", "mails looked at")
_REASONS: Final = ("became", "reason", "HTTP", "code", "times")


@click.command()
@click.option("--since", type=Duration(), default="7d", show_default=True, help="How far to look back.")
@show.LIST_FORMAT
@show.command_errors
def report(since: timedelta, form: str) -> None:
    """Show what happened: failures over time, the commonest reasons, dead letters, and the slowest lanes.

    By the hour up to two days, else by the day. CSV has the failures over time only.

    \b
    Examples:
      atum-mailer report
      atum-mailer report --since 24h
      atum-mailer report --since 30d --format=csv > failures.csv
    """
    with database.connect(settings.load_database_url(), name="cli") as connection:
        made = reporting.report(connection, since)
    if form == "json":
        show.json(reporting.document(made))
    elif form == "csv":
        show.csv(reporting.COLUMNS, reporting.rows(made))
    else:
        _print(made)


def _print(made: Report) -> None:
    bars = failing.bars([slot.counts.failed for slot in made.slots])
    rows = [
        (*row[:6], "–" if row[6] is None else f"{row[6]:.2%}", bar)
        for row, bar in zip(reporting.rows(made), bars, strict=True)
    ]
    show.table(f"Failures by the {made.unit}", (*reporting.COLUMNS, "failed"), rows)
    total, rate = made.total, failing.rate(made.total)
    share = "too few for a rate" if rate is None else f"{rate:.2%}"
    click.echo(f"{total.failed:,} of {total.finished:,} failed ({share})")
    if made.reasons:
        reasons = [
            # A code is a name: nobody finds pm_9,876.
            (
                each.to_status,
                each.reason or None,
                str(each.http_status or "–"),
                str(each.code or "–"),
                each.mails,
            )
            for each in made.reasons
        ]
        show.table("Commonest reasons", _REASONS, reasons)
    if made.lanes:
        lanes = [
            (
                each.lane,
                each.finished,
                each.sent,
                each.failed,
                reporting.wait(each.p50_s),
                reporting.wait(each.p95_s),
                each.sample,
            )
            for each in made.lanes
        ]
        show.table("Lanes, the slowest first (from accept to sent)", _LANES, lanes)
    oldest = "" if made.dead.oldest is None else f", the oldest of {made.dead.oldest:%Y-%m-%d}"
    click.echo(f"dead letters: {made.dead.fresh:,} new, {made.dead.kept:,} in all{oldest}")
