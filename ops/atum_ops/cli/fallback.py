"""`fallback`: whether the SMTP relay may stand in for the provider, and whether it does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from atum_ops import show, standing_in
from atum_ops.cli import orders
from atum_ops.durations import Duration
from atum_schema import database, live, settings
from atum_schema.errors import AtumError
from atum_schema.fallback import AUTO, OFF, ON

if TYPE_CHECKING:
    from datetime import timedelta

    from atum_ops.standing_in import Standing
    from atum_schema.settings import Settings

_COLUMNS = ("lane", "provider", "since (UTC)", "SMTP", "new mail goes to", "because")
_AFTER_MOST_S = 86_400


@click.group()
def fallback() -> None:
    """Let an SMTP relay stand in for the provider, and see whether it does."""


@fallback.command()
@show.FORMAT
@show.command_errors
def status(form: str) -> None:
    """Show whether the SMTP relay may stand in, per lane whether it does and why, and what it has left open.

    \b
    Examples:
      atum-mailer fallback status
      atum-mailer fallback status --format=json | jq '.lanes[] | select(.in_use)'
    """
    configured = settings.load_without_keys()
    with _connected(configured) as connection:
        found = standing_in.standing(connection, configured)
    if form == "json":
        show.json(_document(found))
        return
    click.echo(f"fallback is {found.mode}{_after(found)}; the SMTP relay is {_set_up(found.configured)}")
    rows = [
        (
            each.lane,
            each.primary,
            f"{each.since:%Y-%m-%d %H:%M:%S}",
            each.smtp,
            "SMTP" if each.in_use else "the provider",
            each.explanation,
        )
        for each in found.lanes
    ]
    show.table("Lanes", _COLUMNS, rows)
    if found.left.held or found.left.unknown:
        click.echo(
            f"{found.left.held + found.left.unknown:,} mails may have been taken by the SMTP relay, which cannot be "
            f"asked: {found.left.held:,} are held, {found.left.unknown:,} will be"
        )
    if found.left.pinned:
        click.echo(f"{found.left.pinned:,} mails wait for the SMTP relay alone")


@fallback.command()
@click.option(
    "--auto", is_flag=True, help="Only while a lane's window has been closed for long; without, always."
)
@click.option("--after", type=Duration(), help="For how long; as in ATUM_FALLBACK_AFTER_S, if not said.")
@orders.BY
@orders.NOTE
@orders.YES
@show.command_errors
def enable(*, auto: bool, after: timedelta | None, by: str, note: str | None, yes: bool) -> None:
    """Let the SMTP relay take new mail: at once, or with --auto once a lane's window has been closed for long.

    Mails with an attempt whose outcome is unknown never go there. Relays notice within five seconds.

    \b
    Examples:
      atum-mailer fallback enable --auto --after 15m --yes
      atum-mailer fallback enable --note "provider down for maintenance" --yes
    """
    if after is not None and not auto:
        raise click.UsageError("--after is for --auto: without it, the SMTP relay takes new mail at once")
    if after is not None and after.total_seconds() > _AFTER_MOST_S:
        raise click.BadParameter("must be 24 hours at most", param_hint="--after")
    configured = settings.load_without_keys()
    if configured.smtp_server is None:
        raise AtumError(
            "no SMTP relay is set up: set ATUM_SMTP_URL here, for relays and for workers, and restart these"
        )
    changes: dict[str, str | None] = {"fallback": AUTO if auto else ON}
    if after is not None:
        changes["fallback_after_s"] = f"{after.total_seconds():g}"
    _change(configured, changes, by=by, note=note, do=yes)


@fallback.command()
@orders.BY
@orders.NOTE
@show.command_errors
def disable(*, by: str, note: str | None) -> None:
    """Give all new mail to the provider again. What the SMTP relay is being given now ends.

    \b
    Example:
      atum-mailer fallback disable --note "provider is back"
    """
    _change(settings.load_without_keys(), {"fallback": OFF}, by=by, note=note, do=True)


def _change(
    configured: Settings, changes: dict[str, str | None], *, by: str, note: str | None, do: bool
) -> None:
    with _connected(configured) as connection:
        if do:
            with connection.transaction():
                live.change(connection, configured, changes, actor=f"operator:{by}", reason=note)
        found = standing_in.standing(connection, configured)
    if do:
        click.echo(f"fallback is {found.mode}{_after(found)}, as of version {found.version} of the settings")
        return
    words = ", ".join(f"{name} = {value}" for name, value in changes.items())
    click.echo(f"would set {words}; fallback is {found.mode} now. Repeat with --yes to do it")


def _connected(configured: Settings) -> Any:
    return database.connect(configured.database_url.get_secret_value(), name="cli")


def _document(found: Standing) -> dict[str, Any]:
    return {
        "mode": found.mode,
        "version": found.version,
        "after_s": found.after_s,
        "configured": found.configured,
        "lanes": found.lanes,
        "left": found.left._asdict(),
    }


def _after(found: Standing) -> str:
    return f" (after {show.age(found.after_s)})" if found.mode == AUTO else ""


def _set_up(configured: bool) -> str:
    return "set up" if configured else "not set up here (ATUM_SMTP_URL)"
