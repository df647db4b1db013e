"""What is read is shown, and only for as long as it is true; nobody who scrapes touches the database."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

import psycopg
import pytest
from prometheus_client import generate_latest

from atum_ops.exporter.exporter import Exporter, OfDatabase
from atum_ops.exporter.families import Known
from atum_ops.exporter.link import Link
from atum_ops.exporter.reader import Reader
from atum_schema import live
from atum_schema import metrics_catalogue as m
from atum_schema.metrics import Meter
from atum_schema.migrate import migrate
from tests.command_line import DEAD, SENT
from tests.exporting import OF_DATABASE, Scraped, loaded, serving, told
from tests.nodes import eventually

if TYPE_CHECKING:
    from atum_ops.stack.postgres import PostgresNode
    from tests.command_line import Place

NOBODY = "postgresql://someone:hunter2@127.0.0.1:1/nowhere"


def test_everything_of_the_catalogue_is_there_after_the_first_reading(place: Place) -> None:
    place.ended(SENT, 3)
    place.enqueue(2)
    with serving(loaded(place.url)) as served:
        shown = served.await_up()
    assert shown.of_database == OF_DATABASE
    assert shown.value(m.DUE, lane="transactional") == 2
    assert shown.value(m.FINISHED_TOTAL, lane="transactional", result="sent") == 3
    assert shown.value(m.EXPORTER_SUCCESS) > 0


def test_before_the_first_reading_it_is_down_and_shows_only_itself(database_url: str) -> None:
    shown = Scraped(generate_latest(Exporter(loaded(database_url)).meter.registry).decode())
    own = {family.full_name for family in m.FAMILIES if "exporter" in family.parts} - OF_DATABASE
    assert shown.of_database == set()
    assert own <= shown.names
    assert "process_start_time_seconds" in shown.names
    assert shown.value(m.EXPORTER_UP) == shown.value(m.EXPORTER_READINGS) == 0


def test_a_hundred_scrapes_read_the_database_no_more_often_than_one(database_url: str) -> None:
    with serving(loaded(database_url, exporter_every_s=300.0)) as served:
        before = served.await_up().value(m.EXPORTER_READINGS)
        readings = [served.scrape().value(m.EXPORTER_READINGS) for _ in range(100)]
    assert before == 1
    assert set(readings) == {1}


def test_it_reads_again_and_shows_what_has_changed(place: Place) -> None:
    with serving(loaded(place.url)) as served:
        served.await_up()
        place.ended(DEAD)
        assert eventually(lambda: served.scrape().value(m.DEAD) == 1)


def test_it_reads_no_more_often_than_once_per_period(database_url: str) -> None:
    with serving(loaded(database_url)) as served:
        begun = time.monotonic()
        first = served.await_up().value(m.EXPORTER_READINGS)
        assert eventually(lambda: served.scrape().value(m.EXPORTER_READINGS) >= first + 3)
        readings = served.scrape().value(m.EXPORTER_READINGS)
        assert readings - first <= time.monotonic() - begun + 1


def test_a_reading_that_nobody_has_followed_up_is_shown_for_half_a_minute(database_url: str) -> None:
    now = [1000.0]
    configured, meter = loaded(database_url), Meter("exporter")
    with Link(database_url) as link:
        reader = Reader(link, configured, meter, clock=lambda: now[0])
        registry = meter.registry
        registry.register(OfDatabase(reader.current, Known.of(configured)))
        reader.read()
        shown = []
        for at in (1000.0, 1030.0, 1030.1):
            now[0] = at
            scraped = Scraped(generate_latest(registry).decode())
            shown.append((scraped.value(m.EXPORTER_UP), scraped.of_database))
    assert shown == [(1, OF_DATABASE), (1, OF_DATABASE), (0, set())]


def test_a_threshold_that_operators_change_is_shown_without_a_restart(place: Place) -> None:
    configured = loaded(place.url)
    with serving(configured) as served:
        assert served.await_up().value(m.THRESHOLD, setting="queue_backlog_threshold") == 100
        with place.connection.transaction():
            changes = {"alert_queue_backlog_threshold": "150"}
            live.change(place.connection, configured, changes, actor="operator:tests")
        assert eventually(
            lambda: served.scrape().value(m.THRESHOLD, setting="queue_backlog_threshold") == 150
        )


def test_its_connection_is_its_own_can_only_read_and_never_waits_for_long(place: Place) -> None:
    with serving(loaded(place.url)) as served:
        served.await_up()
        rows = place.sql(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'atum-exporter'"
            " AND datname = current_database()"
        )
    assert rows == [(1,)]
    exporter = Exporter(loaded(place.url))
    with exporter._link as link:
        connection = link.connection()
        ((timeout, lock),) = connection.execute(
            "SELECT current_setting('statement_timeout'), current_setting('lock_timeout')"
        ).fetchall()
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            connection.execute("DELETE FROM atum.tally")
    assert (timeout, lock) == ("2s", "1s")


def test_a_statement_that_takes_too_long_is_a_failed_reading(place: Place) -> None:
    with (
        place.connection.transaction(),
        serving(loaded(place.url), statement_s=0.1) as served,
    ):
        place.connection.execute("LOCK TABLE atum.ready IN ACCESS EXCLUSIVE MODE")
        assert eventually(lambda: served.scrape().value(m.EXPORTER_ERRORS) >= 1)
        assert served.await_down().of_database == set()


def test_a_schema_that_is_older_is_told_with_what_to_run_until_it_is_migrated(
    own_postgres: PostgresNode, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(loaded(own_postgres.url)) as served:
        assert eventually(lambda: served.scrape().value(m.EXPORTER_ERRORS) >= 1)
        assert not served.up()
        (line,) = [told(record) for record in caplog.records if record.levelno == logging.ERROR]
        assert line.endswith("run: atum-mailer migrate")
        migrate(own_postgres.url)
        assert served.await_up().of_database == OF_DATABASE


def test_a_database_that_goes_away_takes_its_families_along_and_they_come_back_with_it(
    own_postgres: PostgresNode, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    migrate(own_postgres.url)
    with serving(loaded(own_postgres.url)) as served:
        errors = served.await_up().value(m.EXPORTER_ERRORS)
        own_postgres.kill()
        shown = served.await_down()
        assert shown.of_database == set()
        assert eventually(lambda: served.scrape().value(m.EXPORTER_ERRORS) >= errors + 2)
        own_postgres.start()
        assert served.await_up().of_database == OF_DATABASE
    ours = [told(record) for record in caplog.records if record.name.startswith("atum_ops.exporter")]
    # Several readings failed, and it was said once.
    assert [line.partition(":")[2].partition(":")[0] for line in ours if "cannot be read" in line] == [
        " the database cannot be read"
    ]
    assert ours.count("exporter: the database is read") == 2


def test_a_server_that_is_frozen_is_not_waited_for(own_postgres: PostgresNode) -> None:
    migrate(own_postgres.url)
    with serving(loaded(own_postgres.url), patience_s=0.5) as served:
        errors = served.await_up().value(m.EXPORTER_ERRORS)
        own_postgres.freeze()
        try:
            shown = served.await_down()
            assert shown.of_database == set()
            assert shown.value(m.EXPORTER_ERRORS) > errors
        finally:
            own_postgres.resume()
        served.await_up(seconds=30)


def test_no_log_line_has_the_driver_s_words(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with serving(loaded(NOBODY)) as served:
        assert eventually(lambda: served.scrape().value(m.EXPORTER_ERRORS) >= 1)
    assert "cannot be read: OperationalError" in "\n".join(map(told, caplog.records))
    ours = "".join(told(record) for record in caplog.records if record.name.startswith("atum"))
    for word in ("hunter2", "someone", "nowhere", "refused"):
        assert word not in ours


def test_its_own_complaints_are_counted() -> None:
    with serving(loaded(NOBODY)) as served:
        assert eventually(lambda: served.scrape().value(m.LOG_MESSAGES, level="error") == 1)
        assert served.scrape().value(m.LOG_MESSAGES, level="warning") == 0
