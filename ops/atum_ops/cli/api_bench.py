"""`api-bench`: how fast the API takes mail."""

from __future__ import annotations

import statistics
import sys
from typing import TYPE_CHECKING

import click

from atum_ops.cli.directory import DIRECTORY

if TYPE_CHECKING:
    from pathlib import Path


@click.command("api-bench")
@click.option(
    "--rounds", type=click.IntRange(1, 100), default=3, show_default=True, help="Rounds; medians count."
)
@click.option(
    "--singles",
    type=click.IntRange(100),
    default=8000,
    show_default=True,
    help="Mails, one a request, per round.",
)
@click.option(
    "--mails", type=click.IntRange(500), default=40_000, show_default=True, help="Mails in arrays, per round."
)
@click.option(
    "--each", type=click.IntRange(1, 500), default=200, show_default=True, help="Mails in an array."
)
@DIRECTORY
def api_bench(rounds: int, singles: int, mails: int, each: int, directory: Path) -> None:
    """Measure how fast one API process takes mail, durably, on one core.

    It has a private PostgreSQL with fsync, and mails of about 2 KB; every answer is compared with the log. Medians count.
    The last line is JSON; exit status 0 only where 1,500 requests a second with single mails and 8,000 mails a second in
    arrays were reached.

    \b
    Example:
      atum-mailer api-bench --rounds 5
    """
    from atum_ops import show
    from atum_ops.bench import api

    ones, many = [], []
    with api.stand(directory) as at:
        api.singles(at, min(singles, 1000))
        for number in range(1, rounds + 1):
            ones.append(api.singles(at, singles))
            many.append(api.arrays(at, mails, each=each))
            click.echo(
                f"round {number}: {ones[-1].requests_per_second:,.0f} requests/s, "
                f"{many[-1].mails_per_second:,.0f} mails/s in arrays",
                err=True,
            )
    requests = statistics.median(one.requests_per_second for one in ones)
    in_arrays = statistics.median(one.mails_per_second for one in many)
    show.table(
        "Handing over by HTTP, durable, one API process on one core",
        ["way", "requests/s", "mails/s", "p50 ms", "p99 ms", "bar"],
        [
            (
                way,
                round(statistics.median(one.requests_per_second for one in found)),
                round(statistics.median(one.mails_per_second for one in found)),
                round(statistics.median(one.p50_ms for one in found), 1),
                round(statistics.median(one.p99_ms for one in found), 1),
                bar,
            )
            for way, found, bar in (
                ("single mails", ones, f"{api.SINGLES_BAR:,.0f} requests/s"),
                (f"arrays of {each}", many, f"{api.ARRAYS_BAR:,.0f} mails/s"),
            )
        ],
    )
    good = requests >= api.SINGLES_BAR and in_arrays >= api.ARRAYS_BAR
    show.json(
        {
            "single_requests_per_second": round(requests),
            "array_mails_per_second": round(in_arrays),
            "single_p50_ms": round(statistics.median(one.p50_ms for one in ones), 1),
            "single_p99_ms": round(statistics.median(one.p99_ms for one in ones), 1),
            "rounds": rounds,
            "holds": good,
        }
    )
    sys.exit(0 if good else 1)
