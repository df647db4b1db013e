"""`replay-bench`: how fast dead letters are looked through and replayed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from atum_ops.cli.directory import DIRECTORY

if TYPE_CHECKING:
    from pathlib import Path


@click.command("replay-bench")
@click.option(
    "--letters", type=click.IntRange(1000), default=100_000, show_default=True, help="Dead letters."
)
@DIRECTORY
def replay_bench(letters: int, directory: Path) -> None:
    """Measure how fast dead letters are looked through and replayed, and compare what is left.

    It has a private PostgreSQL and RabbitMQ. The mails are enqueued, posted and refused by the statements that do so in
    life, and a relay publishes their messages; one in a hundred goes to somebody who is suppressed afterwards, and must
    stay. Times are those of the whole commands. The last line is JSON; exit status 0 only where the dry run took less
    than 5 s, 5,000 mails a second were replayed, none twice, and mail.dead and the database agree after a sweep.

    \b
    Example:
      atum-mailer replay-bench --letters 100000
    """
    from atum_ops import show
    from atum_ops.bench import replaying

    with replaying.stand(directory) as at:
        replaying.make(at, letters, lambda words: click.echo(words, err=True))
        found = replaying.measure(at, letters, lambda words: click.echo(words, err=True))
    show.table(
        f"{letters:,} dead letters, {found.replayed:,} of them replayed",
        ["what", "measured", "bar"],
        [
            ("dry run", f"{found.dry_run_s:.2f} s", f"< {replaying.DRY_RUN_S:g} s"),
            ("replay", f"{found.per_second:,.0f} mails/s", f">= {replaying.REPLAYS:,.0f} mails/s"),
            ("sweep", f"{found.sweep_s:.2f} s", None),
            ("replayed twice, or not agreeing", len(found.wrong), "0"),
        ],
    )
    for finding in found.wrong:
        click.echo(finding, err=True)
    good = found.dry_run_s < replaying.DRY_RUN_S and found.per_second >= replaying.REPLAYS and not found.wrong
    show.json(
        {
            "letters": letters,
            "dry_run_s": round(found.dry_run_s, 2),
            "replayed": found.replayed,
            "replay_s": round(found.replay_s, 2),
            "replayed_per_second": round(found.per_second),
            "sweep_s": round(found.sweep_s, 2),
            "wrong": found.wrong,
            "holds": good,
        }
    )
    sys.exit(0 if good else 1)
