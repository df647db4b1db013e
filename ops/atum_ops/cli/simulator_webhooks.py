"""`simulator webhooks …`: whom a running simulator tells what becomes of mails, and what goes wrong with that."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from atum_ops import show
from atum_ops.cli.simulator import read_shares
from atum_ops.cli.simulator_steering import URL, remote_at
from atum_ops.simulator.fates import COURSES
from atum_ops.simulator.webhook_events import TRIGGERS
from atum_ops.simulator.webhook_faults import SAYS, WEBHOOK_PRESETS, WebhookFaults, webhook_preset
from atum_schema.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

BASIC_VARIABLE: Final = "ATUM_SIMULATOR_WEBHOOK_BASIC"
HEADER_VARIABLE: Final = "ATUM_SIMULATOR_WEBHOOK_HEADER"
_OFF: Final = "off"
_NOBODY: Final = "none"


@click.group()
def webhooks() -> None:
    """Have a running simulator post webhooks, and let things go wrong with them."""


@webhooks.command("show")
@URL
@show.FORMAT
def show_webhooks(url: str, form: str) -> None:
    """Show who is told, how that fares, the fates, the faults, and what is still to come.

    \b
    Examples:
      atum-mailer simulator webhooks show
      atum-mailer simulator webhooks show --format=json | jq .counts
    """
    _print(remote_at(url).webhooks(), form)


@webhooks.command()
@click.argument("target", metavar="TARGET")
@click.option("--stream", default="outbound", show_default=True, help="The stream whose events are posted.")
@click.option(
    "--trigger",
    "triggers",
    type=click.Choice(TRIGGERS),
    multiple=True,
    help="A type of event; may be repeated. Without it: all.",
)
@URL
@show.FORMAT
def register(target: str, stream: str, triggers: tuple[str, ...], url: str, form: str) -> None:
    """Have the events of a stream posted to the URL TARGET from now on. There is no probe.

    Credentials come from ATUM_SIMULATOR_WEBHOOK_BASIC (`user:password`) and ATUM_SIMULATOR_WEBHOOK_HEADER
    (`Name: value`). Mails that are accepted from now on have fates.

    \b
    Examples:
      atum-mailer simulator webhooks register http://127.0.0.1:8026/webhooks/postmark
      atum-mailer simulator webhooks register http://127.0.0.1:8026/hook --trigger Bounce --trigger Delivery
    """
    document: dict[str, Any] = {
        "Url": target,
        "MessageStream": stream,
        "HttpAuth": _basic(),
        "HttpHeaders": _header(),
        "Triggers": {trigger: {"Enabled": True} for trigger in triggers or TRIGGERS},
    }
    _print(remote_at(url).register_webhook(document), form)


@webhooks.command()
@click.argument("webhook_id", type=int, metavar="ID")
@URL
@show.FORMAT
def remove(webhook_id: int, url: str, form: str) -> None:
    """Post nothing to this webhook any more. What is under way is forgotten.

    \b
    Example:
      atum-mailer simulator webhooks remove 1001
    """
    _print(remote_at(url).remove_webhook(webhook_id), form)


@webhooks.command()
@click.argument("plan", metavar="PLAN")
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed gives the same faults.")
@URL
@show.FORMAT
def faults(plan: str, seed: int, url: str, form: str) -> None:
    """Let faults hit webhooks from now on: a preset, one fault that hits everything, or a JSON file.

    None of them changes what is true of a mail. An outage ends. PLAN is one of the presets or faults below, or a file.

    \b
    Examples:
      atum-mailer simulator webhooks faults all --seed 7
      atum-mailer simulator webhooks faults duplicated
      atum-mailer simulator webhooks faults none
    """
    _print(remote_at(url).set_webhook_faults(_read_faults(plan, seed=seed)), form)


faults.epilog = (
    "\b\nPresets:\n"
    + "".join(f"  {name}\n" for name in WEBHOOK_PRESETS)
    + "Faults:\n"
    + "\n".join(f"  {name}: {says}" for name, says in SAYS.items())
)


@webhooks.command()
@click.argument("mode", type=click.Choice(["lost", "failing", _OFF]), metavar="MODE")
@URL
@show.FORMAT
def outage(mode: str, url: str, form: str) -> None:
    """Begin or end an outage of webhooks; the other faults stay.

    While it is `lost`, what happens is never told; while it is `failing`, every attempt fails, and events run up the
    retry ladder; `off` ends it.

    \b
    Examples:
      atum-mailer simulator webhooks outage lost
      atum-mailer simulator webhooks outage off
    """
    _print(remote_at(url).set_webhook_outage("" if mode == _OFF else mode), form)


@webhooks.command()
@click.argument("shares", metavar="SHARES")
@URL
@show.FORMAT
def fates(shares: str, url: str, form: str) -> None:
    """Say what becomes of the mails that are accepted from now on.

    SHARES is a list such as `bounce-hard=0.02,complaint=0.01`, and the rest is delivered; `delivered` alone is all;
    `none`: mails have no fate, and nothing is known of them. An address whose local part is the name of a fate, alone
    or before a `+`, has that fate.

    \b
    Examples:
      atum-mailer simulator webhooks fates bounce-hard=0.02,bounce-soft=0.03,complaint=0.005
      atum-mailer simulator webhooks fates none
    """
    given = None if shares == _NOBODY else read_shares(shares)
    _print(remote_at(url).set_fates(given), form)


fates.epilog = "\b\nFates:\n" + "\n".join(f"  {fate}: {course.says}" for fate, course in COURSES.items())


def _basic() -> dict[str, str] | None:
    given = os.environ.get(BASIC_VARIABLE)
    if not given:
        return None
    user, colon, password = given.partition(":")
    if not (user and colon and password):
        raise SettingsError(f"{BASIC_VARIABLE} must be a user and a password, with a colon between them")
    return {"Username": user, "Password": password}


def _header() -> list[dict[str, str]]:
    given = os.environ.get(HEADER_VARIABLE)
    if not given:
        return []
    name, colon, value = (part.strip() for part in given.partition(":"))
    if not (name and colon and value):
        raise SettingsError(f"{HEADER_VARIABLE} must be a header's name and value, with a colon between them")
    return [{"Name": name, "Value": value}]


def _read_faults(given: str, *, seed: int) -> WebhookFaults:
    if given in WEBHOOK_PRESETS or given in SAYS:
        return webhook_preset(given, seed=seed)
    import orjson

    try:
        document = orjson.loads(Path(given).read_bytes())
    except OSError as error:
        presets = ", ".join(WEBHOOK_PRESETS)
        raise SettingsError(
            f"{given!r} is no preset ({presets}), no fault ({', '.join(SAYS)}) and no file: {error.strerror}"
        ) from error
    except orjson.JSONDecodeError as error:
        raise SettingsError(f"{given} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise SettingsError(f"{given} does not hold webhook faults: it must be a JSON object")
    return WebhookFaults.from_document(document)


def _print(status: Mapping[str, Any], form: str) -> None:
    if form == "json":
        show.json(status)
        return
    show.table(
        "Webhooks",
        ["id", "url", "stream", "events", "not active"],
        [
            (
                one["ID"],
                one["Url"],
                one["MessageStream"],
                ", ".join(one["Statuses"]),
                ", ".join(f"{kind} {state}" for kind, state in one["Statuses"].items() if state != "Active")
                or None,
            )
            for one in status["webhooks"]
        ],
    )
    click.echo(f"counts: {_listed(status['counts']) or 'none yet'}")
    click.echo(f"to come: {status['upcoming']} steps, {status['pending']} deliveries")
    known = WebhookFaults().to_document()
    changed = {name: value for name, value in status["faults"].items() if value != known[name]}
    click.echo(f"faults: {_listed(changed) or 'none'}")
    plan = status["fates"]
    if plan is None:
        click.echo("fates: mails have none")
    else:
        click.echo(f"fates: {_listed(plan['shares']) or 'all are delivered'} (seed {plan['seed']})")


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())
