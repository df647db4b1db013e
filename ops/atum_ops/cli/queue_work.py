"""`queue run` and `queue purge`: working off by hand, and canceling what has waited for too long."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click
from rich.progress import Progress

from atum_ops import operations, purging, running_store, show, transitions_store
from atum_ops.cli.orders import BY, NOTE, YES
from atum_ops.durations import Duration
from atum_producers import relay_store
from atum_schema import database, flow_store, settings
from atum_schema.errors import AtumError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import timedelta
    from uuid import UUID

    from atum_ops.running import Ran
    from atum_schema.database import Connection
    from atum_schema.settings import Settings

_MOST = 1_000_000_000
_WORDS = (
    "sent",
    "retrying",
    "dead",
    "unknown",
    "suppressed",
    "expired",
    "canceled",
    "not_posted",
    "elsewhere",
)
_TROUBLE = frozenset({"dead", "unknown"})


def _known_lane(lane: str | None, configured: Settings) -> None:
    if lane is not None and lane not in configured.lane_names:
        raise click.BadParameter(
            f"{lane!r} is no lane of ATUM_LANES ({', '.join(configured.lane_names)})", param_hint="--lane"
        )


@click.command()
@click.option("--lane", help="Only this lane; without: all.")
@click.option("--limit", type=click.IntRange(1, _MOST), help="Take so many mails, at most.")
@click.option(
    "--time",
    "duration",
    type=Duration(),
    default="60s",
    show_default=True,
    help="Begin no batch after that long.",
)
@click.option("--dry-run", is_flag=True, help="Only say how many mails are due.")
@show.FORMAT
@show.command_errors
def run(*, lane: str | None, limit: int | None, duration: timedelta, dry_run: bool, form: str) -> None:
    """Work off what is due now, in this process and without RabbitMQ.

    Under the same claims, windows and rates as relays and workers, so it may run beside them; what is paused stays
    paused. It reports what became of the mails that it dealt with itself. Exit status 1 when some of them are dead or
    unknown, or when mail is due that a closed or paused lane keeps.

    \b
    Examples:
      atum-mailer queue run --dry-run
      atum-mailer queue run
      atum-mailer queue run --lane transactional --limit 500 --time 10m --format=json
    """
    configured = settings.load_without_keys() if dry_run else settings.load()
    _known_lane(lane, configured)
    url = configured.database_url.get_secret_value()
    with database.connect(url, name="cli") as connection:
        due = running_store.due(connection, lane=lane)
    if dry_run:
        if form == "json":
            show.json({"due": due, "ran": False})
        else:
            show.table("Due now", ["lane", "mails"], list(due.items()))
        return
    ran = _work(configured, lane, limit, duration.total_seconds(), sum(due.values()))
    with database.connect(url, name="cli") as connection:
        left = running_store.due(connection, lane=lane)
        stopped = {row.lane: row.window.reason for row in flow_store.read(connection) if row.window.reason}
    if form == "json":
        counts = {word: ran.counts[word] for word in _WORDS} | ran.counts
        show.json({"ran": True, "batches": ran.batches, **counts, "due": left, "stopped": stopped})
    else:
        _print(ran, left, stopped)
    if any(ran.counts[word] for word in _TROUBLE) or left.keys() & stopped.keys():
        sys.exit(1)


def _work(configured: Settings, lane: str | None, limit: int | None, time_s: float, due: int) -> Ran:
    from atum_ops.running import runner

    lanes = configured.lane_names if lane is None else (lane,)
    with runner(configured) as one, Progress(console=show.console(), transient=True) as bar:
        task = bar.add_task("working off", total=due if limit is None else min(due, limit))
        return one.run(
            lanes,
            limit=limit,
            time_s=time_s,
            progress=lambda ran: bar.update(task, completed=ran.counts.total()),
        )


def _print(ran: Ran, left: Mapping[str, int], stopped: Mapping[str, str | None]) -> None:
    show.table("Worked off", ["became", "mails"], sorted(ran.counts.items()))
    click.echo(f"{ran.mails:,} mails in {ran.batches:,} batches; {sum(left.values()):,} mails are due now")
    for lane in sorted(left.keys() & stopped.keys()):
        click.echo(f"{lane} does not send: {stopped[lane]}; see: atum-mailer queue status")


@click.command()
@click.option(
    "--older-than",
    "age",
    type=Duration(),
    help="How long ago it was accepted: 90, 90s, 15m, 24h or 7d; needed, unless an order is taken up again.",
)
@click.option("--lane", help="Only this lane; without: all.")
@click.option(
    "--resume", "order", type=click.UUID, help="Take up the order with this id, which was interrupted."
)
@BY
@NOTE
@YES
@show.FORMAT
@show.command_errors
def purge(
    *,
    age: timedelta | None,
    lane: str | None,
    order: UUID | None,
    by: str,
    note: str | None,
    yes: bool,
    form: str,
) -> None:
    """Cancel waiting mails that were accepted too long ago.

    What is being posted is refused and counted; what is unknown, held or dead is not touched, nor is mail whose time is
    still to come. Without --yes it only counts. Exit status 1 when something was refused.

    \b
    Examples:
      atum-mailer queue purge --older-than 24h
      atum-mailer queue purge --older-than 24h --lane broadcast --note "the sale is over" --yes
    """
    if (age is None) == (order is None):
        raise click.UsageError("give --older-than, or --resume with the id of an order")
    if order is not None and lane is not None:
        raise click.UsageError("an order that is taken up has its lane already: leave --lane out")
    with database.connect(settings.load_database_url(), name="cli") as connection:
        _exists(connection, lane)
        if order is not None:
            operation = operations.find(connection, order, purging.KIND)
            found: Sequence[purging.Old] = ()
        else:
            before = transitions_store.moment_before(connection, age)  # type: ignore[arg-type]  # one of them is given
            found = purging.count(connection, before=before, lane=lane)
            if not yes:
                _print_found(found, form)
                return
            operation = purging.begin(
                connection, before=before, lane=lane, actor=f"operator:{by}", reason=note
            )
        with Progress(console=show.console(), transient=True) as bar:
            task = bar.add_task("purging", total=sum(each.mails for each in found) or None)
            counts = purging.work(connection, operation, lambda number: bar.advance(task, number))
    _print_purged(operation.id, counts, form)
    if counts.get(purging.REFUSED):
        sys.exit(1)


def _exists(connection: Connection, lane: str | None) -> None:
    known = {row.lane for row in flow_store.read(connection)} | set(relay_store.lanes_waiting(connection))
    if lane is not None and lane not in known:
        raise AtumError(f"no mail waits in a lane {lane!r}; there are: {', '.join(sorted(known)) or 'none'}")


def _print_found(found: Sequence[purging.Old], form: str) -> None:
    if form == "json":
        show.json({"purged": False, "by_status": {each.status: each.mails for each in found}})
        return
    show.table("Would be canceled", ["status", "mails"], [_would(each) for each in found])
    click.echo("nothing was changed; repeat with --yes to do it")


def _would(old: purging.Old) -> tuple[Any, ...]:
    return ("posting (would be refused)" if old.status == "posting" else old.status, old.mails)


def _print_purged(order: UUID, counts: Mapping[str, int], form: str) -> None:
    words = (purging.CANCELED, purging.REFUSED, purging.LEFT)
    numbers = {word: counts.get(word, 0) for word in words}
    if form == "json":
        show.json({"purged": True, "operation": str(order), **numbers})
        return
    canceled, refused, left = (f"{numbers[word]:,}" for word in words)
    click.echo(
        f"canceled {canceled} mails; refused {refused} that are being posted; left {left} as they were"
    )
