"""`webhook`: register the endpoint at the provider, and check the whole way back."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final, NoReturn

import click

from atum_ops import show
from atum_ops.cli import orders
from atum_schema import audit, database, settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from atum_ops.webhooks.registering import Outcome
    from atum_ops.webhooks.registration import Plan
    from atum_workers.postmark_api import ProviderFailed

_UNREACHABLE: Final = 3


@click.group()
def webhook() -> None:
    """Have the provider tell what becomes of mails, and check that it does."""


@webhook.command()
@click.option(
    "--stream", "streams", multiple=True, help="A message stream, repeatable; without: each that sends."
)
@click.option("--opens/--no-opens", default=None, help="Be told of opens, or not; without: as it is.")
@click.option("--clicks/--no-clicks", default=None, help="Be told of clicks, or not; without: as it is.")
@click.option("--yes", is_flag=True, help="Do it; without, only say what would change.")
@orders.BY
@show.FORMAT
@show.command_errors
def setup(
    *, streams: Sequence[str], opens: bool | None, clicks: bool | None, yes: bool, by: str, form: str
) -> None:
    """Register the endpoint at Postmark for each stream, or change its webhook, and verify it.

    The URL is ATUM_WEBHOOK_URL; Postmark gets the first of ATUM_WEBHOOK_BASIC and ATUM_WEBHOOK_SECRET. Deliveries,
    bounces, complaints and changes of subscriptions are told, opens and clicks on demand. Run it again after each
    change, and when Postmark has paused a type of event. Exit status 1 when one is not verified, 3 when Postmark does
    not answer.

    \b
    Examples:
      atum-mailer webhook setup
      atum-mailer webhook setup --stream broadcast --opens --yes
    """
    from atum_ops.webhooks import registering
    from atum_ops.webhooks.live import live
    from atum_ops.webhooks.registration import plan, wanted
    from atum_workers.postmark_api import PostmarkApi, ProviderFailed

    configured = settings.load()
    target = wanted(configured, live(configured), opens=opens, clicks=clicks)
    api = PostmarkApi(base_url=configured.postmark_url, token=configured.need_postmark_token())
    try:
        known = registering.registered(api)
        plans = [plan(stream, known, target) for stream in registering.streams(api, streams)]
        if not yes:
            _print_plans(plans, form)
            return
        # Opened before anything is changed: what cannot be kept in the audit log is not done.
        with database.connect(configured.database_url.get_secret_value(), name="cli") as connection:
            outcomes = [registering.apply(api, each) for each in plans]
            told = [
                {"stream": each.stream, "was": _DONE[each.action], "verified": each.verified}
                for each in outcomes
            ]
            audit.record(connection, f"operator:{by}", "webhook.set_up", *told)
    except ProviderFailed as error:
        _no_answer(error)
    finally:
        api.close()
    _print_outcomes(outcomes, form)
    if not all(each.verified for each in outcomes):
        sys.exit(1)


def _no_answer(error: ProviderFailed) -> NoReturn:
    from atum_workers.catch_up import remedy

    click.echo(f"atum-mailer: the provider does not answer: {error}{remedy(error)}", err=True)
    sys.exit(1 if error.status is not None else _UNREACHABLE)


def _print_plans(plans: Sequence[Plan], form: str) -> None:
    from atum_ops.webhooks.registering import document

    if form == "json":
        show.json({"applied": False, "streams": [document(each) for each in plans]})
        return
    rows = [
        (each.stream, each.webhook_id, "; ".join(each.changes) or "as it should be", _ids(each.others))
        for each in plans
    ]
    show.table("Webhooks", ["stream", "webhook", "would change", "others of the stream"], rows)
    click.echo("nothing was changed; repeat with --yes to do it and to verify")


def _ids(ids: Sequence[int]) -> str | None:
    return ", ".join(map(str, ids)) or None


def _print_outcomes(outcomes: Sequence[Outcome], form: str) -> None:
    from atum_ops.webhooks.registering import document

    if form == "json":
        show.json({"applied": True, "streams": [document(each) for each in outcomes]})
        return
    rows = [
        (each.stream, each.webhook_id, _DONE[each.action], "verified" if each.verified else each.failure)
        for each in outcomes
    ]
    show.table("Webhooks", ["stream", "webhook", "was", "now"], rows)
    for remedy in dict.fromkeys(each.remedy for each in outcomes if each.remedy):
        click.echo(f"what helps: {remedy}", err=True)


_DONE: Final = {"create": "missing", "edit": "changed", "none": "as it should be"}


@webhook.command()
@click.option(
    "--to",
    metavar="URL",
    help="Where the tests go; without: the endpoint here if it runs, else ATUM_WEBHOOK_URL.",
)
@show.FORMAT
def check(*, to: str | None, form: str) -> None:
    """Check the whole way back: what the endpoint demands, what has come, what Postmark has registered, and a real test.

    Test events go to the endpoint with each live credential, and must be stored; with a wrong one, they must be refused.
    They have a type that changes nothing. No credential is ever shown. Exit status 1 when something is bad, 3 when
    somebody does not answer.

    \b
    Examples:
      atum-mailer webhook check
      atum-mailer webhook check --to https://mail.example.com/webhooks/postmark --format=json
    """
    from atum_ops.webhooks import checking, findings
    from atum_ops.webhooks.live import live

    configured = settings.load()
    credentials = live(configured)
    url = checking.target(configured, to)
    found = [
        *findings.of_settings(configured, credentials),
        *checking.of_inbox(configured),
        *checking.of_provider(configured, credentials),
        *checking.of_endpoint(configured, credentials, url),
    ]
    status = findings.status(found)
    if form == "json":
        show.json({"good": not status, "tested": url, "findings": [each._asdict() for each in found]})
    else:
        rows = [(each.about, each.level.value, each.says, each.remedy) for each in found]
        show.table(f"The way back, tested at {url}", ["what", "is", "found", "what helps"], rows)
    sys.exit(status)
