"""`keys`: content keys."""

from __future__ import annotations

import click

from atum_schema.encryption import new_key


@click.group()
def keys() -> None:
    """Content keys, under which mail is encrypted at rest."""


@keys.command()
@click.argument("key_id", default="k1")
def new(key_id: str) -> None:
    """Make a key for ATUM_CONTENT_KEYS. Put a new one first to rotate; keep the old ones behind it.

    \b
    Example:
      atum-mailer keys new 2026-11 > /run/secrets/content-keys
    """
    click.echo(new_key(key_id))
