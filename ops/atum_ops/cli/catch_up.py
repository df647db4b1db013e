"""`catch-up`: ask the provider for what no webhook has told."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from atum_ops import show
from atum_ops.cli import orders
from atum_ops.durations import Duration
from atum_schema import audit, database, live
from atum_schema import settings as settings_module
from atum_schema.ids import first_mail_id

if TYPE_CHECKING:
    from datetime import timedelta

    from psycopg_pool import ConnectionPool

    from atum_schema.database import Connection
    from atum_schema.settings import Settings
    from atum_workers.catch_up import Caught

_CONNECTIONS = 2
_UNREACHABLE = 3
# Times that it waits where the provider says that it is asked too fast.
_PATIENCE = 10


@click.command("catch-up")
@click.option("--since", type=Duration(), default="2h", show_default=True, help="How far to go back.")
@click.option("--yes", is_flag=True, help="Do it; without, only say how much there is to ask.")
@orders.BY
@show.FORMAT
@show.command_errors
def catch_up(since: timedelta, *, yes: bool, by: str, form: str) -> None:
    """Ask the provider what became of mails, after webhooks were down or silent.

    Bounces, complaints and suppressions come from the provider's lists, deliveries by asking about each accepted mail of
    which nobody has told. What is learned is stored like a webhook's event, and workers apply it. Workers do the same
    by themselves every ATUM_CATCH_UP_S seconds; this does it at once, for a time of your choice.

    \b
    Examples:
      atum-mailer catch-up --since 30m
      atum-mailer catch-up --since 2d --yes
      atum-mailer catch-up --since 2h --yes --format=json
    """
    configured = settings_module.load()
    began = datetime.now(UTC) - since
    url = configured.database_url.get_secret_value()
    database.reach(url, name="cli")
    with database.pool(url, name="cli", size=_CONNECTIONS) as pool:
        with pool.connection() as connection:
            configured = live.current(connection, configured)
        if not yes:
            number = _untold(pool, began)
            seconds = number / configured.catch_up_rate
            if form == "json":
                show.json({"mails_to_ask": number, "seconds": round(seconds, 1)})
            else:
                click.echo(
                    f"{number:,} mails would be asked about, which takes {show.age(seconds)} at"
                    f" {configured.catch_up_rate:g} requests/s; repeat with --yes to do it"
                )
            return
        caught = _catch(configured, pool, began)
        about = {
            "since": began.isoformat(),
            "asked": caught.asked,
            "events": caught.events,
            "suppressions": caught.suppressions,
            "failed": caught.failed,
        }
        with pool.connection() as connection:
            audit.record(connection, f"operator:{by}", "catch_up.done", about)
    if form == "json":
        show.json(caught)
    else:
        click.echo(
            f"asked about {caught.asked:,} mails; {caught.events:,} events are new,"
            f" {caught.suppressions:,} suppressions changed"
        )
    if caught.failed:
        click.echo(f"the provider gave no answer about {caught.failed:,} mails; repeat it later", err=True)
        sys.exit(1)


def _untold(pool: ConnectionPool[Connection], began: datetime) -> int:
    """Count the mails that would be asked about."""
    from atum_workers import catch_up_store as store

    after, until = first_mail_id(began), first_mail_id(datetime.now(UTC))
    number = 0
    with pool.connection() as connection:
        while True:
            last, scanned = store.last(connection, after=after, before=until)
            if last is None:
                return number
            number += len(store.untold(connection, after=after, last=last))
            if scanned < store.SCANNED:
                return number
            after = last


def _catch(configured: Settings, pool: ConnectionPool[Connection], began: datetime) -> Caught:
    from rich.progress import Progress, SpinnerColumn, TextColumn

    from atum_workers.catch_up import remedy
    from atum_workers.postmark_api import PostmarkApi, ProviderFailed
    from atum_workers.tasks import catching_up

    api = PostmarkApi(base_url=configured.postmark_url, token=configured.need_postmark_token())
    work = replace(
        catching_up(configured, pool=pool, api=api, keyring=configured.keyring()), patience=_PATIENCE
    )
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}: {task.completed:,} asked, {task.fields[new]:,} new"),
    )
    try:
        with Progress(*columns, console=show.console(), transient=True) as bar:
            task = bar.add_task("bounces", total=None, new=0)

            def keep() -> None:
                bar.update(task, completed=work.caught.asked, new=work.caught.events)

            for part, _ in work.over(began, keep):
                bar.update(task, description=part)
    except ProviderFailed as error:
        show.console().print(f"atum-mailer: the provider does not answer: {error}{remedy(error)}")
        sys.exit(1 if error.status is not None else _UNREACHABLE)
    finally:
        api.close()
    return work.caught
