"""Every SQL constant of ours is understood by the migrated database, and gives the rows its reader expects."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psycopg
import pytest
from psycopg import pq

from atum_producers import relay_store
from atum_producers import store as producer_store
from atum_schema import database, flow_store, moves, replaying_store
from atum_schema.flow import Window
from atum_workers import reencrypt_store
from atum_workers import store as worker_store
from tests.nodes import Databases

if TYPE_CHECKING:
    from collections.abc import Iterator

    from atum_ops.stack.postgres import PostgresNode

ROOT: Final = Path(__file__).parents[2]
STATEMENT: Final = re.compile(r"\s*(SELECT|WITH|INSERT|UPDATE|DELETE)\b")
PARAMETER: Final = re.compile(r"%\((\w+)\)[sbt]|%[sbt]|%%")
# Tables that grow with the log: no statement may walk them.
LARGE: Final = re.compile(
    r"Seq Scan on (\w*\.)?(mail|event|attempt|content|idempotency|ready|dead_letter)\w*\b"
)
# What psycopg sends for our lists; Postgres finds out the types of all other parameters by itself.
ARRAYS: Final = {
    "ids": "uuid[]",
    "mail_ids": "uuid[]",
    "unclear": "uuid[]",
    "statuses": "text[]",
    "causes": "text[]",
    "reasons": "text[]",
    "retry_s": "float8[]",
}
# Doubting takes everything that waits, once for each restore.
WALKERS: Final = {"atum_schema.migrate.APPLIED", "atum_schema.restore.DOUBT"}
READERS: Final = {"class_row", "args_row"}
ROW_OF_STATEMENT: Final = 2


def sources() -> list[Path]:
    stores = [path for root in ("producers", "workers") for path in ROOT.glob(f"{root}/**/*store.py")]
    return sorted(
        [
            *stores,
            ROOT / "schema/atum_schema/accept.py",
            ROOT / "schema/atum_schema/audit.py",
            ROOT / "ops/atum_ops/health/database_store.py",
            ROOT / "ops/atum_ops/purging.py",
            ROOT / "ops/atum_ops/running_store.py",
            ROOT / "ops/atum_ops/transitions_store.py",
            ROOT / "ops/atum_ops/signals/store.py",
            ROOT / "ops/atum_ops/exporter/link.py",
            ROOT / "schema/atum_schema/flow_store.py",
            ROOT / "schema/atum_schema/heartbeat.py",
            ROOT / "schema/atum_schema/live.py",
            ROOT / "schema/atum_schema/migrate.py",
            ROOT / "schema/atum_schema/moves.py",
            ROOT / "schema/atum_schema/recall.py",
            ROOT / "schema/atum_schema/replaying_store.py",
            ROOT / "schema/atum_schema/restore.py",
            ROOT / "schema/atum_schema/retention_store.py",
            ROOT / "ops/atum_ops/retaining_store.py",
            ROOT / "schema/atum_schema/suppression.py",
            ROOT / "schema/atum_schema/suppression_list.py",
            ROOT / "schema/atum_schema/suppression_orders.py",
            ROOT / "ops/atum_ops/dead_store.py",
            *(ROOT / "ops/atum_ops/mails").glob("*_store.py"),
            ROOT / "ops/atum_ops/key_rotation.py",
            ROOT / "ops/atum_ops/key_use.py",
            ROOT / "workers/atum_workers/proof.py",
            ROOT / "workers/atum_workers/pull.py",
        ]
    )


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts[1:])


def statements() -> dict[str, str]:
    """Every module-level constant that holds a statement, as the module itself has it."""
    found = {}
    for path in sources():
        module = importlib.import_module(module_name(path))
        for name, value in vars(module).items():
            # A name with an underscore before it is a piece that several statements are made of.
            whole = name.isupper() and not name.startswith("_")
            if whole and isinstance(value, str) and STATEMENT.match(value):
                found[f"{module_name(path)}.{name}"] = value
    return found


STATEMENTS: Final = statements()


@pytest.fixture(scope="module")
def connection(postgres_node: PostgresNode) -> Iterator[psycopg.Connection[Any]]:
    with Databases(postgres_node).fresh() as url, database.connect(url, name="test") as connection:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS atum.migration (version int, name text, checksum text)"
        )
        yield connection


def parameters(statement: str) -> list[str]:
    """List the names of psycopg's parameters in the order of their first use."""
    names = [match[1] or f"#{match.start()}" for match in PARAMETER.finditer(statement) if match[0] != "%%"]
    return list(dict.fromkeys(names))


def numbered(statement: str) -> str:
    """Write psycopg's parameters as $1, $2, …; one number per name."""
    order = parameters(statement)

    def number(match: re.Match[str]) -> str:
        return "%" if match[0] == "%%" else f"${order.index(match[1] or f'#{match.start()}') + 1}"

    return PARAMETER.sub(number, statement)


def described(connection: psycopg.Connection[Any], statement: str) -> list[str]:
    """Have Postgres read a statement without running it; give the names of its columns."""
    types = connection.adapters.types
    oids = [types.get_oid(ARRAYS[name]) if name in ARRAYS else 0 for name in parameters(statement)]
    prepared = connection.pgconn.prepare(b"", numbered(statement).encode(), oids)
    assert prepared.status == pq.ExecStatus.COMMAND_OK, prepared.get_error_message()
    description = connection.pgconn.describe_prepared(b"")
    return [(description.fname(place) or b"").decode() for place in range(description.nfields)]


def plan(connection: psycopg.Connection[Any], statement: str) -> str:
    """Give the generic plan, as the hot path's connections make it."""
    types = ", ".join(ARRAYS.get(name, "unknown") for name in parameters(statement))
    values = ", ".join("NULL" for _ in parameters(statement))
    prepare = f"PREPARE planned{f'({types})' if types else ''} AS {numbered(statement)}"
    connection.execute(prepare.encode())
    try:
        explain = f"EXPLAIN EXECUTE planned{f'({values})' if values else ''}"
        return "\n".join(row[0] for row in connection.execute(explain.encode()))
    finally:
        connection.execute("DEALLOCATE planned")


def test_the_statements_are_found_where_they_are_written() -> None:
    modules = {name.rpartition(".")[0] for name in STATEMENTS}
    assert modules >= {
        "atum_producers.store",
        "atum_producers.relay_store",
        "atum_workers.store",
        "atum_schema.accept",
        "atum_schema.migrate",
    }
    assert {"atum_workers.store.RECORD", "atum_producers.relay_store.ISSUE"} <= set(STATEMENTS)


@pytest.mark.parametrize("name", sorted(STATEMENTS))
def test_the_database_understands_every_statement(connection: psycopg.Connection[Any], name: str) -> None:
    described(connection, STATEMENTS[name])


@pytest.mark.parametrize("name", sorted(set(STATEMENTS) - WALKERS))
def test_no_statement_walks_a_table_that_grows(connection: psycopg.Connection[Any], name: str) -> None:
    assert LARGE.findall(plan(connection, STATEMENTS[name])) == []


def test_a_statement_that_walks_the_log_would_be_noticed(connection: psycopg.Connection[Any]) -> None:
    assert LARGE.search(plan(connection, "SELECT count(*) FROM atum.mail WHERE subject = %(subject)s"))


def test_a_misspelled_column_would_be_noticed(connection: psycopg.Connection[Any]) -> None:
    with pytest.raises(AssertionError, match="statuss"):
        described(connection, "SELECT statuss FROM atum.mail WHERE id = %(id)s")


def readers() -> list[tuple[str, str]]:
    """Find each function that reads rows into a class of ours: (class, statement), qualified by module."""
    found = []
    for path in sources():
        module = module_name(path)
        for function in ast.walk(ast.parse(path.read_text())):
            if isinstance(function, ast.FunctionDef):
                calls = [node for node in ast.walk(function) if isinstance(node, ast.Call) and node.args]
                classes = [ast.unparse(call.args[0]) for call in calls if ast.unparse(call.func) in READERS]
                executed = [
                    ast.unparse(call.args[0]) for call in calls if ast.unparse(call.func).endswith(".execute")
                ]
                found += [
                    (f"{module}.{row}", f"{module}.{statement}") for row in classes for statement in executed
                ]
                found += [
                    (f"{module}.{ast.unparse(call.args[2])}", f"{module}.{ast.unparse(call.args[0])}")
                    for call in calls
                    if ast.unparse(call.func) == "Statement" and len(call.args) > ROW_OF_STATEMENT
                ]
    return found


ROWS: Final = readers()


def test_the_readers_of_rows_are_found() -> None:
    assert len(ROWS) >= 2
    assert ("atum_workers.store.Item", "atum_workers.store.CLAIM") in ROWS
    assert ("atum_schema.moves.Locked", "atum_schema.moves.LOCK") in ROWS


@pytest.mark.parametrize(("row", "statement"), ROWS)
def test_a_statement_gives_the_fields_of_its_class_in_order(
    connection: psycopg.Connection[Any], row: str, statement: str
) -> None:
    module, _, name = row.rpartition(".")
    cls = getattr(importlib.import_module(module), name)
    fields = (
        [field.name for field in dataclasses.fields(cls)] if dataclasses.is_dataclass(cls) else cls._fields
    )
    assert described(connection, STATEMENTS[statement]) == list(fields)


def test_the_state_of_a_mail_has_the_fields_that_applications_see(
    connection: psycopg.Connection[Any],
) -> None:
    fields = [field.name for field in dataclasses.fields(producer_store.MailState)]
    assert described(connection, producer_store.STATE) == fields


@pytest.mark.parametrize(
    ("statement", "columns"),
    [
        (worker_store.RECORD, 2),
        (relay_store.LOOK, 2),
        (flow_store.WINDOWS, 4 + len(Window._fields)),
        (moves.READY, 1),
        (replaying_store.MAILS, 10),
        (replaying_store.LOCK_MAILS, 10),
        (replaying_store.GONE, 1),
        (replaying_store.POSTS, 4),
        (replaying_store.TOLD, 3),
        (replaying_store.KIN, 3),
        (replaying_store.HOLDERS, 2),
        *[(shelf.page, len(reencrypt_store.Seen._fields)) for shelf in reencrypt_store.SHELVES],
        *[(shelf.fetch, len(reencrypt_store.Sealed._fields)) for shelf in reencrypt_store.SHELVES],
    ],
)
def test_a_statement_that_is_read_by_place_has_as_many_columns_as_are_read(
    connection: psycopg.Connection[Any], statement: str, columns: int
) -> None:
    assert len(described(connection, statement)) == columns


def test_no_statement_is_made_of_other_text() -> None:
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".execute"):
                assert isinstance(node.args[0], ast.Name | ast.Constant | ast.Attribute | ast.Call), (
                    ast.unparse(node)
                )
                assert ".format" not in ast.unparse(node.args[0])
