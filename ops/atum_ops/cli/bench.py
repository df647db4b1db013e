"""`bench`: this system beside a plain actor, in one run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from atum_ops.cli.directory import DIRECTORY

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@click.option(
    "--rounds", type=click.IntRange(1, 100), default=3, show_default=True, help="Rounds at each latency."
)
@click.option(
    "--mails", type=click.IntRange(200), default=60_000, show_default=True, help="Of ours, per round."
)
@click.option("--plain-mails", type=click.IntRange(10), default=1500, show_default=True, help="Per round.")
@click.option(
    "--singles", type=click.IntRange(10), default=300, show_default=True, help="Mails for the latency."
)
@DIRECTORY
def bench(rounds: int, mails: int, plain_mails: int, singles: int, directory: Path) -> None:
    """Measure this system against a plain Dramatiq actor: same machine, servers, processes and threads.

    Both run from enqueue to committed outcome, in turn, at 0 and 100 ms provider latency; medians count. The last
    line is JSON.

    \b
    Example:
      atum-mailer bench --rounds 3
    """
    from atum_ops import show
    from atum_ops.bench import runs
    from atum_ops.percentiles import percentile, rounded
    from atum_ops.rig import Rig
    from atum_ops.simulator.config import SimulatorConfig

    result: dict[str, object] = {}
    rows = []
    for latency in (0, 100):
        with Rig(directory=directory, simulation=SimulatorConfig(latency_ms=latency)) as rig:
            if latency == 0:
                waits = runs.latencies(rig, singles)
                result["enqueue_to_post_p50_ms"] = rounded(percentile(waits, 0.50), 1)
                result["enqueue_to_post_p99_ms"] = rounded(percentile(waits, 0.99), 1)
                click.echo(f"idle, single mails: {result}", err=True)
            ours, plain = [], []
            for number in range(1, rounds + 1):
                plain.append(runs.yardstick(rig, plain_mails))
                ours.append(runs.ours(rig, mails))
                line = f"{latency} ms, round {number}: plain {plain[-1]:,.0f}/s, ours {ours[-1]:,.0f}/s"
                click.echo(line, err=True)
            rows.append(
                (
                    f"{latency} ms",
                    round(runs.median(plain)),
                    round(runs.median(ours)),
                    round(runs.median(ours) / runs.median(plain), 1),
                )
            )
            result[f"ratio_{latency}ms"] = rows[-1][3]
            result[f"mails_per_second_{latency}ms"] = rows[-1][2]
            result[f"plain_mails_per_second_{latency}ms"] = rows[-1][1]
    show.table("From enqueue to committed outcome", ["provider", "plain/s", "ours/s", "ratio"], rows)
    show.json(result)
