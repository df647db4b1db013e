"""Nothing that is stale is ever shown, and no error is told in the driver's words."""

from __future__ import annotations

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atum_ops.exporter.last import Last, current, pause_s, stale_after_s
from atum_ops.exporter.words import words
from atum_ops.signals.snapshot import Snapshot

SNAPSHOT = Snapshot(at=1.0)


def test_before_the_first_reading_and_after_a_failed_one_there_is_nothing() -> None:
    assert current(Last(), 0.0, stale_s=30.0) is None
    assert current(Last(None, 100.0), 100.0, stale_s=30.0) is None


@given(st.floats(0, 1e9), st.floats(0, 1e6))
def test_a_reading_is_shown_until_it_is_stale_and_never_again(began: float, age: float) -> None:
    shown = current(Last(SNAPSHOT, began), began + age, stale_s=30.0)
    assert (shown is SNAPSHOT) == ((began + age) - began <= 30.0)


@pytest.mark.parametrize(("every_s", "stale_s"), [(1.0, 30.0), (10.0, 30.0), (10.1, 30.3), (60.0, 180.0)])
def test_a_reading_is_stale_after_three_periods_and_not_before_half_a_minute(
    every_s: float, stale_s: float
) -> None:
    assert stale_after_s(every_s) == pytest.approx(stale_s)


@given(st.floats(1, 300), st.floats(0, 10))
def test_readings_are_a_period_apart_and_never_take_more_than_half_of_the_time(
    every_s: float, took_s: float
) -> None:
    pause = pause_s(every_s, took_s)
    assert took_s + pause >= every_s * 0.999
    assert pause >= took_s
    # However slow they are, the last one is still good when the next one comes.
    assert 2 * took_s + pause <= stale_after_s(every_s)


@pytest.mark.parametrize(
    "error",
    [
        psycopg.errors.UndefinedTable('relation "atum.transition_totals" does not exist'),
        psycopg.errors.UndefinedColumn('column "broker" does not exist'),
        psycopg.errors.InvalidSchemaName('schema "atum" does not exist'),
    ],
)
def test_a_schema_that_is_older_is_told_with_what_to_run(error: psycopg.Error) -> None:
    assert words(error).endswith("run: atum-mailer migrate")


def test_a_role_that_may_not_read_is_told_with_what_to_apply() -> None:
    assert "deploy/postgres/exporter.sql" in words(psycopg.errors.InsufficientPrivilege("for table mail"))


@given(st.text(min_size=3))
def test_no_other_error_is_told_in_its_own_words(text: str) -> None:
    assert words(psycopg.OperationalError(text)) == "OperationalError"
    assert words(ValueError(text)) == "ValueError"
