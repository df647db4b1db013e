"""`client`: who may hand over mail by HTTP."""

from __future__ import annotations

import re
from typing import Final

import click

from atum_ops import show
from atum_ops.cli import orders
from atum_producers.api import clients_store, keys
from atum_producers.api.access import REFRESH_S
from atum_producers.api.clients_store import Scope
from atum_schema import audit, database, settings
from atum_schema.addresses import parse_address
from atum_schema.errors import AtumError, MailRejected

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_MOST_RATE: Final = 1_000_000.0


@click.group()
def client() -> None:
    """Make, list, rotate and revoke the clients of the API and their keys."""


@client.command()
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice([scope.value for scope in Scope]),
    multiple=True,
    default=[Scope.SEND.value, Scope.READ.value],
    show_default=True,
    help="What its keys may do; once for each.",
)
@click.option(
    "--from-domain",
    "domains",
    multiple=True,
    help="A domain that it may send from; once for each. Without any: every domain.",
)
@click.option(
    "--rate",
    type=click.FloatRange(0.01, _MOST_RATE),
    help="Mails, or other requests, per second and API process. Without: no limit.",
)
@orders.BY
@show.FORMAT
@show.command_errors
def create(
    name: str, scopes: tuple[str, ...], domains: tuple[str, ...], rate: float | None, by: str, form: str
) -> None:
    """Make a client and its first key. The key is shown once and kept nowhere.

    NAME stands in the log at each of its mails, and is the scope of its idempotency keys.

    \b
    Examples:
      atum-mailer client create shop
      atum-mailer client create newsletter --scope send --from-domain news.example.com --rate 50
    """
    if _NAME.fullmatch(name) is None:
        raise click.BadParameter(
            f"{name!r} must be 1 to 64 letters, digits, '_', '.' or '-', and begin with a letter or digit",
            param_hint="NAME",
        )
    key = keys.new_key()
    with database.connect(settings.load_database_url(), name="cli") as connection, connection.transaction():
        made = clients_store.create(
            connection,
            name=name,
            scopes=[Scope(scope) for scope in dict.fromkeys(scopes)],
            domains=sorted({_domain(domain) for domain in domains}),
            rate=rate,
            key_id=key.id,
            digest=key.digest,
        )
        if not made:
            raise AtumError(
                f"there is a client {name!r} already, or was one that is revoked; `client rotate` makes a new key"
            )
        about = {
            "client": name,
            "scopes": list(scopes),
            "domains": list(domains),
            "rate": rate,
            "key_id": key.id,
        }
        audit.record(connection, f"operator:{by}", "client.created", about)
    _show_key(name, key, form, "It works at once where this API runs. Keep it now: it is not shown again.")


@client.command("list")
@show.LIST_FORMAT
@show.command_errors
def list_all(form: str) -> None:
    """List the clients; those that were revoked too.

    \b
    Example:
      atum-mailer client list --format=json
    """
    with database.connect(settings.load_database_url(), name="cli") as connection:
        clients = clients_store.list_all(connection)
    if form == "json":
        show.json([one._asdict() for one in clients])
        return
    show.listing(
        form,
        "Clients",
        ["name", "state", "keys", "scopes", "from domains", "rate", "old key ends"],
        [
            (
                one.name,
                "live" if one.revoked_at is None else "revoked",
                one.keys,
                ", ".join(one.scopes),
                ", ".join(one.domains) or "any",
                "–" if one.rate is None else f"{one.rate:g}/s",
                None if one.next_expiry is None else f"{one.next_expiry:%Y-%m-%d %H:%M} UTC",
            )
            for one in clients
        ],
    )


@client.command()
@click.argument("name")
@click.option(
    "--grace",
    "grace_s",
    type=click.FloatRange(0, 30 * 86_400),
    default=86_400.0,
    show_default=True,
    help="Seconds for which the old keys go on working.",
)
@orders.BY
@show.FORMAT
@show.command_errors
def rotate(name: str, grace_s: float, by: str, form: str) -> None:
    """Make a new key for a client; its old ones work on for a time of grace, and then end.

    \b
    Examples:
      atum-mailer client rotate shop
      atum-mailer client rotate shop --grace 0
    """
    key = keys.new_key()
    with database.connect(settings.load_database_url(), name="cli") as connection, connection.transaction():
        ending = clients_store.rotate(
            connection, name=name, key_id=key.id, digest=key.digest, grace_s=grace_s
        )
        if ending is None:
            raise AtumError(f"there is no client {name!r} that lives")
        about = {"client": name, "key_id": key.id, "grace_s": grace_s, "keys_ending": ending}
        audit.record(connection, f"operator:{by}", "client.rotated", about)
    _show_key(name, key, form, f"Older keys: {ending}, ending in {show.age(grace_s)}.")


@client.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Really do it.")
@orders.BY
@show.command_errors
def revoke(name: str, yes: bool, by: str) -> None:
    """End a client and all of its keys, for ever. Mail that it has handed over is still sent.

    \b
    Example:
      atum-mailer client revoke shop --yes
    """
    with database.connect(settings.load_database_url(), name="cli") as connection, connection.transaction():
        if yes:
            lives = clients_store.revoke(connection, name=name)
        else:
            lives = any(
                each.name == name and each.revoked_at is None for each in clients_store.list_all(connection)
            )
        if not lives:
            raise AtumError(f"there is no client {name!r} that lives")
        if not yes:
            click.echo(
                f"the keys of {name!r} would end within {REFRESH_S:.0f} s, for ever; repeat with --yes to do it"
            )
            return
        audit.record(connection, f"operator:{by}", "client.revoked", {"client": name})
    click.echo(f"client {name!r} is revoked")


def _domain(text: str) -> str:
    try:
        return parse_address(f"x@{text}", field="from-domain").domain.lower()
    except MailRejected as error:
        raise click.BadParameter(
            f"{text!r} is no domain: {error.reason}", param_hint="--from-domain"
        ) from None


def _show_key(name: str, key: keys.NewKey, form: str, remark: str) -> None:
    if form == "json":
        show.json({"client": name, "key_id": key.id, "key": key.text})
        return
    click.echo(key.text)
    click.echo(remark, err=True)
