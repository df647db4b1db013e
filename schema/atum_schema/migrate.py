"""Forward-only migrations: plain SQL files, one transaction each, run as an explicit step.

A file whose first line is `-- no-transaction` runs outside one (for CREATE INDEX CONCURRENTLY). Several
migrators may race: they take turns by polling `pg_try_advisory_lock`, because a blocking advisory lock
deadlocks with CREATE INDEX CONCURRENTLY, which waits for the blocked session's snapshot.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.rows import tuple_row

from atum_schema.errors import MigrationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_LOCK = 0x61747570
_LOCK_WAIT_S = 60.0
_POLL_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One file of `migrations/`."""

    #: Place in the order, from the file's name.
    version: int
    #: File name.
    name: str
    #: The statements.
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text, hexadecimal."""
        return hashlib.sha256(self.sql.encode()).hexdigest()

    @property
    def transactional(self) -> bool:
        """Whether the file runs in one transaction."""
        return not self.sql.startswith("-- no-transaction")


CREATE_LEDGER = """
CREATE SCHEMA IF NOT EXISTS atum;
CREATE TABLE IF NOT EXISTS atum.migration (
    version    integer     PRIMARY KEY,
    name       text        NOT NULL,
    checksum   text        NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
)
"""

APPLIED = "SELECT version, checksum FROM atum.migration ORDER BY version"

RECORD = "INSERT INTO atum.migration (version, name, checksum) VALUES (%s, %s, %s)"


def migrations() -> list[Migration]:
    """List the shipped migrations in order."""
    folder = resources.files("atum_schema") / "migrations"
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".sql")), key=lambda f: f.name)
    return [
        Migration(version=int(f.name.split("_", 1)[0]), name=f.name, sql=f.read_text("utf-8")) for f in files
    ]


def migrate(database_url: str) -> list[str]:
    """Bring the database to this version; give the names of the files applied (none if it is current).

    Raises `MigrationError` when an applied file was changed since, or the database is newer than this
    version, or another migrator holds the lock for longer than 60 s.
    """
    with psycopg.connect(database_url, autocommit=True, row_factory=tuple_row) as connection:
        with _locked(connection):
            connection.execute(CREATE_LEDGER)
            pending = _pending(dict(connection.execute(APPLIED).fetchall()))
            for migration in pending:
                _apply(connection, migration)
        return [migration.name for migration in pending]


def pending_sql(database_url: str | None) -> str:
    """Give the SQL that `migrate` would run, for people who apply it themselves. None: all of it."""
    wanted = migrations()
    if database_url is not None:
        with psycopg.connect(database_url, autocommit=True, row_factory=tuple_row) as connection:
            wanted = _pending(_applied_or_empty(connection))
    parts = [f"-- {m.name}\n{m.sql.rstrip()}\n{_record_sql(m)}" for m in wanted]
    return "\n\n".join([CREATE_LEDGER.strip() + ";", *parts]) + "\n"


def check(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    """Raise `MigrationError` unless the database has exactly this version's migrations."""
    _require_none(_pending(_applied_or_empty(connection)))


def check_enough(connection: psycopg.Connection[Any]) -> None:
    """Raise `MigrationError` where the database lacks a migration of this version; a newer database has all of them."""
    applied = _applied_or_empty(connection)
    if not applied:
        raise MigrationError("the database has no schema yet; run: atum-mailer migrate")
    _require_none([one for one in migrations() if one.version not in applied])


def _require_none(lacking: Sequence[Migration]) -> None:
    if lacking:
        raise MigrationError(f"the database lacks {lacking[0].name}; run: atum-mailer migrate")


def _applied_or_empty(connection: psycopg.Connection[Any]) -> dict[int, str]:
    with connection.cursor(row_factory=tuple_row) as cursor:
        found = cursor.execute("SELECT to_regclass('atum.migration')").fetchone()
        if found is None or found[0] is None:
            return {}
        return dict(cursor.execute(APPLIED).fetchall())


def _pending(applied: dict[int, str]) -> list[Migration]:
    known = {m.version: m for m in migrations()}
    newer = sorted(set(applied) - set(known))
    if newer:
        raise MigrationError(
            f"the database has migration {newer[-1]}, this version knows {max(known)}: upgrade it"
        )
    for version, checksum in applied.items():
        if known[version].checksum != checksum:
            raise MigrationError(
                f"{known[version].name} was applied with other content (checksum {checksum[:12]}…)"
            )
    return [m for version, m in sorted(known.items()) if version not in applied]


def _apply(connection: psycopg.Connection[tuple[object, ...]], migration: Migration) -> None:
    record = (migration.version, migration.name, migration.checksum)
    if migration.transactional:
        with connection.transaction():
            connection.execute(migration.sql.encode())
            connection.execute(RECORD, record)
    else:
        connection.execute(migration.sql.encode())
        connection.execute(RECORD, record)


def _record_sql(migration: Migration) -> str:
    return (
        "INSERT INTO atum.migration (version, name, checksum) "  # noqa: S608  own constants, for a person to run
        f"VALUES ({migration.version}, '{migration.name}', '{migration.checksum}');"
    )


class _locked:  # noqa: N801  reads as a statement
    def __init__(self, connection: psycopg.Connection[tuple[object, ...]]) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        deadline = time.monotonic() + _LOCK_WAIT_S
        for taken in self._tries():
            if taken:
                return
            if time.monotonic() > deadline:
                raise MigrationError(f"another migrator has held the lock for {_LOCK_WAIT_S:.0f} s")
            time.sleep(_POLL_S)

    def _tries(self) -> Iterator[bool]:
        while True:
            row = self._connection.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK,)).fetchone()
            yield bool(row and row[0])

    def __exit__(self, *_exc: object) -> None:
        if not self._connection.broken:
            self._connection.execute("SELECT pg_advisory_unlock(%s)", (_LOCK,))
