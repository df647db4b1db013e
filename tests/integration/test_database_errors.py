"""Errors of the database under the statements of relay and worker: the transaction is repeated, never the POST."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, LiteralString
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from atum_ops.simulator.config import SimulatorConfig
from tests.load import under_load
from tests.nodes import eventually
from tests.system import System, letters

if TYPE_CHECKING:
    from collections.abc import Iterator

#: SQLSTATE by what it means, PostgreSQL manual, Appendix A.
PASSING = {
    "deadlock": "40P01",
    "serialization failure": "40001",
    "disk full": "53100",
    "too many connections": "53300",
    "read only": "25006",
    "idle in transaction": "25P03",
    "statement timeout": "57014",
    "lock timeout": "55P03",
    "I/O error": "58030",
}

FAIL = """
CREATE FUNCTION atum.fail() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF random() < tg_argv[1]::float8 THEN
        RAISE EXCEPTION 'failing on purpose' USING ERRCODE = tg_argv[0];
    END IF;
    RETURN NULL;
END $$
"""
TRIGGER = (
    "CREATE TRIGGER failing AFTER INSERT OR UPDATE OR DELETE ON atum.{}"
    " FOR EACH STATEMENT EXECUTE FUNCTION atum.fail({}, {})"
)


@contextmanager
def failing(database_url: str, *tables: str, state: str, share: float = 1.0) -> Iterator[None]:
    """Let this share of the statements that write to these tables fail, at their end, with this SQLSTATE."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(FAIL)
        for table in tables:
            connection.execute(sql.SQL(TRIGGER).format(sql.SQL(table), state, str(share)))
        yield
        for table in tables:
            connection.execute(sql.SQL("DROP TRIGGER failing ON atum.{}").format(sql.SQL(table)))


@pytest.mark.parametrize("state", PASSING.values(), ids=PASSING.keys())
def test_an_answer_in_hand_outlives_errors_that_pass(database_url: str, amqp_url: str, state: str) -> None:
    # The lease must outlive this on a busy machine, or the batch would be unknown.
    with System(
        database_url=database_url,
        amqp_url=amqp_url,
        simulation=SimulatorConfig(latency_ms=300),
        settings={"ATUM_REQUEST_TIMEOUT_S": "30"},
    ) as system:
        # What writes attempts is nothing but an answer.
        with failing(database_url, "attempt", state=state):
            ids = system.mailer.enqueue(letters(3))
            assert eventually(lambda: system.copies(ids) == [1] * 3)
            time.sleep(1)
            assert system.statuses(ids).keys() <= {"queued", "sending"}
        assert eventually(lambda: system.statuses(ids) == {"sent": 3})
        system.check(sent=3)


@pytest.mark.parametrize("state", ["40001", "40P01"])
def test_statements_that_fail_at_random_cost_nothing_but_time(
    database_url: str, amqp_url: str, state: str
) -> None:
    with under_load(database_url=database_url, amqp_url=amqp_url, mails=200) as load:
        with failing(
            database_url, "batch", "ready", "mail", "event", "attempt", "sleeper", state=state, share=0.1
        ):
            load.await_half()
        load.finish()


SETTINGS: dict[str, LiteralString] = {
    "serializable": "default_transaction_isolation = 'serializable'",
    "repeatable read": "default_transaction_isolation = 'repeatable read'",
    "impatient": "lock_timeout = '50ms'",
    "german": "datestyle = 'German'",
    "far away": "timezone = 'Pacific/Kiritimati'",
    "pathless": "search_path = ''",
    "sessions ended when idle": "idle_session_timeout = '300ms'",
}


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS.keys())
def test_settings_of_the_database_change_nothing(
    database_url: str, amqp_url: str, setting: LiteralString
) -> None:
    name = urlsplit(database_url).path[1:]
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(sql.SQL("ALTER DATABASE {} SET {}").format(sql.Identifier(name), sql.SQL(setting)))
    with under_load(database_url=database_url, amqp_url=amqp_url, mails=200) as load:
        load.finish()
        # Who holds a lock may stand still for longer than such a setting allows, on a busy machine.
        for part in () if "lock_timeout" in setting else (load.relay, load.worker):
            assert "connecting again" not in part.output(), part.output()
            assert "trying again" not in part.output(), part.output()
