"""`alerts watch` on a real database: what is told, remembered, written down, and taken over."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from atum_ops.alerts import telling, watch, watch_store
from atum_ops.alerts.cutting import cut_after
from atum_ops.alerts.receivers.receiver import TIMEOUT_S
from atum_ops.alerts.telling import Telling
from atum_ops.signals import store as signals
from atum_schema import database
from atum_schema.migrate import migrate
from tests.alerting import EVERY_S, Ear, Watcher, at_work, came_back, load, vanished
from tests.command_line import DEAD, Place
from tests.nodes import eventually
from tests.system import Part

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from atum_ops.alerts.breach import Breach
    from atum_ops.stack.postgres import PostgresNode
    from tests.receiving import Receiver

COOLDOWN_S = 600
VANISHED = "AtumPartVanished"
BACKLOG = "AtumBacklogHigh"


@pytest.fixture
def ear() -> Ear:
    return Ear()


@pytest.fixture
def watching(place: Place) -> Iterator[Callable[..., Watcher]]:
    """Makes watchers on the test's database, where all parts are at work."""
    at_work(place)
    made: list[Watcher] = []

    def make(*ears: Ear, **settings: Any) -> Watcher:
        loaded = load(place.url, **{"alert_cooldown_seconds": COOLDOWN_S, **settings})
        made.append(Watcher(loaded, [one.receiver for one in ears]))
        return made[-1]

    yield make
    for one in made:
        one.close()


def stored(place: Place) -> list[tuple[Any, ...]]:
    return place.sql("SELECT name, receiver, kind, failures FROM atum.alert_notice ORDER BY name, receiver")


def told(place: Place) -> list[tuple[Any, ...]]:
    return place.sql("SELECT name, receiver, kind, failure FROM atum.alert_told ORDER BY id")


def test_a_backlog_is_told_once_then_after_the_cooldown_and_then_its_end(
    place: Place, ear: Ear, watching: Callable[..., Watcher]
) -> None:
    watcher = watching(ear)
    place.enqueue(100)
    assert watcher.rounds(600).firing == ()
    assert watcher.round().firing == (BACKLOG,)
    assert ear.about() == [(BACKLOG, "firing")]
    watcher.rounds(COOLDOWN_S - EVERY_S)
    assert len(ear.heard) == 1
    watcher.round()
    assert ear.about() == [(BACKLOG, "firing"), (BACKLOG, "repeated")]
    place.sql("DELETE FROM atum.ready")
    watcher.rounds(COOLDOWN_S - EVERY_S)
    assert len(ear.heard) == 2
    assert watcher.round().firing == ()
    assert ear.about()[2:] == [(BACKLOG, "resolved")]
    assert [kind for _, _, kind, _ in told(place)] == ["firing", "repeated", "resolved"]
    assert place.sql("SELECT count(*) FROM atum.alert") == [(0,)]


def test_a_notice_says_what_was_measured_against_what_and_when(
    place: Place, ear: Ear, watching: Callable[..., Watcher]
) -> None:
    place.ended(DEAD, 12)
    place.enqueue(2)
    watcher = watching(
        ear, alert_failure_rate_least=12, alert_runbook_url="https://wiki.example.com/runbooks/"
    )
    watcher.rounds(120)
    (one,) = [one for one in ear.heard if one.alert == "AtumDeadLettersGrowing"]
    assert (one.kind, one.threshold, one.value, one.unit) == ("firing", 10, 12, "mails")
    assert one.description == "12 mails died in one hour; the threshold is 10."
    assert one.metrics._replace(queue_oldest_age_s=None) == (100.0, 12, 12, 2, None, 12, 0, 0)
    assert 0 <= (one.metrics.queue_oldest_age_s or -1) < 600
    assert (one.fired_at - one.since).total_seconds() == 60
    assert one.evaluated_at == one.fired_at
    assert one.runbook_url == "https://wiki.example.com/runbooks/AtumDeadLettersGrowing.md"


def test_a_receiver_that_fails_is_told_again_and_the_cooldown_begins_only_then(
    place: Place, watching: Callable[..., Watcher]
) -> None:
    well, ill = Ear("well"), Ear("ill")
    ill.failure = "HTTP 503"
    watcher = watching(well, ill)
    vanished(place)
    watcher.rounds(120)
    assert (len(well.heard), ill.heard, ill.tried) == (1, [], 3)
    assert (VANISHED, "ill", "firing", 3) in stored(place)
    ill.failure = None
    began = watcher.passed_s
    watcher.rounds(120)
    (late,) = ill.heard
    assert late.kind == "firing"
    taken_after = watcher.passed_s - began
    watcher.rounds(COOLDOWN_S - taken_after)
    assert len(ill.heard) == 1
    watcher.rounds(taken_after)
    assert [one.kind for one in ill.heard] == ["firing", "repeated"]
    assert [one.kind for one in well.heard] == ["firing", "repeated"]
    failures = [failure for _, receiver, _, failure in told(place) if receiver == "ill"]
    assert failures == ["HTTP 503", "HTTP 503", "HTTP 503", None, None]


def test_no_transaction_is_open_while_somebody_is_told(
    place: Place, watching: Callable[..., Watcher]
) -> None:
    ear = Ear()
    states: list[tuple[Any, ...]] = []
    tell = ear.receiver.tell

    def look(told: Breach) -> None:
        states.extend(place.sql("SELECT state FROM pg_stat_activity WHERE application_name = 'atum-alerts'"))
        tell(told)

    watcher = watching(ear)
    watcher.watch._telling = Telling([ear.receiver._replace(tell=look)])
    vanished(place)
    watcher.round()
    assert (states, len(ear.heard)) == ([("idle",)], 1)


def test_a_receiver_that_stays_deaf_is_an_alert_for_the_others(
    place: Place, watching: Callable[..., Watcher]
) -> None:
    well, ill = Ear("well"), Ear("ill")
    ill.failure = "timeout"
    watcher = watching(well, ill)
    vanished(place)
    watcher.rounds(600)
    assert well.about() == [(VANISHED, "firing"), ("AtumAlertDeliveryFailing", "firing")]
    assert well.heard[1].description == "1 receivers do not take notices."
    ill.failure = None
    watcher.rounds(600)
    assert ill.about("AtumAlertDeliveryFailing") == [("AtumAlertDeliveryFailing", "firing")]
    watcher.rounds(COOLDOWN_S)
    assert ("AtumAlertDeliveryFailing", "resolved") in well.about()


def test_a_flap_inside_the_cooldown_tells_nobody(
    place: Place, ear: Ear, watching: Callable[..., Watcher]
) -> None:
    watcher = watching(ear)
    vanished(place)
    watcher.round()
    for _ in range(3):
        came_back(place)
        watcher.rounds(90)
        vanished(place)
        watcher.rounds(60)
    assert ear.about() == [(VANISHED, "firing")]


def test_a_clock_that_is_set_back_silences_no_alert_and_keeps_no_end_from_being_told(
    place: Place, ear: Ear, watching: Callable[..., Watcher]
) -> None:
    """As when a replica takes over whose clock is right, after one whose clock was a day ahead."""
    watcher = watching(ear)
    watcher.passed_s = 86_400
    vanished(place)
    watcher.rounds(EVERY_S)
    assert ear.about(VANISHED) == [(VANISHED, "firing")]
    watcher.passed_s = 0
    watcher.rounds(2 * COOLDOWN_S + 2 * EVERY_S)
    assert ear.about(VANISHED)[1:] == [(VANISHED, "repeated")] * 2
    came_back(place)
    watcher.rounds(COOLDOWN_S)
    assert ear.about(VANISHED)[3:] == [(VANISHED, "resolved")]
    assert not place.sql("SELECT 1 FROM atum.alert")
    vanished(place)
    watcher.rounds(COOLDOWN_S)
    assert ear.about(VANISHED)[4:] == [(VANISHED, "firing")]


def test_who_is_owed_a_notice_when_a_clock_is_set_back_gets_it(
    place: Place, ear: Ear, watching: Callable[..., Watcher]
) -> None:
    watcher = watching(ear)
    watcher.passed_s = 86_400
    ear.failure = "HTTP 503"
    vanished(place)
    watcher.rounds(20 * EVERY_S)
    ear.failure = None
    watcher.passed_s = 0
    watcher.rounds(300 + EVERY_S)
    assert ear.about(VANISHED) == [(VANISHED, "firing")]


def test_thresholds_that_operators_change_count_from_the_next_round_on(
    place: Place, ear: Ear, watching: Callable[..., Watcher]
) -> None:
    watcher = watching(ear)
    place.enqueue(5)
    watcher.rounds(900)
    assert ear.heard == []
    changed = place.run("settings", "set", "alert_queue_backlog_threshold=5", "--yes", "--expect-version", 0)
    assert changed.status == 0, changed.err
    watcher.rounds(630)
    assert [(one.alert, one.threshold) for one in ear.heard] == [(BACKLOG, 5)]


def test_who_watches_next_knows_what_was_told(place: Place, watching: Callable[..., Watcher]) -> None:
    first, second = Ear(), Ear()
    before = watching(first)
    vanished(place)
    before.round()
    before.close()
    after = watching(second)
    after.passed_s = before.passed_s
    assert eventually(lambda: after.watch.round().leads)
    after.rounds(COOLDOWN_S - 60)
    assert (first.about(), second.heard) == ([(VANISHED, "firing")], [])
    came_back(place)
    after.rounds(COOLDOWN_S)
    assert second.about() == [(VANISHED, "resolved")]


def test_one_of_two_watches_and_the_other_takes_over(place: Place, watching: Callable[..., Watcher]) -> None:
    first, second = Ear(), Ear()
    leading, standby = watching(first), watching(second)
    assert (leading.round().leads, standby.round().leads) == (True, False)
    vanished(place)
    standby.rounds(60)
    leading.round()
    standby.rounds(60)
    assert (first.about(), second.heard) == ([(VANISHED, "firing")], [])
    leading.close()
    standby.passed_s = COOLDOWN_S + 2 * EVERY_S
    # The server needs a moment to notice that the other one is gone.
    assert eventually(lambda: standby.watch.round().leads)
    assert second.about() == [(VANISHED, "repeated")]


def test_one_that_is_frozen_or_cut_off_leads_no_longer_than_a_few_rounds(
    place: Place, watching: Callable[..., Watcher], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connection stays: nobody told Postgres that the other end of it is gone."""
    leading, standby = watching(Ear()), watching(Ear())
    with monkeypatch.context() as patch:
        patch.setattr(watch, "SILENT_S", 5.0)
        patch.setattr(watch, "SILENT_ROUNDS", 0)
        assert leading.round().leads
    # Only the silence of the first is short: the other one leads for as long as this test takes.
    assert not standby.round().leads
    assert eventually(lambda: standby.watch.round().leads)
    # Thawed, it stands by.
    assert eventually(lambda: not leading.watch.round().leads)


def test_one_that_is_well_leads_on_however_long_a_round_takes(
    place: Place, watching: Callable[..., Watcher]
) -> None:
    leading = watching(Ear())
    assert leading.round().leads
    silent = place.sql(
        "SELECT setting::int FROM pg_settings WHERE name = 'idle_session_timeout' AND setting <> '0'"
    )
    assert not silent, "only of the watcher's own connection"
    assert watch.SILENT_S > telling._BUDGET_S + 2 * TIMEOUT_S
    assert watch.SILENT_ROUNDS >= 2


def test_alerts_are_told_from_memory_while_postgres_is_away(own_postgres: PostgresNode) -> None:
    migrate(own_postgres.url)
    place = Place(own_postgres.url)
    at_work(place)
    ears = [Ear("one"), Ear("two")]
    watcher = Watcher(
        load(own_postgres.url, alert_cooldown_seconds=COOLDOWN_S), [one.receiver for one in ears]
    )
    vanished(place)
    watcher.round()
    place.close()
    own_postgres.kill()
    assert not watcher.rounds(900).was_read
    for one in ears:
        assert one.about() == [
            (VANISHED, "firing"),
            ("AtumDatabaseDown", "firing"),
            ("AtumDatabaseDown", "repeated"),
        ]
    own_postgres.start()
    place = Place(own_postgres.url)
    came_back(place)
    at_work(place)
    assert watcher.round().was_read
    assert [row[:3] for row in told(place)][2:] == [
        ("AtumDatabaseDown", name, kind) for kind in ("firing", "repeated") for name in ("one", "two")
    ]
    assert ("AtumDatabaseDown", "one", "firing", 0) in stored(place)
    watcher.rounds(COOLDOWN_S)
    for one in ears:
        assert one.about("AtumDatabaseDown")[2:] == [("AtumDatabaseDown", "resolved")]
    with database.connect(own_postgres.url, name="tests") as connection:
        assert watch_store.load(connection) == watcher.watch._memory
    watcher.close()
    place.close()


def test_a_watcher_that_starts_while_postgres_is_away_tells_so_too(own_postgres: PostgresNode) -> None:
    url = own_postgres.url
    own_postgres.kill()
    ear = Ear()
    watcher = Watcher(load(url), [ear.receiver])
    watcher.rounds(150)
    assert ear.about() == [("AtumDatabaseDown", "firing")]
    watcher.close()


def test_one_that_stood_by_tells_that_postgres_is_away_later_than_the_other(
    own_postgres: PostgresNode,
) -> None:
    migrate(own_postgres.url)
    first, second = Ear(), Ear()
    settings = load(own_postgres.url)
    leading, standby = Watcher(settings, [first.receiver]), Watcher(settings, [second.receiver])
    leading.round()
    standby.round()
    own_postgres.kill()
    leading.rounds(150)
    standby.rounds(150)
    assert (first.about(), second.heard) == ([("AtumDatabaseDown", "firing")], [])
    standby.rounds(300)
    assert second.about() == [("AtumDatabaseDown", "firing")]
    leading.close()
    standby.close()


def test_what_one_told_from_memory_is_known_to_the_one_that_leads_afterwards(
    own_postgres: PostgresNode,
) -> None:
    migrate(own_postgres.url)
    place = Place(own_postgres.url)
    at_work(place)
    place.close()
    ear = Ear()
    settings = load(own_postgres.url, alert_cooldown_seconds=COOLDOWN_S)
    first, second = Watcher(settings, [ear.receiver]), Watcher(settings, [ear.receiver])
    assert (first.round().leads, second.round().leads) == (True, False)
    own_postgres.kill()
    first.rounds(150)
    assert ear.about() == [("AtumDatabaseDown", "firing")]
    own_postgres.start()
    second.passed_s = first.passed_s
    assert second.round().leads
    assert not first.round().leads
    place = Place(own_postgres.url)
    assert [row[:3] for row in told(place)] == [("AtumDatabaseDown", "ear", "firing")]
    place.close()
    second.rounds(COOLDOWN_S)
    assert ear.about("AtumDatabaseDown") == [("AtumDatabaseDown", "firing"), ("AtumDatabaseDown", "resolved")]
    first.close()
    second.close()


def test_a_frozen_postgres_is_one_that_is_away(
    own_postgres: PostgresNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate(own_postgres.url)
    ear = Ear()
    watcher = Watcher(load(own_postgres.url), [ear.receiver])
    assert watcher.round().was_read
    own_postgres.freeze()
    began = time.monotonic()
    with monkeypatch.context() as patch:
        patch.setattr(watch, "_ANSWER_S", 0.5)
        assert not watcher.round().was_read
    assert time.monotonic() - began < 20
    own_postgres.resume()
    assert watcher.round().was_read
    watcher.close()


def test_a_server_that_answers_nothing_any_more_is_not_waited_for(database_url: str) -> None:
    began = time.monotonic()
    with (
        database.connect(database_url, name="tests") as connection,
        pytest.raises(psycopg.OperationalError),
        cut_after(connection, 0.2),
    ):
        connection.execute("SELECT pg_sleep(60)")
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "America/Los_Angeles"])
def test_a_day_is_the_last_24_hours_whatever_the_time_zone_of_the_server(place: Place, zone: str) -> None:
    place.sql(
        "INSERT INTO atum.transition (at, lane, cause, from_status, to_status, reason, code, http_status, number)"
        " SELECT now() - make_interval(mins => ago), 'transactional', 'provider_rejected', 'queued', 'dead', 'invalid',"
        " 300, 200, number FROM unnest(ARRAY[1430, 1450], ARRAY[3, 5]) AS t(ago, number)"
    )
    place.connection.execute(f"SET TIME ZONE '{zone}'".encode())
    now = signals.read(place.connection, load(place.url))
    assert now.recently("24h", "dead") == 3
    assert abs(now.at - time.time()) < 60


def test_tries_are_kept_for_as_long_as_the_log(
    place: Place, ear: Ear, watching: Callable[..., Watcher]
) -> None:
    place.sql(
        "INSERT INTO atum.alert_told (at, name, receiver, kind)"
        " SELECT now() - make_interval(days => days), 'AtumNoRelay', 'ear', 'firing' FROM unnest(ARRAY[29, 31]) AS days"
    )
    watching(ear, retention_days=30).round()
    assert place.sql("SELECT extract(days FROM now() - at)::int FROM atum.alert_told") == [(29,)]


def start(place: Place, hook: Receiver, log: Path) -> Part:
    environment = {**place.environment, "ATUM_ALERT_WEBHOOK_URL": hook.url}
    return Part(
        [sys.executable, "-m", "atum_ops", "alerts", "watch", "--every", "1s"],
        environment=environment,
        log=log,
    )


def says(part: Part, words: str) -> bool:
    return eventually(lambda: words in part.output(), seconds=60)


def test_of_two_processes_one_tells_and_when_it_is_killed_the_other_does(
    place: Place, hook: Receiver, tmp_path: Path
) -> None:
    at_work(place)
    with start(place, hook, tmp_path / "first") as first, start(place, hook, tmp_path / "second") as second:
        assert eventually(
            lambda: sum("alerts: watching" in part.output() for part in (first, second)) == 1, seconds=60
        )
        leading, standby = (first, second) if "alerts: watching" in first.output() else (second, first)
        assert says(standby, "standing by")
        vanished(place)
        # Who is killed before it could write down what it told is not believed: the other one tells it again.
        assert eventually(lambda: len(told(place)) == 1, seconds=60)
        leading.kill()
        assert says(standby, "alerts: watching")
        place.sql(
            "INSERT INTO atum.transition (lane, cause, from_status, to_status, reason, code, http_status, number)"
            " VALUES ('transactional', 'duplicate_found', 'sent', 'sent', '', 0, 0, 1)"
        )
        assert eventually(lambda: len(hook.received) == 2, seconds=60)
        assert [one.event["alert"] for one in hook.received] == [VANISHED, "AtumDuplicateConfirmed"]
        assert standby.stop(timeout=20) == 0
    assert len(hook.received) == 2
