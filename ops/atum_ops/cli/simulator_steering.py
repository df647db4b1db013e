"""`simulator faults`, `simulator scenario`, `simulator set`: steer a running simulator."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, Final

import click

from atum_ops import show
from atum_ops.cli.simulator import CONTROL_TOKEN_VARIABLE, condition_options, conditions, read_plan
from atum_ops.simulator.conditions import Conditions
from atum_ops.simulator.remote import Remote
from atum_ops.simulator.scenarios import SCENARIOS
from atum_schema.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

_DURATION: Final = re.compile(r"(?=.)(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s?)?")
_CLEAR: Final = "clear"

URL = click.option(
    "--url",
    envvar="ATUM_SIMULATOR_URL",
    default="http://127.0.0.1:8025",
    show_default=True,
    help="Where it listens; also ATUM_SIMULATOR_URL.",
)


def duration_s(ctx: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    """Read a time such as `90`, `30s`, `5m` or `1h30m`, as seconds. Raises click.BadParameter."""
    if value is None:
        return None
    match = _DURATION.fullmatch(value)
    parts = match.groups() if match is not None else ()
    seconds = sum(float(part or 0) * size for part, size in zip(parts, (3600, 60, 1), strict=False))
    if not seconds:
        raise click.BadParameter(f"{value!r} is not a duration such as 90, 30s, 5m or 1h30m", ctx, parameter)
    return seconds


@click.group()
def faults() -> None:
    """Show and change the fault plan of a running simulator."""


@faults.command("show")
@URL
@show.FORMAT
def show_faults(url: str, form: str) -> None:
    """Show the fault plan, what has fired, the conditions, and the scenario that is being played.

    \b
    Examples:
      atum-mailer simulator faults show
      atum-mailer simulator faults show --format=json | jq .fired
    """
    _print(remote_at(url).status(), form)


@faults.command("set")
@click.argument("plan", metavar="PLAN")
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed gives the same faults.")
@URL
@show.FORMAT
def set_faults(plan: str, seed: int, url: str, form: str) -> None:
    """Replace the fault plan: a preset, a kind of fault that hits everything, or a JSON file.

    A scenario that is being played goes on; the plan shows when it ends.

    \b
    Examples:
      atum-mailer simulator faults set default --seed 7
      atum-mailer simulator faults set 500_after
      atum-mailer simulator faults set plan.json
    """
    remote = remote_at(url)
    remote.set_faults(read_plan(plan, seed=seed))
    _print(remote.status(), form)


@faults.command("clear")
@URL
@show.FORMAT
def clear_faults(url: str, form: str) -> None:
    """Let no fault happen any more.

    \b
    Example:
      atum-mailer simulator faults clear
    """
    remote = remote_at(url)
    remote.set_faults(read_plan("none", seed=0))
    _print(remote.status(), form)


@click.command()
@click.argument("name", required=False, type=click.Choice([*SCENARIOS, _CLEAR]), metavar="NAME")
@click.argument("duration", required=False, callback=duration_s, metavar="DURATION")
@URL
@show.FORMAT
def scenario(name: str | None, duration: float | None, url: str, form: str) -> None:
    """Play a scenario in place of the fault plan, for a while or until `clear`; without NAME, show what is played.

    The simulator keeps the time: it returns to what it was before even if this command or its machine is gone. A
    scenario ends the one before. NAME is one of the scenarios below, or `clear`.

    \b
    Examples:
      atum-mailer simulator scenario outage 5m
      atum-mailer simulator scenario brownout 1h30m
      atum-mailer simulator scenario
      atum-mailer simulator scenario clear
    """
    remote = remote_at(url)
    if name is None:
        status = remote.status()
    elif name == _CLEAR:
        if duration is not None:
            raise click.UsageError("clear takes no duration")
        status = remote.clear_scenario()
    else:
        status = remote.scenario(name, duration)
    if form == "json":
        show.json(status["scenario"])
    else:
        click.echo(_playing(status["scenario"]))


scenario.epilog = "\b\nScenarios:\n" + "\n".join(f"  {name}: {one.says}" for name, one in SCENARIOS.items())


@click.command("set")
@condition_options(defaults=False)
@URL
@show.FORMAT
def set_conditions(url: str, form: str, **options: Any) -> None:
    """Change latency, lags, idle time and rate limit of a running simulator; what is not given stays.

    \b
    Examples:
      atum-mailer simulator set --index-lag 20 --latency-ms 100
      atum-mailer simulator set --rate 50 --rate-burst 200 --retry-after yes
      atum-mailer simulator set --rate 0
    """
    changes = conditions(options)
    if not changes:
        raise click.UsageError("nothing to set; give at least one option, see --help")
    _print(remote_at(url).tune(changes), form)


def remote_at(url: str) -> Remote:
    """Give the control side of the simulator at a URL. Raises SettingsError without a control token."""
    token = os.environ.get(CONTROL_TOKEN_VARIABLE)
    if not token:
        raise SettingsError(
            f"{CONTROL_TOKEN_VARIABLE} is not set: start the simulator with one of your choice, and set it here to the"
            " same"
        )
    return Remote(url, token)


def _print(status: Mapping[str, Any], form: str) -> None:
    if form == "json":
        show.json(status)
        return
    plan, fired = status["faults"], status["fired"]
    show.table(
        f"Fault plan (seed {plan['seed']})",
        ["kind", "target", "probability", "only if", "fired"],
        [
            (rule["kind"], rule["target"], rule["probability"], _limits(rule), fired.get(rule["kind"], 0))
            for rule in plan["rules"]
        ],
    )
    others = [f"{kind} {count}" for kind, count in fired.items() if kind not in _kinds(plan)]
    if others:
        click.echo(f"fired in scenarios: {', '.join(others)}")
    changed = [
        f"{name} {value:g}"
        for name, value in status["conditions"].items()
        if value != getattr(Conditions(), name, None)
    ]
    click.echo(f"conditions: {', '.join(changed) or 'no latency, no index lag, no rate limit'}")
    click.echo(_playing(status["scenario"]))


def _kinds(plan: Mapping[str, Any]) -> set[str]:
    return {rule["kind"] for rule in plan["rules"]}


def _limits(rule: Mapping[str, Any]) -> str | None:
    limits = [f"{key} {value}" for key, value in rule.items() if key not in {"kind", "target", "probability"}]
    return ", ".join(limits) or None


def _playing(scenario: Mapping[str, Any] | None) -> str:
    if scenario is None:
        return "scenario: none"
    left = scenario["remaining_s"]
    until = "until it is cleared" if left is None else f"{show.age(left)} to go"
    return f"scenario: {scenario['name']}, {until}: {scenario['says']}"
