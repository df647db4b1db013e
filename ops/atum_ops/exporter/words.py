"""Why the database could not be read, in words of our own: the driver's quote hosts, users and values. Pure and total."""

from __future__ import annotations

from psycopg import errors

_MIGRATE = "its schema is not that of this version; run: atum-mailer migrate"
_GRANT = "the role may not read all that is needed; apply deploy/postgres/exporter.sql again"


def words(error: Exception) -> str:
    """Say what is wrong, and what to do about it where that is known."""
    if isinstance(error, errors.UndefinedTable | errors.UndefinedColumn | errors.InvalidSchemaName):
        return _MIGRATE
    if isinstance(error, errors.InsufficientPrivilege):
        # A schema that the role does not see is told as one that it may not use.
        return _GRANT
    return type(error).__name__
