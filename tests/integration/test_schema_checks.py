"""The constraints of the database say the same as the machine of statuses."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import errors, sql
from psycopg.rows import tuple_row

from atum_schema.ids import new_mail_id
from atum_schema.mail import OnUnknown
from atum_schema.status import BIRTH, Cause, Status, stored_pairs
from tests.nodes import Databases

if TYPE_CHECKING:
    from collections.abc import Iterator

    from atum_ops.stack.postgres import PostgresNode

STORED = sorted(set(Status) - {Status.SENDING})
MAIL = """
INSERT INTO atum.mail (id, client, lane, stream, status, on_unknown, sender, to_line, subject, size, finished_at)
VALUES (%(id)s, 'test', 'a', 'outbound', %(status)s, %(on_unknown)s, 's@example.com', 't@example.org', 'x', 1, now())
"""


@pytest.fixture(scope="module")
def connection(postgres_node: PostgresNode) -> Iterator[psycopg.Connection[Any]]:
    with (
        Databases(postgres_node).fresh() as url,
        psycopg.connect(url, autocommit=True, row_factory=tuple_row) as connection,
    ):
        yield connection


def accepted_by_checks(
    connection: psycopg.Connection[Any], table: str, columns: tuple[str, ...], rows: list[tuple[Any, ...]]
) -> set[tuple[Any, ...]]:
    """Give the rows that the CHECKs on these columns let pass, by evaluating their own expressions in one query.

    A CHECK lets pass what is not false: null passes too.
    """
    checks = connection.execute(
        "SELECT pg_get_expr(conbin, conrelid) FROM pg_constraint WHERE contype = 'c' AND conrelid = %s::regclass"
        " AND (SELECT array_agg(attname::text) FROM pg_attribute WHERE attrelid = conrelid AND attnum = ANY(conkey))"
        " <@ %s::text[]",
        (f"atum.{table}", list(columns)),
    ).fetchall()
    assert checks
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    arrays = sql.SQL(", ").join(sql.SQL("%s::text[]") for _ in columns)
    passed = " AND ".join(f"({expression}) IS NOT FALSE" for (expression,) in checks).replace("%", "%%")
    query = sql.SQL("SELECT {names} FROM unnest({arrays}) AS t({names}) WHERE {passed}").format(
        names=names, arrays=arrays, passed=sql.SQL(passed)
    )
    return set(connection.execute(query, [list(column) for column in zip(*rows, strict=True)]))


def test_the_database_takes_exactly_the_events_of_the_machine(connection: psycopg.Connection[Any]) -> None:
    statuses = [*(status.value for status in Status), "nonsense"]
    combinations = [
        (origin, cause.value, target) for origin, cause, target in product([None, *statuses], Cause, statuses)
    ]
    accepted = accepted_by_checks(connection, "event", ("from_status", "cause", "to_status"), combinations)
    # The database is stricter in one thing: nobody records for a mail that exists that it came into being.
    assert accepted == {
        (origin or None, cause, target)
        for origin, cause, target in stored_pairs()
        if not origin or Cause(cause) not in BIRTH
    }


def test_a_cause_that_nobody_knows_is_refused(connection: psycopg.Connection[Any]) -> None:
    statuses = [None, *(status.value for status in Status)]
    rows = [(origin, "made_up", target.value) for origin, target in product(statuses, Status)]
    columns = ("from_status", "cause", "to_status")
    assert accepted_by_checks(connection, "event", columns, rows) == set()


def test_a_mail_can_have_every_stored_status_and_no_other(connection: psycopg.Connection[Any]) -> None:
    words = [status.value for status in Status] + [cause.value for cause in Cause] + ["", "Sent", "posting"]
    rows = [(word,) for word in sorted(set(words))]
    assert accepted_by_checks(connection, "mail", ("status",), rows) == {(status.value,) for status in STORED}


def test_a_mail_can_have_every_policy_and_no_other(connection: psycopg.Connection[Any]) -> None:
    rows = [(policy.value,) for policy in OnUnknown] + [("retry",), ("",), (None,)]
    assert accepted_by_checks(connection, "mail", ("on_unknown",), rows) == {
        (None,),
        *((policy.value,) for policy in OnUnknown),
    }


def test_the_checks_are_enforced_in_the_partitions(connection: psycopg.Connection[Any]) -> None:
    with pytest.raises(errors.CheckViolation) as caught:
        connection.execute(MAIL, {"id": new_mail_id(), "status": "sending", "on_unknown": None})
    assert caught.value.diag.constraint_name == "mail_status_known"
    with pytest.raises(errors.CheckViolation) as caught:
        connection.execute(
            "INSERT INTO atum.event (mail_id, cause, from_status, to_status) VALUES (%s, %s, %s, %s)",
            (new_mail_id(), "canceled", "unknown", "canceled"),
        )
    assert caught.value.diag.constraint_name == "event_transition_known"


def test_no_mail_is_sent_without_the_time_of_its_proof(connection: psycopg.Connection[Any]) -> None:
    mail_id = new_mail_id()
    connection.execute(MAIL, {"id": mail_id, "status": "sent", "on_unknown": None})
    with pytest.raises(errors.CheckViolation) as caught:
        connection.execute("UPDATE atum.mail SET finished_at = NULL WHERE id = %s", (mail_id,))
    assert caught.value.diag.constraint_name == "mail_sent_has_proof"


def test_no_mail_expires_before_it_may_be_sent(connection: psycopg.Connection[Any]) -> None:
    mail_id = new_mail_id()
    connection.execute(MAIL, {"id": mail_id, "status": "scheduled", "on_unknown": None})
    with pytest.raises(errors.CheckViolation) as caught:
        connection.execute(
            "UPDATE atum.mail SET send_at = now(), expires_at = now() WHERE id = %s", (mail_id,)
        )
    assert caught.value.diag.constraint_name == "mail_expires_after_send"


BATCH = """
INSERT INTO atum.batch (id, lane, account, state, mail_ids, publish_after, token, posting_at, anchor_at, search_at)
VALUES (gen_random_uuid(), 'a', 'default', %(state)s, array_fill(gen_random_uuid(), ARRAY[%(mails)s]), now(),
        CASE WHEN %(token)s THEN gen_random_uuid() END, CASE WHEN %(mark)s THEN now() END,
        CASE WHEN %(state)s = 'unknown' THEN now() END, CASE WHEN %(state)s = 'unknown' THEN now() END)
"""


@pytest.mark.parametrize(
    ("state", "token", "mark"),
    [("issued", False, False), ("claimed", True, False), ("posting", True, True), ("unknown", True, True)],
)
def test_a_batch_has_a_token_once_claimed_and_a_mark_once_posting(
    connection: psycopg.Connection[Any], state: str, *, token: bool, mark: bool
) -> None:
    for try_token, try_mark in product((False, True), (False, True)):
        values = {"state": state, "mails": 1, "token": try_token, "mark": try_mark}
        if (try_token, try_mark) == (token, mark):
            connection.execute(BATCH, values)
        else:
            with pytest.raises(errors.CheckViolation):
                connection.execute(BATCH, values)


@pytest.mark.parametrize(("mails", "constraint"), [(0, "batch_not_empty"), (501, "batch_not_empty")])
def test_a_batch_is_neither_empty_nor_larger_than_the_provider_takes(
    connection: psycopg.Connection[Any], mails: int, constraint: str
) -> None:
    values = {"state": "issued", "mails": mails, "token": False, "mark": False}
    with pytest.raises(errors.CheckViolation) as caught:
        connection.execute(BATCH, values)
    assert caught.value.diag.constraint_name == constraint
    connection.execute(BATCH, {**values, "mails": 500})
