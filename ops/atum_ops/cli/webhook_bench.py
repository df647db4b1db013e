"""`webhook-bench`: how fast the webhook endpoint stores events."""

from __future__ import annotations

import statistics
import sys
from typing import TYPE_CHECKING

import click

from atum_ops.cli.directory import DIRECTORY

if TYPE_CHECKING:
    from pathlib import Path


@click.command("webhook-bench")
@click.option(
    "--rounds", type=click.IntRange(1, 100), default=3, show_default=True, help="Rounds; medians count."
)
@click.option(
    "--events",
    type=click.IntRange(100),
    default=20_000,
    show_default=True,
    help="Events, one a request, per round.",
)
@DIRECTORY
def webhook_bench(rounds: int, events: int, directory: Path) -> None:
    """Measure how fast one webhook endpoint stores events, durably, on one core.

    It has a private PostgreSQL with fsync, and events of 1 to 2 KB with Basic credentials; every one that was answered is
    looked for in the inbox. Medians count. The last line is JSON; exit status 0 only where 3,000 events a second were
    stored.

    \b
    Example:
      atum-mailer webhook-bench --rounds 5
    """
    from atum_ops import show
    from atum_ops.bench import webhooks

    found = []
    with webhooks.stand(directory) as at:
        webhooks.measure(at, min(events, 2000))
        for number in range(1, rounds + 1):
            found.append(webhooks.measure(at, events))
            click.echo(f"round {number}: {found[-1].events_per_second:,.0f} events/s", err=True)
    rate = statistics.median(one.events_per_second for one in found)
    p50_ms = statistics.median(one.p50_ms for one in found)
    p99_ms = statistics.median(one.p99_ms for one in found)
    show.table(
        "Storing events, durable, one endpoint process on one core",
        ["events/s", "p50 ms", "p99 ms", "bar"],
        [(round(rate), round(p50_ms, 1), round(p99_ms, 1), f"{webhooks.BAR:,.0f} events/s")],
    )
    good = rate >= webhooks.BAR
    show.json(
        {
            "events_per_second": round(rate),
            "p50_ms": round(p50_ms, 1),
            "p99_ms": round(p99_ms, 1),
            "rounds": rounds,
            "holds": good,
        }
    )
    sys.exit(0 if good else 1)
