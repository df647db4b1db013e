"""`demo`: see it work."""

from __future__ import annotations

import shlex
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import click

from atum_ops.cli.directory import DIRECTORY
from atum_ops.simulator.presets import PRESETS


@click.command()
@click.option(
    "--mails", type=click.IntRange(1, 10_000_000), default=5000, show_default=True, help="How many."
)
@click.option("--exit", "leave", is_flag=True, help="End when the mails are done, instead of at Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object last.")
@click.option(
    "--faults",
    type=click.Choice(sorted(PRESETS)),
    default="none",
    show_default=True,
    help="Preset of the simulated faults.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the faults.")
@click.option(
    "--latency-ms", type=click.FloatRange(min=0), default=0.0, show_default=True, help="Of the provider."
)
@click.option("--from", "sender", metavar="ADDRESS", help="Sender of all mails; the real Postmark needs one.")
@click.option(
    "--samples", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Folder of mails."
)
@DIRECTORY
def demo(
    *,
    mails: int,
    leave: bool,
    as_json: bool,
    faults: str,
    seed: int,
    latency_ms: float,
    sender: str | None,
    samples: Path | None,
    directory: Path,
) -> None:
    """Run the whole system on this machine, deliver mails, and check the ledger.

    Takes the servers that ATUM_DATABASE_URL and ATUM_AMQP_URL name, else starts private ones, else installs them
    where it may. Delivers to a simulated Postmark, or to the real one if ATUM_POSTMARK_TOKEN is set. Ends what it
    started and nothing else.

    \b
    Examples:
      atum-mailer demo
      atum-mailer demo --mails 5000 --exit --json
      atum-mailer demo --faults default --seed 7 --exit
    """
    from atum_ops import demo as work
    from atum_ops.rig import Rig
    from atum_ops.simulator.config import SimulatorConfig

    # SIGTERM unwinds as Ctrl-C does, so that everything started here ends with it.
    signal.signal(signal.SIGTERM, _interrupt)
    rig = Rig(
        directory=directory,
        simulation=SimulatorConfig(faults=faults, seed=seed, latency_ms=latency_ms),
        environment={} if faults == "none" else work.HURRIED,
    )
    click.echo("starting PostgreSQL, RabbitMQ, provider, relay and workers …", err=True)
    try:
        with rig:
            for line in rig.describe():
                click.echo(f"  {line}", err=True)
            result = work.run(rig, mails, sender=sender, folder=samples)
            if not (as_json and leave):
                work.print_result(result, rig)
            if not leave:
                _stay(rig)
            if as_json:
                from atum_ops import show

                show.json(work.as_document(result, rig))
    except KeyboardInterrupt:
        click.echo("stopped", err=True)
        sys.exit(130)
    if not result.report.sound:
        sys.exit(1)


def _stay(rig: Any) -> None:
    click.echo("\nThe system keeps running. Use it from another terminal:")
    for name, value in rig.exports.items():
        click.echo(f"  export {name}={shlex.quote(value)}")
    command = sys.argv[0] if sys.argv[0].endswith("atum-mailer") else "atum-mailer"
    click.echo(f"  {shlex.quote(command)} queue status\nCtrl-C ends everything that was started here.")
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        click.echo("\nstopping …", err=True)


def _interrupt(signum: int, frame: Any) -> None:
    del signum, frame
    raise KeyboardInterrupt
