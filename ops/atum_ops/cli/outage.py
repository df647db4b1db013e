"""`outage`: the provider away for minutes, and what it costs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from atum_ops.cli.directory import DIRECTORY

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@click.option(
    "--mails",
    type=click.IntRange(10, 1_000_000),
    default=20_000,
    show_default=True,
    help="How many mails wait.",
)
@click.option(
    "--duration",
    type=click.FloatRange(5, 3600),
    default=180.0,
    show_default=True,
    help="Of the outage, seconds.",
)
@DIRECTORY
def outage(*, mails: int, duration: float, directory: Path) -> None:
    """Play an outage of the provider with mails waiting, and measure what it costs.

    The bars: no attempt is charged, the first mail leaves within one probe interval after recovery, few requests are
    answered 429, the window ramps up, and nothing is lost or doubled. The last line is JSON; the exit status is 0 only
    where all bars hold.

    \b
    Examples:
      atum-mailer outage
      atum-mailer outage --mails 2000 --duration 20
    """
    from atum_ops import outage as work
    from atum_ops import show
    from atum_ops.rig import Rig
    from atum_ops.simulator.config import SimulatorConfig

    click.echo("starting PostgreSQL, RabbitMQ, provider, relay and workers …", err=True)
    try:
        with Rig(directory=directory, simulation=SimulatorConfig(), environment=work.SETTINGS) as rig:
            result = work.run(rig, mails=mails, seconds=duration)
    except KeyboardInterrupt:
        click.echo("stopped", err=True)
        sys.exit(130)
    show.table(
        "Ramp", ["seconds after recovery", "window"], [(f"{at:.1f}", size) for at, size in result.ramp]
    )
    failures = result.failures()
    for failure in failures:
        click.echo(f"bar missed: {failure}", err=True)
    show.json(result.document())
    sys.exit(1 if failures else 0)
