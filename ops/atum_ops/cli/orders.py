"""What all orders have in common: who gives it, why, and that it is really meant."""

from __future__ import annotations

import getpass
from typing import Final

import click

MOST_WORDS: Final = 500
"""Characters of a reason, a note or a name, at most."""


def one_line(ctx: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Check words that people give: one printable line. A callback of click's."""
    del ctx, parameter
    if value is not None and not (value.strip() and value.isprintable() and len(value) <= MOST_WORDS):
        raise click.BadParameter(f"must be one line of 1 to {MOST_WORDS} characters")
    return None if value is None else value.strip()


NOTE: Final = click.option(
    "--note", callback=one_line, help="Why, for whoever looks next; kept in the audit log."
)


BY: Final = click.option(
    "--by",
    default=getpass.getuser,
    show_default="the user of the system",
    callback=one_line,
    help="Who orders it; kept in the audit log.",
)
YES: Final = click.option("--yes", is_flag=True, help="Do it; without, only say what would be done.")
