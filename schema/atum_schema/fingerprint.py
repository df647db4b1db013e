"""What the database really has, compared with what the migrations make: tables, columns, constraints, indexes, functions.

`fingerprint.txt` is the list that the migrations of this version make; a test says when it is not current, and how to make it
anew.
"""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING, Final, NamedTuple

from psycopg.rows import tuple_row

if TYPE_CHECKING:
    from atum_schema.database import Connection

FILE: Final = "fingerprint.txt"

# Partitions come and go with the months, and what they are made of follows from their parent. Expressions are left out: servers
# of different versions write the same one differently.
THINGS: Final = """
SELECT format('column %s.%s %s%s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
              CASE WHEN a.attnotnull THEN ' not null' ELSE '' END) AS thing
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
WHERE c.relnamespace = 'atum'::regnamespace AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition
      AND a.attnum > 0 AND NOT a.attisdropped
UNION ALL
SELECT format('%s%s %s', CASE WHEN c.relpersistence = 'u' THEN 'unlogged ' ELSE '' END,
              CASE c.relkind WHEN 'v' THEN 'view' WHEN 'p' THEN 'partitioned table' ELSE 'table' END, c.relname)
FROM pg_class c
WHERE c.relnamespace = 'atum'::regnamespace AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition
UNION ALL
SELECT format('constraint %s.%s %s%s', c.relname, k.conname,
              CASE WHEN k.contype = 'c' THEN 'CHECK' ELSE pg_get_constraintdef(k.oid) END,
              CASE WHEN k.convalidated THEN '' ELSE ' not valid' END)
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
WHERE c.relnamespace = 'atum'::regnamespace AND NOT c.relispartition AND k.contype IN ('c', 'p', 'u', 'f')
UNION ALL
SELECT format('index %s.%s%s%s', c.relname, i.relname, CASE WHEN x.indisunique THEN ' unique' ELSE '' END,
              CASE WHEN x.indisvalid THEN '' ELSE ' not valid' END)
FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class c ON c.oid = x.indrelid
WHERE c.relnamespace = 'atum'::regnamespace AND NOT c.relispartition
UNION ALL
SELECT format('function %s(%s)', p.proname, pg_get_function_identity_arguments(p.oid))
FROM pg_proc p WHERE p.pronamespace = 'atum'::regnamespace
"""


class Difference(NamedTuple):
    """What a database lacks, and what it has beyond."""

    missing: list[str]
    #: Of our tables only; tables, indexes and functions that others have added do no harm.
    strange: list[str]


def things(connection: Connection) -> list[str]:
    """List what the schema has, sorted. Raises `psycopg.errors.InvalidSchemaName` when there is no schema."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        return sorted(thing for (thing,) in cursor.execute(THINGS))


def expected() -> list[str]:
    """List what the migrations of this version make."""
    return (resources.files("atum_schema") / FILE).read_text("utf-8").splitlines()


def difference(found: list[str], wanted: list[str]) -> Difference:
    """Compare what is there with what is wanted."""
    tables = {line.split()[1].partition(".")[0] for line in wanted if line.startswith("column ")}
    beyond = sorted(set(found) - set(wanted))
    return Difference(
        sorted(set(wanted) - set(found)),
        [
            line
            for line in beyond
            if line.startswith(("column ", "constraint ")) and line.split()[1].partition(".")[0] in tables
        ],
    )
