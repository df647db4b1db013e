"""`migrate` and `keys new`."""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import sql

from atum_schema.encryption import Keyring
from atum_schema.migrate import migrations
from tests.command_line import run
from tests.nodes import database_at

if TYPE_CHECKING:
    from collections.abc import Iterator

    from atum_ops.stack.postgres import PostgresNode


@contextmanager
def _database(node: PostgresNode) -> Iterator[str]:
    name = f"bare_{secrets.token_hex(6)}"
    with psycopg.connect(node.url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            yield database_at(node.url, name)
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def bare_url(postgres_node: PostgresNode) -> Iterator[str]:
    """URL of a database that nobody has migrated."""
    with _database(postgres_node) as url:
        yield url


def objects(url: str) -> list[tuple[str, str]]:
    """List everything in our schema, by name and definition."""
    with psycopg.connect(url) as connection:
        return connection.execute(
            "SELECT c.relname, string_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod), ', ' ORDER BY attnum)"
            " FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0"
            " WHERE c.relnamespace = to_regnamespace('atum') GROUP BY c.relname ORDER BY 1"
        ).fetchall()


def test_migrating_names_what_it_applies_and_a_second_time_applies_nothing(bare_url: str) -> None:
    first = run("migrate", ATUM_DATABASE_URL=bare_url)
    assert first.status == 0
    applied = [f"applied {migration.name}" for migration in migrations()]
    assert first.out.splitlines() == [*applied, "the database is at this version"]
    before = objects(bare_url)
    second = run("migrate", ATUM_DATABASE_URL=bare_url)
    assert (second.status, second.out) == (0, "the database is at this version\n")
    assert objects(bare_url) == before


def test_printing_changes_nothing(bare_url: str) -> None:
    answer = run("migrate", "--print", ATUM_DATABASE_URL=bare_url)
    assert answer.status == 0
    assert "CREATE TABLE atum.mail" in answer.out
    assert objects(bare_url) == []


def test_the_printed_sql_makes_the_same_schema_and_is_recorded(
    bare_url: str, postgres_node: PostgresNode
) -> None:
    printed = run("migrate", "--print", ATUM_DATABASE_URL=bare_url).out
    with psycopg.connect(bare_url, autocommit=True) as connection:
        connection.execute(printed.encode())
    assert run("migrate", ATUM_DATABASE_URL=bare_url).out == "the database is at this version\n"
    with _database(postgres_node) as other:
        run("migrate", ATUM_DATABASE_URL=other)
        assert objects(other) == objects(bare_url) != []


def test_printing_for_a_database_at_this_version_has_no_migration_left(database_url: str) -> None:
    answer = run("migrate", "--print", ATUM_DATABASE_URL=database_url)
    assert "CREATE TABLE atum.mail" not in answer.out
    assert "INSERT INTO" not in answer.out


def test_a_database_that_is_newer_is_refused_in_one_line(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("INSERT INTO atum.migration (version, name, checksum) VALUES (9999, 'x', 'y')")
    answer = run("migrate", ATUM_DATABASE_URL=database_url)
    assert (answer.status, answer.out) == (1, "")
    assert answer.err.startswith("atum-mailer: the database has migration 9999")
    assert answer.err.count("\n") == 1


def test_a_new_key_is_one_that_the_settings_take_and_never_the_same() -> None:
    answers = [run("keys", "new", "2026-11") for _ in range(2)]
    assert [answer.status for answer in answers] == [0, 0]
    assert [Keyring(answer.out.strip()).active for answer in answers] == ["2026-11", "2026-11"]
    assert answers[0].out != answers[1].out
    assert Keyring(run("keys", "new").out.strip()).active == "k1"
