"""Processes say that they are at work, keep silent while the database is away, and say good-bye.

Weakness B7: that nothing worked for hours was nowhere to be seen.
"""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import psycopg

from atum_ops.stack.ports import free_port
from atum_schema import heartbeat
from atum_schema.heartbeat import Heartbeat
from tests.nodes import eventually
from tests.system import System

if TYPE_CHECKING:
    from atum_ops.stack.postgres import PostgresNode
    from tests.command_line import Place


def parts(url: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(
            "SELECT kind, worked_at IS NOT NULL, ended_at IS NOT NULL, seen_at, worked_at FROM atum.part"
        ).fetchall()


def lag_of_work(place: Place) -> timedelta:
    """Say how much later the one process was seen than it last worked."""
    ((_, _, _, seen, worked),) = parts(place.url)
    lag: timedelta = seen - worked
    return lag


def test_a_process_says_that_it_is_at_work_and_when_it_last_worked_and_says_good_bye(place: Place) -> None:
    with Heartbeat(place.url, "relay", every_s=0.05) as heart:
        assert eventually(lambda: [row[:3] for row in parts(place.url)] == [("relay", False, False)])
        heart.worked()
        assert eventually(lambda: [row[:3] for row in parts(place.url)] == [("relay", True, False)])
        ((_, _, _, seen, worked),) = parts(place.url)
        assert worked is not None
        # It is seen again and again, and has not worked again.
        assert eventually(lambda: parts(place.url)[0][3] > seen)
        assert eventually(lambda: lag_of_work(place) > timedelta(seconds=1))
    assert [row[:3] for row in parts(place.url)] == [("relay", True, True)]


def test_a_database_that_goes_away_and_comes_back_is_told_again(own_postgres: PostgresNode) -> None:
    from atum_schema.migrate import migrate

    migrate(own_postgres.url)
    with Heartbeat(own_postgres.url, "worker", every_s=0.1) as heart:
        assert eventually(lambda: len(parts(own_postgres.url)) == 1)
        ((_, _, _, seen, _),) = parts(own_postgres.url)
        own_postgres.kill()
        heart.worked()
        own_postgres.start()
        assert eventually(lambda: parts(own_postgres.url)[0][3] > seen, seconds=60)
        assert heart.is_alive()
    assert len(parts(own_postgres.url)) == 1


def test_a_database_without_the_table_ends_no_process(place: Place) -> None:
    place.sql("DROP TABLE atum.part")
    with Heartbeat(place.url, "worker", every_s=0.05) as heart:
        heart.join(0.3)
        assert heart.is_alive()
    assert not heart.is_alive()


def test_processes_that_nobody_has_seen_for_a_day_are_forgotten(place: Place) -> None:
    for age in ("25 hours", "23 hours"):
        place.sql(
            "INSERT INTO atum.part (id, kind, name, version, seen_at)"
            " VALUES (gen_random_uuid(), 'relay', %(age)s::text, '0', now() - %(age)s::text::interval)",
            age=age,
        )
    heartbeat.forget(place.connection)
    assert place.sql("SELECT name FROM atum.part") == [("23 hours",)]


def test_every_part_that_runs_for_ever_tells_and_says_good_bye(database_url: str, amqp_url: str) -> None:
    kinds = ["api", "intake", "relay", "webhooks", "worker"]
    commands = {
        "intake": ["intake"],
        "api": ["api", "--port", str(free_port())],
        "webhooks": ["api", "--only", "webhooks", "--port", str(free_port())],
    }
    settings = {"ATUM_WEBHOOK_BASIC": "user:a-long-password-for-tests"}
    with System(database_url=database_url, amqp_url=amqp_url, settings=settings) as system:
        running = [
            system.start_part([sys.executable, "-m", "atum_ops", *words]) for words in commands.values()
        ]
        assert eventually(
            lambda: sorted(kind for kind, worked, *_ in parts(database_url) if worked) == kinds, seconds=90
        ), [part.output() for part in running]
        for part in running:
            assert part.stop(timeout=60) == 0
        ended = sorted(kind for kind, _, has_ended, *_ in parts(database_url) if has_ended)
        assert ended == sorted(commands)
