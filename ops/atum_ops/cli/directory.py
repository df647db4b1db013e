"""The option of commands that run private servers: where these keep their data."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

DIRECTORY: Final = click.option(
    "--directory",
    type=click.Path(path_type=Path),
    default=".local",
    show_default=True,
    help="Where private servers keep their data while it runs.",
)
