"""`alerts render`: the rules of Prometheus and the configuration of Alertmanager, from the settings."""

from __future__ import annotations

import difflib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from atum_ops import show
from atum_ops.alerts import alertmanager, rendering
from atum_ops.alerts.alertmanager_receivers import CHANNELS
from atum_schema import database, live, settings
from atum_schema.encryption import new_key
from atum_schema.errors import AtumError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from atum_schema.settings import Settings

_MOST_LINES: Final = 40
# Rendering needs neither, but the settings are checked as a whole.
_NO_DATABASE: Final = "postgresql://"


@click.command()
@click.option(
    "--what",
    type=click.Choice(["rules", "alertmanager"]),
    default="rules",
    show_default=True,
    help="The rules of Prometheus, or the configuration of Alertmanager.",
)
@click.option(
    "--channel",
    "channels",
    type=click.Choice(CHANNELS),
    multiple=True,
    help="Only with --what alertmanager: where notices go, may be repeated (default: all).",
)
@click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write it to this file, not to stdout."
)
@click.option(
    "--check",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Write nothing; say whether this file is the same.",
)
@click.option("--live", "with_stored", is_flag=True, help="With what is set in the database, too.")
@show.command_errors
def render(
    *, what: str, channels: Sequence[str], output: Path | None, check: Path | None, with_stored: bool
) -> None:
    """Render the alerts for Prometheus, or the configuration of Alertmanager, with the settings of this environment.

    Without --live it needs no database and no other setting. With --check, exit status 1 when the file differs, and what
    differs on stdout.

    \b
    Examples:
      atum-mailer alerts render --output deploy/prometheus/atum-mailer.rules.yml
      atum-mailer alerts render --live --check /etc/prometheus/atum-mailer.rules.yml
      atum-mailer alerts render --what alertmanager --channel email --channel webhook
    """
    if output is not None and check is not None:
        raise click.UsageError("give --output or --check, not both")
    if channels and what != "alertmanager":
        raise click.UsageError("--channel goes with --what alertmanager")
    found = _stored() if with_stored else _of_environment()
    text = (
        rendering.rules(found)
        if what == "rules"
        else alertmanager.configuration(found, channels=channels or CHANNELS)
    )
    if check is not None:
        _compare(check, text)
    elif output is not None:
        _write(output, text)
    else:
        click.echo(text, nl=False)


def _of_environment() -> Settings:
    return settings.load(content_keys=new_key("none"), database_url=_NO_DATABASE)


def _stored() -> Settings:
    base = settings.load_without_keys()
    with database.connect(base.database_url.get_secret_value(), name="cli") as connection:
        return live.current(connection, base)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise AtumError(f"cannot write {path}: {error.strerror}") from None


def _compare(path: Path, text: str) -> None:
    """Say what differs, and end with exit status 1 if anything does."""
    try:
        there = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise AtumError(f"cannot read {path}: {type(error).__name__}") from None
    if there == text:
        click.echo(f"{path} is what these settings say", err=True)
        return
    lines = list(
        difflib.unified_diff(there.splitlines(), text.splitlines(), str(path), "rendered", lineterm="", n=1)
    )
    for line in lines[:_MOST_LINES]:
        click.echo(line)
    if len(lines) > _MOST_LINES:
        click.echo(f"… and {len(lines) - _MOST_LINES:,} lines more")
    click.echo(f"{path} is not what these settings say", err=True)
    sys.exit(1)
