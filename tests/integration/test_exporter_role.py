"""The exporter's own role reads what is shown, and nothing else: deploy/postgres/exporter.sql."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any, LiteralString

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from atum_ops.exporter.exporter import Exporter
from atum_ops.exporter.link import Link
from atum_ops.signals import store
from atum_schema.live import Live
from tests.command_line import DEAD, SENT
from tests.exporting import OF_DATABASE, loaded, serving, told

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg import Connection

    from atum_ops.signals.snapshot import Snapshot
    from tests.command_line import Place

FILE = Path(__file__).parents[2] / "deploy/postgres/exporter.sql"
PASSWORD = secrets.token_urlsafe(18)

# What the role may read, by relation and column; a relation as a whole has no column.
GRANTED: LiteralString = """
SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relnamespace = 'atum'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped
      AND c.relkind IN ('r', 'p', 'v') AND has_column_privilege('atum_exporter', c.oid, a.attnum, 'SELECT')
ORDER BY 1, 2
"""


COLUMNS = (
    "batch",
    "dead_letter",
    "held",
    "maintenance",
    "ready",
    "setting",
    "setting_change",
    "suppression",
    "webhook_inbox",
)
"""Relations of which only some columns may be read."""


def apply(place: Place) -> None:
    """Run the file, as psql does."""
    with psycopg.connect(place.url, autocommit=True) as connection:
        connection.execute(FILE.read_text().encode())
        connection.execute(sql.SQL("ALTER ROLE atum_exporter PASSWORD {}").format(sql.Literal(PASSWORD)))


def url_of_role(place: Place) -> str:
    return make_conninfo(place.url, user="atum_exporter", password=PASSWORD)


@pytest.fixture
def granted(place: Place) -> Place:
    apply(place)
    return place


@pytest.fixture
def as_role(granted: Place) -> Iterator[Connection[Any]]:
    with psycopg.connect(url_of_role(granted), autocommit=True) as connection:
        yield connection


def read(url: str) -> Snapshot:
    """Read as the exporter does."""
    live = Live(loaded(url))
    with Link(url) as link:
        connection = link.connection()
        live.refresh(connection, every_s=0.0)
        return store.read(connection, live.now)


def grants(place: Place) -> set[tuple[str, str]]:
    return set(place.sql(GRANTED))


def test_the_exporter_shows_everything_as_its_own_role(granted: Place) -> None:
    granted.ended(SENT, 2)
    granted.ended(DEAD)
    granted.enqueue(3)
    with serving(loaded(url_of_role(granted))) as served:
        assert served.await_up().of_database == OF_DATABASE


def test_the_role_reads_the_same_as_the_owner(granted: Place) -> None:
    granted.ended(SENT, 2)
    granted.ended(DEAD)
    granted.issue()
    seen = read(granted.url)
    found = read(url_of_role(granted))._replace(at=seen.at)
    # What is an age is a little older each time.
    assert found._replace(tasks=(), parts={}) == seen._replace(tasks=(), parts={})


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT subject FROM atum.mail",
        "SELECT to_line FROM atum.mail",
        "SELECT count(*) FROM atum.mail",
        "SELECT body FROM atum.content",
        "SELECT detail FROM atum.event",
        "SELECT recipient FROM atum.recipient_event",
        "SELECT body FROM atum.webhook_inbox",
        "SELECT * FROM atum.webhook_inbox",
        "SELECT address FROM atum.suppression",
        "SELECT note FROM atum.suppression",
        "SELECT digest FROM atum.api_key",
        "SELECT detail FROM atum.audit",
        "SELECT fingerprint FROM atum.idempotency",
        "SELECT actor FROM atum.setting_change",
        "SELECT progress FROM atum.maintenance",
        "SELECT * FROM atum.transition",
    ],
)
def test_the_role_cannot_read_mail_addresses_content_or_who_did_what(
    as_role: Connection[Any], statement: LiteralString
) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        as_role.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO atum.tally (name) VALUES ('x')",
        "UPDATE atum.flow SET size = 1",
        "DELETE FROM atum.dead_letter",
        "TRUNCATE atum.ready",
        "UPDATE atum.setting SET value = '1'",
        "CREATE TABLE atum.mine ()",
        "CREATE TABLE public.mine ()",
        "CREATE SCHEMA mine",
        "CREATE ROLE mine",
        "SELECT atum.ensure_partitions()",
        "COPY atum.tally TO PROGRAM 'true'",
    ],
)
def test_the_role_cannot_change_anything_even_where_it_may_write_transactions(
    as_role: Connection[Any], statement: LiteralString
) -> None:
    as_role.execute("SET default_transaction_read_only = off")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        as_role.execute(statement)


def test_the_role_has_no_privilege_but_to_read(granted: Place) -> None:
    assert (
        granted.sql(
            "SELECT table_name, privilege_type FROM information_schema.role_table_grants"
            " WHERE grantee = 'atum_exporter' AND privilege_type <> 'SELECT'"
        )
        == []
    )
    ((attributes),) = granted.sql(
        "SELECT rolcanlogin, rolinherit, rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls"
        " FROM pg_roles WHERE rolname = 'atum_exporter'"
    )
    assert attributes == (True, False, False, False, False, False, False)


def test_the_role_only_reads_and_is_never_waited_for_by_its_own_settings(as_role: Connection[Any]) -> None:
    ((read_only, timeout),) = as_role.execute(
        "SELECT current_setting('default_transaction_read_only'), current_setting('statement_timeout')"
    ).fetchall()
    assert (read_only, timeout) == ("on", "2s")


def test_applying_it_again_changes_nothing_and_takes_back_what_is_too_much(granted: Place) -> None:
    before = grants(granted)
    granted.sql("GRANT SELECT ON atum.mail TO atum_exporter")
    granted.sql("GRANT SELECT (address) ON atum.suppression TO atum_exporter")
    assert grants(granted) > before
    apply(granted)
    assert grants(granted) == before
    assert len(before) > 50


def test_it_grants_nothing_that_is_not_needed(granted: Place) -> None:
    needless = []
    for relation in sorted({relation for relation, _ in grants(granted)}):
        granted.connection.execute(
            sql.SQL("REVOKE SELECT ON atum.{} FROM atum_exporter").format(sql.Identifier(relation))
        )
        try:
            read(url_of_role(granted))
        except psycopg.errors.InsufficientPrivilege:
            pass
        else:
            needless.append(relation)
        apply(granted)
    assert needless == []


def test_the_columns_that_it_grants_of_tables_with_more_are_all_needed(granted: Place) -> None:
    needless = []
    for relation in COLUMNS:
        for _, column in sorted(pair for pair in grants(granted) if pair[0] == relation):
            granted.connection.execute(
                sql.SQL("REVOKE SELECT ({}) ON atum.{} FROM atum_exporter").format(
                    sql.Identifier(column), sql.Identifier(relation)
                )
            )
            try:
                read(url_of_role(granted))
            except psycopg.errors.InsufficientPrivilege:
                pass
            else:
                needless.append(f"{relation}.{column}")
            apply(granted)
    assert needless == []


def test_a_role_that_may_not_read_all_is_told_what_to_apply(
    granted: Place, caplog: pytest.LogCaptureFixture
) -> None:
    granted.sql("REVOKE SELECT ON atum.flow FROM atum_exporter")
    exporter = Exporter(loaded(url_of_role(granted)))
    exporter.reader.read()
    assert exporter.reader.current() is None
    assert "apply deploy/postgres/exporter.sql again" in "\n".join(map(told, caplog.records))


def test_the_file_holds_no_password() -> None:
    statements = [line for line in FILE.read_text().splitlines() if not line.startswith("--")]
    assert not any("PASSWORD" in line.upper() for line in statements)
