"""Migrations: forward only, once each, by whoever comes first."""

from __future__ import annotations

import re
import subprocess
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Final

import psycopg
import pytest
from click.testing import CliRunner
from psycopg import errors, sql
from psycopg.rows import tuple_row

from atum_ops.cli.migrate import migrate as command
from atum_schema import migrate as module
from atum_schema.encryption import new_key
from atum_schema.errors import MigrationError
from atum_schema.migrate import Migration, check, check_enough, migrate, migrations, pending_sql
from tests.nodes import database_at, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from atum_ops.stack.postgres import PostgresNode

NAMES: Final = [migration.name for migration in migrations()]


@contextmanager
def empty(node: PostgresNode) -> Iterator[str]:
    plain = f"empty_{token_hex(6)}"
    name = sql.Identifier(plain)
    with psycopg.connect(node.url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(name))
        try:
            yield database_at(node.url, plain)
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


@pytest.fixture
def empty_url(postgres_node: PostgresNode) -> Iterator[str]:
    with empty(postgres_node) as url:
        yield url


@pytest.fixture
def other_url(postgres_node: PostgresNode) -> Iterator[str]:
    with empty(postgres_node) as url:
        yield url


def fetch(url: str, statement: bytes) -> list[Any]:
    with psycopg.connect(url, autocommit=True, row_factory=tuple_row) as connection:
        return connection.execute(statement).fetchall()


def run(url: str, statement: bytes) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)


def dumped(url: str) -> str:
    """The schema as pg_dump writes it, without the random words newer versions put around it."""
    done = subprocess.run(["pg_dump", "--schema-only", url], capture_output=True, text=True, check=True)
    return re.sub(r"(?m)^\\(un)?restrict .*$", "", done.stdout)


def with_another(monkeypatch: pytest.MonkeyPatch, statements: str) -> Migration:
    known = migrations()
    version = known[-1].version + 1
    another = Migration(version=version, name=f"{version:04d}_another.sql", sql=statements)
    monkeypatch.setattr(module, "migrations", lambda: [*known, another])
    return another


def test_the_shipped_files_are_numbered_without_a_gap() -> None:
    assert [migration.version for migration in migrations()] == list(range(1, len(NAMES) + 1))
    assert all(re.fullmatch(r"\d{4}_[a-z0-9_]+\.sql", name) for name in NAMES)


def test_an_empty_database_gets_every_file_in_order(empty_url: str) -> None:
    assert migrate(empty_url) == NAMES
    ledger = fetch(empty_url, b"SELECT version, name, checksum FROM atum.migration ORDER BY version")
    assert ledger == [(m.version, m.name, m.checksum) for m in migrations()]


def test_a_second_run_applies_nothing_and_changes_nothing(empty_url: str) -> None:
    migrate(empty_url)
    before = dumped(empty_url)
    assert migrate(empty_url) == []
    assert dumped(empty_url) == before


def test_only_what_is_new_is_applied(empty_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    migrate(empty_url)
    another = with_another(monkeypatch, "CREATE TABLE atum.another (id int);")
    assert migrate(empty_url) == [another.name]
    assert fetch(empty_url, b"SELECT to_regclass('atum.another') IS NOT NULL") == [(True,)]


def test_several_migrators_at_once_apply_each_file_once(empty_url: str) -> None:
    start = threading.Barrier(4)

    def race() -> list[str]:
        start.wait()
        return migrate(empty_url)

    with ThreadPoolExecutor(4) as pool:
        applied = [future.result() for future in [pool.submit(race) for _ in range(4)]]
    assert Counter(name for names in applied for name in names) == Counter(NAMES)
    # The server notices a moment later that they are gone.
    locks = b"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
    assert eventually(lambda: fetch(empty_url, locks) == [(0,)])


def test_several_migrators_do_not_deadlock_over_an_index_that_is_built_concurrently(
    empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate(empty_url)
    another = with_another(
        monkeypatch, "-- no-transaction\nCREATE INDEX CONCURRENTLY another ON atum.batch (account);\n"
    )
    start = threading.Barrier(3)

    def race() -> list[str]:
        start.wait()
        return migrate(empty_url)

    with ThreadPoolExecutor(3) as pool:
        applied = [future.result(timeout=120) for future in [pool.submit(race) for _ in range(3)]]
    assert sorted(applied) == [[], [], [another.name]]
    assert fetch(
        empty_url, b"SELECT indisvalid FROM pg_index WHERE indexrelid = 'atum.another'::regclass"
    ) == [(True,)]


def test_a_migrator_that_waits_too_long_says_who_is_in_the_way(
    empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with psycopg.connect(empty_url, autocommit=True) as other, monkeypatch.context() as hasty:
        hasty.setattr(module, "_LOCK_WAIT_S", 0.2)
        other.execute("SELECT pg_advisory_lock(%s)", (module._LOCK,))
        with pytest.raises(MigrationError, match="another migrator has held the lock"):
            migrate(empty_url)
    assert migrate(empty_url) == NAMES


def test_a_file_that_fails_leaves_nothing_behind_and_can_be_mended(
    empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate(empty_url)
    before = dumped(empty_url)
    with monkeypatch.context() as broken:
        with_another(broken, "CREATE TABLE atum.another (id int); SELECT 1 / 0;")
        with pytest.raises(errors.DivisionByZero):
            migrate(empty_url)
    assert dumped(empty_url) == before
    another = with_another(monkeypatch, "CREATE TABLE atum.another (id int);")
    assert migrate(empty_url) == [another.name]


def test_a_file_whose_entry_cannot_be_made_is_not_applied_either(
    empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate(empty_url)
    before = dumped(empty_url)
    with_another(
        monkeypatch,
        "CREATE TABLE atum.another (id int);"
        "INSERT INTO atum.migration (version, name, checksum) SELECT max(version) + 1, 'taken', 'x' FROM atum.migration",
    )
    with pytest.raises(errors.UniqueViolation):
        migrate(empty_url)
    assert dumped(empty_url) == before
    assert fetch(empty_url, b"SELECT count(*) FROM atum.migration") == [(len(NAMES),)]


def test_a_file_that_was_changed_after_it_was_applied_is_refused(empty_url: str) -> None:
    migrate(empty_url)
    run(empty_url, b"UPDATE atum.migration SET checksum = 'abcdef0123456789' WHERE version = 1")
    message = re.escape(f"{NAMES[0]} was applied with other content (checksum abcdef012345…)")
    with pytest.raises(MigrationError, match=message):
        migrate(empty_url)
    with pytest.raises(MigrationError, match=message):
        pending_sql(empty_url)


def test_a_newer_database_is_refused_and_not_touched(empty_url: str) -> None:
    migrate(empty_url)
    run(
        empty_url,
        b"INSERT INTO atum.migration (version, name, checksum) VALUES (9999, '9999_later.sql', 'x')",
    )
    before = dumped(empty_url)
    for attempt in (migrate, pending_sql):
        with pytest.raises(MigrationError, match=f"has migration 9999, this version knows {len(NAMES)}"):
            attempt(empty_url)
    assert dumped(empty_url) == before


def test_checking_says_what_to_run_until_the_database_is_at_this_version(empty_url: str) -> None:
    with psycopg.connect(empty_url, autocommit=True) as connection:
        with pytest.raises(MigrationError, match=f"lacks {NAMES[0]}; run: atum-mailer migrate"):
            check(connection)
        migrate(empty_url)
        check(connection)
        connection.execute("INSERT INTO atum.migration (version, name, checksum) VALUES (9999, 'x', 'x')")
        with pytest.raises(MigrationError, match="upgrade"):
            check(connection)


def test_a_part_wants_all_of_its_version_and_bears_what_is_newer(empty_url: str) -> None:
    with psycopg.connect(empty_url, autocommit=True) as connection:
        with pytest.raises(MigrationError, match="no schema yet; run: atum-mailer migrate"):
            check_enough(connection)
        migrate(empty_url)
        connection.execute("INSERT INTO atum.migration (version, name, checksum) VALUES (9999, 'x', 'x')")
        check_enough(connection)
        connection.execute("DELETE FROM atum.migration WHERE name = %s", (NAMES[-1],))
        with pytest.raises(MigrationError, match=f"lacks {NAMES[-1]}; run: atum-mailer migrate"):
            check_enough(connection)


def test_the_printed_sql_run_by_psql_makes_the_same_database(empty_url: str, other_url: str) -> None:
    migrate(empty_url)
    printed = pending_sql(other_url)
    subprocess.run(
        ["psql", "--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", other_url],
        input=printed,
        text=True,
        check=True,
        capture_output=True,
    )
    assert dumped(other_url) == dumped(empty_url)
    ledger = b"SELECT version, name, checksum FROM atum.migration ORDER BY version"
    assert fetch(other_url, ledger) == fetch(empty_url, ledger)
    assert migrate(other_url) == []


def test_the_printed_sql_is_what_is_pending(empty_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    everything = pending_sql(None)
    assert pending_sql(empty_url) == everything
    assert all(migration.sql.rstrip() in everything for migration in migrations())
    migrate(empty_url)
    another = with_another(monkeypatch, "CREATE TABLE atum.another (id int);")
    printed = pending_sql(empty_url)
    assert another.sql in printed
    assert not [name for name in NAMES if name in printed]


def test_printing_changes_nothing(empty_url: str) -> None:
    before = dumped(empty_url)
    pending_sql(empty_url)
    assert dumped(empty_url) == before


def test_the_command_prints_what_it_would_apply_and_then_applies_it(
    empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATUM_DATABASE_URL", empty_url)
    monkeypatch.setenv("ATUM_CONTENT_KEYS", new_key("test"))
    printed = CliRunner().invoke(command, ["--print"], catch_exceptions=False)
    assert printed.output == pending_sql(empty_url)
    applied = CliRunner().invoke(command, [], catch_exceptions=False)
    assert (
        applied.output == "".join(f"applied {name}\n" for name in NAMES) + "the database is at this version\n"
    )
    again = CliRunner().invoke(command, [], catch_exceptions=False)
    assert again.output == "the database is at this version\n"
