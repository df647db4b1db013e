"""`audit`: who did what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click
import orjson

from atum_ops import show
from atum_ops.cli.connecting import connected
from atum_ops.durations import Moment
from atum_ops.mails import audit_store

if TYPE_CHECKING:
    from datetime import datetime

    from atum_ops.mails.audit_store import Entry

_MOST: Final = 10_000_000
_COLUMNS: Final = ("at", "actor", "action", "detail")


@click.command()
@click.option("--actor", help="By this one: operator:jane, jane, or all of a kind: operator, client, system.")
@click.option("--action", help="This action, or all that begin with it: mail.canceled, mail, suppression.")
@click.option("--since", type=Moment(), help="From then on: 2h ago, or 2026-11-01, or 2026-11-01T12:00Z.")
@click.option("--until", type=Moment(), help="Before then, in the same forms.")
@click.option(
    "--limit", type=click.IntRange(1, _MOST), default=100, show_default=True, help="At most so many."
)
@show.LIST_FORMAT
@show.command_errors
def audit(
    *,
    actor: str | None,
    action: str | None,
    since: datetime | None,
    until: datetime | None,
    limit: int,
    form: str,
) -> None:
    """List what people and clients of the API changed, newest first. Nobody can change this list.

    \b
    Examples:
      atum-mailer audit --since 1d
      atum-mailer audit --actor jane --action mail --limit 20
      atum-mailer audit --limit 1000000 --format=csv > audit.csv
    """
    wanted = audit_store.Wanted(actor=actor, action=action, since=since, until=until)
    with connected() as connection:
        found = audit_store.entries(connection, wanted, limit=limit)
        if form == "csv":
            show.csv(_COLUMNS, map(_row, found))
            return
        entries = list(found)
    if form == "json":
        show.json([{name: getattr(each, name) for name in _COLUMNS} for each in entries])
        return
    rows = [
        (f"{each.at:%Y-%m-%d %H:%M:%S}", each.actor, each.action, _words(each.detail)) for each in entries
    ]
    show.table("Audit", ["when (UTC)", "who", "what", "detail"], rows, whole={"when (UTC)"})
    if len(entries) == limit:
        click.echo(f"there may be more than these {limit:,}: ask with --limit", err=True)


def _row(entry: Entry) -> tuple[Any, ...]:
    return entry.at, entry.actor, entry.action, orjson.dumps(entry.detail).decode()


def _words(detail: dict[str, Any]) -> str:
    return ", ".join(
        f"{name}: {value if isinstance(value, str) else orjson.dumps(value).decode()}"
        for name, value in detail.items()
        if value not in (None, [], {})
    )
