"""The connection of a command that shows times."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from atum_schema import database, settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from atum_schema.database import Connection


@contextmanager
def connected(url: str | None = None) -> Iterator[Connection]:
    """Connect to the database of the settings; all times come in UTC, whatever the server's zone is."""
    with database.connect(url or settings.load_database_url(), name="cli") as connection:
        connection.execute("SET TIME ZONE 'UTC'")
        yield connection
