"""`chaos`: break everything under load, and count."""

from __future__ import annotations

import random
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from atum_ops import show
from atum_ops.cli.directory import DIRECTORY


@click.command()
@click.option("--seed", type=int, help="The same seed gives the same plan.  [default: a random one, printed]")
@click.option(
    "--duration", type=click.FloatRange(5, 86_400), default=60.0, show_default=True, help="Seconds of faults."
)
@click.option(
    "--drain",
    type=click.FloatRange(1, 3600),
    default=120.0,
    show_default=True,
    help="Seconds that the mails may need afterwards.",
)
@DIRECTORY
@show.FORMAT
def chaos(seed: int | None, duration: float, drain: float, directory: Path, form: str) -> None:
    """Kill, freeze and cut off every part under load, then compare with what the provider accepted.

    Runs on private servers only, whatever ATUM_DATABASE_URL and ATUM_AMQP_URL name, and ends what it started and
    nothing else. The last line is JSON. Exit status 1 when a mail is lost, sent twice or unexplained, or when there
    were fewer than 5 kills or 1,000 acknowledged mails.

    \b
    Example:
      atum-mailer chaos --seed 7 --duration 60
    """
    from atum_ops.chaos import report, run, surroundings
    from atum_schema.errors import AtumError

    # SIGTERM unwinds as Ctrl-C does, so that everything started here ends with it.
    signal.signal(signal.SIGTERM, _interrupt)
    seed = random.SystemRandom().randrange(1_000_000) if seed is None else seed
    for line in surroundings.leave_out():
        click.echo(line, err=True)
    click.echo(f"seed {seed}", err=True)
    logs = Path(tempfile.mkdtemp(prefix=f"atum-chaos-{seed}-"))
    keep = True
    try:
        outcome = run.run(
            directory,
            logs,
            seed=seed,
            duration=duration,
            drain_s=drain,
            say=lambda line: click.echo(line, err=True),
        )
        keep = not outcome.passed()
        if form == "table":
            report.print_tables(outcome)
            report.print_findings(outcome)
        show.json(report.as_document(outcome))
        if keep:
            sys.exit(1)
    except KeyboardInterrupt:
        keep = False
        click.echo("stopped", err=True)
        sys.exit(130)
    except AtumError:
        click.echo(f"seed {seed} failed", err=True)
        raise
    finally:
        if keep:
            click.echo(f"logs are in {logs}", err=True)
        else:
            shutil.rmtree(logs, ignore_errors=True)


def _interrupt(signum: int, frame: Any) -> None:
    del signum, frame
    raise KeyboardInterrupt
