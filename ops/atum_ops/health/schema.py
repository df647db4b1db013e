"""`schema`: tables, columns, constraints and indexes are those that this version's migrations make.

Nothing is believed of a version that somebody wrote down: what is there is looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import psycopg

from atum_ops.health.findings import Finding, bad, good, warning
from atum_schema import fingerprint, migrate
from atum_schema.errors import MigrationError

if TYPE_CHECKING:
    from atum_ops.health.surroundings import Surroundings

NAME: Final = "schema"
_SHOWN: Final = 3
_MIGRATE: Final = "atum-mailer migrate"
_ALTERED: Final = "somebody has altered it by hand: restore it, or compare with: atum-mailer migrate --print"


def look(surroundings: Surroundings) -> list[Finding]:
    """Compare what the database has with what the migrations make."""
    connection = surroundings.connection
    try:
        difference = fingerprint.difference(fingerprint.things(connection), fingerprint.expected())
        migrate.check(connection)
    except psycopg.errors.InvalidSchemaName:
        return [bad(NAME, "the database has no schema yet", _MIGRATE)]
    except MigrationError as error:
        remedy = (
            _MIGRATE if "lacks" in str(error) else "upgrade atum-mailer to the version that made the schema"
        )
        return [bad(NAME, str(error).partition(";")[0], remedy)]
    return judge(difference)


def judge(difference: fingerprint.Difference) -> list[Finding]:
    """Say what a difference means, the migrations having been applied."""
    found = []
    if difference.missing:
        found.append(bad(NAME, f"missing: {_some(difference.missing)}", _ALTERED))
    if difference.strange:
        found.append(warning(NAME, f"not of this version: {_some(difference.strange)}", _ALTERED))
    return found or [good(NAME, "tables, columns, constraints and indexes are those of this version")]


def _some(things: list[str]) -> str:
    more = len(things) - _SHOWN
    return "; ".join(things[:_SHOWN]) + (f"; and {more} more" if more > 0 else "")
