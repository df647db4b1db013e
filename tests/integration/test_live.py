"""Settings of a process that runs: read again and again, and a failed or invalid read changes nothing."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, LiteralString

import psycopg
import psycopg.sql
import pytest
from pydantic import SecretStr

from atum_producers.relay import Relay
from atum_schema import database, flow_store, live, settings
from atum_schema.live import Live
from atum_workers.refresher import Refresher
from tests.logged import said
from tests.nodes import database_at, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from atum_schema.settings import Settings
    from tests.command_line import Place


def base(place: Place, **values: Any) -> Settings:
    return settings.load_from(place.environment, **values)


def put(place: Place, *arguments: str) -> None:
    answer = place.run("settings", "set", *arguments, "--yes")
    assert answer.status == 0, answer.err


def by_hand(place: Place, **values: str) -> None:
    for name, value in values.items():
        place.sql(
            "INSERT INTO atum.setting (name, value, version) VALUES (%(name)s, %(value)s, 1)"
            " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            name=name,
            value=value,
        )


def again(now: Live, place: Place) -> bool:
    return now.refresh(place.connection, every_s=0.0)


def test_what_is_stored_goes_before_the_environment_and_all_else_stays(place: Place) -> None:
    now = Live(base(place, window=16, attempts=9))
    put(place, "window=64", "fallback=auto")
    assert again(now, place)
    assert (now.now.window, now.now.fallback, now.now.attempts) == (64, "auto", 9)
    assert not again(now, place)
    put(place, "--unset", "window")
    assert again(now, place)
    assert (now.now.window, now.now.fallback) == (16, "auto")


def test_it_is_read_at_most_once_in_its_interval(place: Place) -> None:
    now = Live(base(place))
    assert not now.refresh(place.connection, every_s=3600.0)
    put(place, "window=64")
    assert not now.refresh(place.connection, every_s=3600.0)
    assert now.now.window == 32


@pytest.mark.parametrize(
    "garbage",
    [
        {"window": "many"},
        {"window": "0"},
        {"fallback": "sometimes"},
        {"fallback": ""},
        {"retry_base_s": "3000", "retry_max_s": "60"},
        {"rates": "transactional"},
        {"window": "64", "attempts": "-1"},
    ],
    ids=str,
)
def test_what_is_not_valid_changes_nothing_of_what_was_good(
    place: Place, garbage: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    now = Live(base(place))
    put(place, "fallback=on", "window=7", "rates=transactional=5")
    again(now, place)
    good = now.now
    by_hand(place, **garbage)
    assert not again(now, place)
    assert now.now == good
    assert (now.now.fallback, now.now.window) == ("on", 7)
    assert "those that were good before stay" in caplog.text
    place.sql("DELETE FROM atum.setting")
    assert again(now, place)
    assert now.now.fallback == "off"


def test_who_begins_with_something_invalid_goes_by_the_rest_of_what_is_stored(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    by_hand(place, window="many", fallback="on", of_tomorrow="x", account="other", postmark_token="other")
    now = Live(base(place, postmark_token=SecretStr("mine")))
    assert again(now, place)
    assert (now.now.window, now.now.fallback) == (32, "on")
    assert now.now.account == "default"
    assert now.now.postmark_token == SecretStr("mine")
    assert "ATUM_WINDOW" in said(caplog)
    assert not again(now, place)
    assert now.now.fallback == "on"


def test_a_database_that_is_away_changes_nothing(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    now = Live(base(place))
    put(place, "fallback=on")
    again(now, place)
    put(place, "fallback=off")
    with database.connect(place.url, name="tests") as lost:
        place.sql("SELECT pg_terminate_backend(%(pid)s)", pid=lost.info.backend_pid)
        assert not now.refresh(lost, every_s=0.0)
        assert now.now.fallback == "on"
    assert "settings: the database is away; those that were good before stay" in caplog.messages
    assert "what is stored is not taken" not in caplog.text
    place.sql("ALTER TABLE atum.setting RENAME TO gone")
    assert not again(now, place)
    assert now.now.fallback == "on"
    place.sql("ALTER TABLE atum.gone RENAME TO setting")
    assert again(now, place)
    assert now.now.fallback == "off"


def test_nobody_begins_by_settings_that_were_never_read(place: Place) -> None:
    now = Live(base(place))
    place.sql("ALTER TABLE atum.setting RENAME TO gone")
    for _ in range(2):
        with pytest.raises(psycopg.errors.UndefinedTable):
            now.refresh(place.connection)
    place.sql("ALTER TABLE atum.gone RENAME TO setting")
    assert not now.refresh(place.connection)


@contextmanager
def relaying(loaded: Settings) -> Iterator[Relay]:
    relay = Relay(loaded)
    thread = threading.Thread(target=relay.run)
    thread.start()
    try:
        yield relay
    finally:
        relay.stop()
        thread.join()


def window(place: Place, lane: str) -> tuple[int, float | None]:
    with database.connect(place.url, name="tests") as connection:
        found = flow_store.read(connection, lanes=[lane])
    return (found[0].window.ceiling, found[0].window.rate) if found else (0, None)


def test_a_relay_gives_its_windows_the_limits_that_were_set_while_it_runs_and_keeps_them_when_reading_fails(
    place: Place, amqp_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("atum_producers.relay.REFRESH_S", 0.05)
    with relaying(base(place, amqp_url=SecretStr(amqp_url))):
        assert eventually(lambda: window(place, "broadcast") == (32, None))
        put(place, "window=5", "rates=broadcast=50,transactional=2")
        assert eventually(lambda: window(place, "broadcast") == (5, 50.0))
        assert eventually(lambda: window(place, "transactional") == (5, 2.0))
        by_hand(place, rates="broadcast=never", window="9")
        place.enqueue(1)
        assert eventually(lambda: place.sql("SELECT count(*) FROM atum.batch") == [(1,)])
        assert window(place, "broadcast") == (5, 50.0)
        put(place, "--unset", "rates", "window=6")
        assert eventually(lambda: window(place, "broadcast") == (6, None))
        assert eventually(lambda: window(place, "transactional") == (6, None))


def test_a_worker_reads_them_again_even_when_it_has_nothing_to_do(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("atum_workers.refresher.REFRESH_S", 0.05)
    now = Live(base(place))
    with database.pool(place.url, name="tests", size=1) as pool:
        refresher = Refresher(pool, now)
        refresher.start()
        try:
            put(place, "attempts=5")
            assert eventually(lambda: now.now.attempts == 5)
        finally:
            refresher.close()


@contextmanager
def away(place: Place) -> Iterator[None]:
    """Let nobody use the database meanwhile."""
    name = place.url.rpartition("/")[2]
    allow = psycopg.sql.SQL("ALTER DATABASE {} WITH ALLOW_CONNECTIONS {}")
    with psycopg.connect(database_at(place.url, "postgres"), autocommit=True) as connection:
        connection.execute(allow.format(psycopg.sql.Identifier(name), psycopg.sql.SQL("false")))
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
        )
        yield
        connection.execute(allow.format(psycopg.sql.Identifier(name), psycopg.sql.SQL("true")))


def test_a_worker_goes_by_what_it_read_last_while_the_database_is_away_and_reads_on_afterwards(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("atum_workers.refresher.REFRESH_S", 0.05)
    now = Live(base(place))
    put(place, "fallback=on")
    with database.pool(place.url, name="tests", size=1) as pool:
        refresher = Refresher(pool, now)
        refresher.start()
        try:
            assert eventually(lambda: now.now.fallback == "on")
            with away(place):
                assert eventually(lambda: "settings: " in caplog.text)
                assert now.now.fallback == "on"
            put(place, "fallback=off")
            assert eventually(lambda: now.now.fallback == "off")
        finally:
            refresher.close()


def test_changing_settings_moves_no_mail_that_is_stored(place: Place) -> None:
    ids = place.enqueue(3, stream="outbound")
    stored: LiteralString = "SELECT id, lane, stream, account, status FROM atum.mail ORDER BY id"
    waiting: LiteralString = "SELECT mail_id, lane, account FROM atum.ready ORDER BY mail_id"
    before = place.sql(stored), place.sql(waiting)
    put(place, "window=1", "rates=broadcast=1", "fallback=on", "resend_lanes=broadcast")
    for change in ("account=other", "lanes=broadcast", "postmark_url=http://127.0.0.1:1"):
        assert place.run("settings", "set", change, "--yes").status == 1
    assert (place.sql(stored), place.sql(waiting)) == before
    assert len(ids) == 3


def test_a_command_goes_by_what_is_stored(place: Place) -> None:
    put(place, "catch_up_rate=2")
    assert live.current(place.connection, base(place)).catch_up_rate == 2
