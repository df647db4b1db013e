"""Faults that were found by attacking the schema, one test each."""

from __future__ import annotations

from datetime import timedelta
from itertools import product
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg.rows import tuple_row

from atum_schema.status import Cause, Status, stored_pairs
from tests.integration.test_schema_checks import accepted_by_check
from tests.integration.test_schema_partitions import mail_id, partition_of, start_of, store

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database_url, autocommit=True, row_factory=tuple_row) as connection:
        yield connection


def test_the_database_takes_exactly_the_events_of_the_machine(connection: psycopg.Connection[Any]) -> None:
    statuses = [status.value for status in Status]
    rows = [
        (o, c.value, t) for o, c, t in product([None, "nonsense", *statuses], Cause, [*statuses, "nonsense"])
    ]
    accepted = accepted_by_check(
        connection, "event_transition_known", ("from_status", "cause", "to_status"), rows
    )
    expected = {(origin or None, cause, target) for origin, cause, target in stored_pairs()}
    assert sorted(map(str, accepted - expected)) == []
    assert sorted(map(str, expected - accepted)) == []


def test_mail_of_a_clock_that_was_ahead_does_not_keep_its_month_from_being_made(
    connection: psycopg.Connection[Any],
) -> None:
    of = mail_id(start_of(5) + timedelta(days=3))
    assert store(connection, of)[0] == "mail_default"
    connection.execute("SELECT atum.ensure_partitions(5)")
    assert partition_of(connection, "mail", "id", of).startswith("mail_2")
