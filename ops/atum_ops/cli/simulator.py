"""`simulator`: a Postmark that keeps a ledger of what it really accepted; below it, what steers a running one."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from atum_ops.simulator.conditions import Conditions
from atum_ops.simulator.fates import Fate
from atum_ops.simulator.faults import FaultKind, FaultPlan
from atum_ops.simulator.presets import PRESETS, preset
from atum_schema.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from atum_ops.simulator.config import SimulatorConfig
    from atum_ops.simulator.serve import Addresses

TOKEN_VARIABLE: Final = "ATUM_SIMULATOR_TOKEN"  # noqa: S105 - the name of a variable
CONTROL_TOKEN_VARIABLE: Final = "ATUM_SIMULATOR_CONTROL_TOKEN"  # noqa: S105 - the name of a variable
_STEERING: Final = {
    "faults": ("simulator_steering", "faults"),
    "scenario": ("simulator_steering", "scenario"),
    "set": ("simulator_steering", "set_conditions"),
    "webhooks": ("simulator_webhooks", "webhooks"),
}
_CONDITIONS: Final = {
    "latency_ms": ("--latency-ms", "Milliseconds per sending request."),
    "latency_per_item_ms": ("--latency-per-item-ms", "Milliseconds per message."),
    "latency_tail": ("--latency-tail", "Pareto exponent that the latency is drawn with; 0: it is constant."),
    "index_lag_s": ("--index-lag", "Seconds until a search finds an accepted message."),
    "suppression_lag_s": ("--suppression-lag", "Seconds until a changed suppression shows."),
    "idle_s": ("--idle", "Seconds until a kept-alive connection is closed; 0: never."),
    "rate_per_s": ("--rate", "Messages per second of the rate limit; 0: there is none."),
    "rate_burst": ("--rate-burst", "Messages at once under the rate limit; 0: one second's worth."),
}


class _Steered(click.Group):
    """A group that runs a simulator itself; what steers one is imported when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return sorted(_STEERING)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in _STEERING:
            return None
        module, name = _STEERING[cmd_name]
        command: click.Command = getattr(importlib.import_module(f"atum_ops.cli.{module}"), name)
        return command


def condition_options(*, defaults: bool) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command one option for each of the `Conditions`; without `defaults`, None means: not given."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        decorated = click.option(
            "--retry-after",
            "rate_retry_after",
            type=click.Choice(["yes", "no"]),
            default="no" if defaults else None,
            show_default=defaults,
            help="Whether the rate limit's 429 says Retry-After.",
        )(function)
        for name, (option, text) in reversed(_CONDITIONS.items()):
            default = getattr(Conditions(), name) if defaults else None
            decorated = click.option(
                option, name, type=float, default=default, show_default=defaults, help=text
            )(decorated)
        return decorated

    return decorate


def conditions(given: dict[str, Any]) -> dict[str, float | bool]:
    """Give the conditions among the options of a command, without those that were not given."""
    found = {name: given[name] for name in _CONDITIONS if given[name] is not None}
    if given["rate_retry_after"] is not None:
        found["rate_retry_after"] = given["rate_retry_after"] == "yes"
    return found


def read_plan(given: str, *, seed: int) -> FaultPlan:
    """Give the plan that a preset, a kind of fault or a JSON file stands for. Raises SettingsError if none does."""
    if given in PRESETS or given in set(FaultKind):
        return preset(given, seed=seed)
    import orjson

    try:
        document = orjson.loads(Path(given).read_bytes())
    except OSError as error:
        raise SettingsError(
            f"{given!r} is no preset ({', '.join(PRESETS)}), no kind of fault and no file: {error.strerror}"
        ) from error
    except orjson.JSONDecodeError as error:
        raise SettingsError(f"{given} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise SettingsError(f"{given} is not a fault plan: it must be a JSON object")
    return FaultPlan.from_document(document)


def read_shares(given: str) -> dict[str, float]:
    """Read the shares of fates, as in `bounce-hard=0.02,complaint=0.01`. Raises SettingsError."""
    if given == Fate.DELIVERED:
        return {}
    shares = {}
    for part in given.split(","):
        name, _, share = (piece.strip() for piece in part.partition("="))
        try:
            shares[name] = float(share)
        except ValueError:
            raise SettingsError(
                f"{part.strip()!r} is not a fate and its share, such as bounce-hard=0.02"
            ) from None
    return shares


@click.group(cls=_Steered, invoke_without_command=True)
@click.option(
    "--config",
    "config_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Read all settings from this JSON file; other options are ignored.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8025, show_default=True, help="Port; 0 takes a free one."
)
@click.option(
    "--control-port",
    type=click.IntRange(0, 65535),
    help="A second port, for control alone; it answers when the first refuses.",
)
@condition_options(defaults=True)
@click.option(
    "--faults", default="none", show_default=True, metavar="PLAN", help="A preset, a kind, or a JSON file."
)
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed gives the same faults.")
@click.option(
    "--ledger",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to append accepted messages to; it is loaded again at start.",
)
@click.option("--stream", multiple=True, metavar="ID[:TYPE]", help="Add a stream (Transactional).")
@click.option(
    "--signatures", default="", metavar="LIST", help="Confirmed addresses and domains, with commas."
)
@click.option(
    "--fates", metavar="SHARES", help="What becomes of mails, as in bounce-hard=0.02,complaint=0.01."
)
@click.option(
    "--time-scale",
    type=float,
    default=1.0,
    show_default=True,
    help="Seconds that a second of fates and retries takes.",
)
@click.option(
    "--retry-rules",
    type=click.Choice(["new", "old"]),
    default="new",
    show_default=True,
    help="How webhooks are tried again.",
)
@click.option("--ready-fd", type=int, metavar="FD", help="Write the URLs here once connections are taken.")
@click.option("--stop-fd", type=int, metavar="FD", help="Stop when the other end of this is closed.")
@click.pass_context
def simulator(ctx: click.Context, /, **options: Any) -> None:
    """Run a simulated Postmark, or steer a running one. See docs/simulator.md.

    Tokens come from ATUM_SIMULATOR_TOKEN (what clients must send) and ATUM_SIMULATOR_CONTROL_TOKEN (what the commands
    below must send; without it, nobody can steer).

    \b
    Examples:
      atum-mailer simulator
      atum-mailer simulator --latency-ms 100 --faults default --seed 7 --ledger ledger.jsonl
      atum-mailer simulator scenario outage 5m
    """
    if ctx.invoked_subcommand is not None:
        _refuse_options(ctx)
        return
    from atum_ops import leash
    from atum_ops.simulator.serve import run

    try:
        config = _config(options)
    except (SettingsError, ValueError) as error:
        raise click.UsageError(str(error), ctx) from error
    leash.hold()
    try:
        run(config, lambda where: _announce(where, options["ready_fd"]), stop_fd=options["stop_fd"])
    except OSError as error:
        raise click.ClickException(f"cannot serve on {config.host}:{config.port}: {error}") from error


def _refuse_options(ctx: click.Context) -> None:
    given = [
        name
        for name in ctx.params
        if ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
    ]
    if given:
        option = given[0].replace("_", "-")
        raise click.UsageError(
            f"--{option} is for running a simulator; options of {ctx.invoked_subcommand!r} come after it", ctx
        )


def _config(options: dict[str, Any]) -> SimulatorConfig:
    from atum_ops.simulator.config import DEFAULT_STREAMS, SimulatorConfig

    if options["config_file"] is not None:
        import orjson

        return SimulatorConfig.from_document(orjson.loads(options["config_file"].read_bytes()))
    added = dict(one.partition(":")[::2] for one in options["stream"])
    tokens = {
        "token": os.environ.get(TOKEN_VARIABLE),
        "control_token": os.environ.get(CONTROL_TOKEN_VARIABLE),
    }
    values: dict[str, Any] = {
        "host": options["host"],
        "port": options["port"],
        "control_port": options["control_port"],
        "faults": read_plan(options["faults"], seed=options["seed"]),
        "seed": options["seed"],
        "ledger_path": options["ledger"],
        "fates": None if options["fates"] is None else read_shares(options["fates"]),
        "time_scale": options["time_scale"],
        "retry_rules": options["retry_rules"],
        "streams": DEFAULT_STREAMS | {name: kind or "Transactional" for name, kind in added.items()},
        "signatures": frozenset(
            one.strip().lower() for one in options["signatures"].split(",") if one.strip()
        ),
    }
    values |= conditions(options) | {name: token for name, token in tokens.items() if token}
    return SimulatorConfig(**values)


def _announce(where: Addresses, ready_fd: int | None) -> None:
    if ready_fd is not None:
        os.write(ready_fd, f"{where.url} {where.control_url}\n".encode())
        os.close(ready_fd)
        return
    click.echo(f"simulated Postmark on {where.url}", err=True)
    if where.control_url != where.url:
        click.echo(f"control on {where.control_url}", err=True)
    if not os.environ.get(CONTROL_TOKEN_VARIABLE):
        click.echo(f"nobody can steer it: {CONTROL_TOKEN_VARIABLE} is not set", err=True)
