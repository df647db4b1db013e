"""`test-send`: one mail through the whole system, followed until it is there."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from atum_ops import show
from atum_ops.cli import orders
from atum_ops.cli.connecting import connected
from atum_ops.durations import Duration
from atum_ops.mails import explaining, trying, why_store
from atum_schema import settings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from atum_ops.mails.trying import Result, Test
    from atum_schema.database import Connection


@click.command("test-send")
@click.argument("recipients", metavar="TO", nargs=-1, required=True)
@click.option("--from", "sender", required=True, help="The sender, confirmed at the provider.")
@click.option("--stream", default="outbound", show_default=True, help="The message stream.")
@click.option("--lane", help="The lane; without, the one that the stream's mails take.")
@click.option("--subject", default="Test of atum-mailer", show_default=True, help="The subject.")
@click.option("--wait", is_flag=True, help="Follow them until they are delivered or bounced.")
@click.option("--timeout", type=Duration(), default="60s", show_default=True, help="How long to follow them.")
@orders.BY
@show.FORMAT
@show.command_errors
def test_send(
    recipients: tuple[str, ...],
    *,
    sender: str,
    stream: str,
    lane: str | None,
    subject: str,
    wait: bool,
    timeout: timedelta,
    by: str,
    form: str,
) -> None:
    """Send a test mail to each recipient (20 at most), and follow it until the provider has accepted it.

    Each gets a mail of its own, with the tag atum-test. Exit status 1 when one is refused, or not there in time: then it
    says where it is.

    \b
    Examples:
      atum-mailer test-send you@example.com --from shop@example.com
      atum-mailer test-send you@example.com --from shop@example.com --stream broadcast --wait --timeout 5m
    """
    test = trying.Test(sender=sender, recipients=recipients, stream=stream, subject=subject, lane=lane)
    results = _tried(test, arrive=wait, timeout_s=timeout.total_seconds(), by=by, form=form)
    if not all(result.good for result in results):
        sys.exit(1)


def _tried(test: Test, *, arrive: bool, timeout_s: float, by: str, form: str) -> list[Result]:
    from rich.progress import Progress

    from atum_producers import Mailer

    mails = trying.mails_of(test)
    configured = settings.load()
    url = configured.database_url.get_secret_value()
    console = show.console()
    with Mailer(client="test-send", settings=configured) as mailer, connected(url) as connection:
        ids = trying.send(mailer, connection, mails, by=by)
        with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
            task = bar.add_task("arriving" if arrive else "being accepted", total=len(ids))
            results = trying.follow(
                connection,
                [(mail.to[0].email, mail_id) for mail, mail_id in zip(mails, ids, strict=True)],
                arrive=arrive,
                timeout_s=timeout_s,
                told=lambda number: bar.update(task, completed=number),
            )
        _print(connection, results, form)
    return results


def _print(connection: Connection, results: Sequence[Result], form: str) -> None:
    told = {one.state.id: explaining.explain(why_store.facts(connection, one.state.id)) for one in results}
    if form == "json":
        show.json(
            [
                {
                    "recipient": one.recipient,
                    "id": one.state.id,
                    "status": one.state.status,
                    "good": one.good,
                    "message_id": one.state.provider_message_id,
                    "where": told[one.state.id].where,
                }
                for one in results
            ]
        )
        return
    rows = [(one.state.id, one.recipient, one.state.status, "yes" if one.good else "NO") for one in results]
    show.table("Test mails", ["id", "recipient", "status", "as wanted"], rows, whole={"id"})
    for one in results:
        if not one.good:
            lines = [*told[one.state.id].where, *told[one.state.id].next]
            click.echo(f"{one.recipient}: {' '.join(lines)}", err=True)
