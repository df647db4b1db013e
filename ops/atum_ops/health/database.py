"""`database`: it answers, keeps what it has acknowledged, and has connections left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from atum_ops.health import database_store
from atum_ops.health.findings import Finding, bad, good, warning

if TYPE_CHECKING:
    from atum_ops.health.surroundings import Surroundings

NAME: Final = "database"
_MOST_SHARE: Final = 0.9


def look(surroundings: Surroundings) -> list[Finding]:
    """Ask the server how it is set up."""
    return judge(database_store.server(surroundings.connection))


def judge(server: database_store.Server) -> list[Finding]:
    """Say what its set-up means."""
    found = []
    if server.is_replica:
        found.append(
            bad(NAME, "it is a replica: nothing can be written", "set ATUM_DATABASE_URL to the primary")
        )
    if not server.fsync:
        text = "fsync is off: a crash may lose what was acknowledged"
        found.append(bad(NAME, text, "set fsync = on and restart PostgreSQL"))
    if server.synchronous_commit == "off":
        text = "synchronous_commit is off: a crash may lose accepted mail and posting marks"
        found.append(bad(NAME, text, "set synchronous_commit = on, for the server, database and role"))
    share = server.connections / max(1, server.most_connections)
    text = f"{server.connections} of {server.most_connections} connections are in use"
    if share > _MOST_SHARE:
        found.append(warning(NAME, text, "raise max_connections, or run fewer processes or threads"))
    return found or [good(NAME, f"PostgreSQL {server.version} answers; {text}")]
