"""`alerts watch`, `alerts test`, `alerts status`, `alerts history` as operators run them."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import orjson
import psycopg
import pytest

from atum_ops.alerts import catalogue
from atum_ops.stack.ports import free_port
from tests.alerting import Ear, Watcher, at_work, load, vanished
from tests.command_line import Place, run
from tests.nodes import eventually
from tests.smtp import Relay
from tests.system import Part

if TYPE_CHECKING:
    from pathlib import Path

    from tests.receiving import Receiver

SECRET = "s3cr3t-path"


@pytest.fixture
def told_by(place: Place, hook: Receiver) -> Place:
    """A system at work whose alerts go to the hook."""
    at_work(place)
    place.environment["ATUM_ALERT_WEBHOOK_URL"] = f"{hook.url}/{SECRET}"
    return place


def memory(place: Place) -> list[object]:
    return [place.sql("SELECT * FROM atum.alert"), place.sql("SELECT * FROM atum.alert_notice")]


def nobody_watches(place: Place) -> bool:
    """Wait until the server has noticed that who watched is gone: only then may the next one."""
    return eventually(lambda: place.run("alerts", "status", "--format=json").json["watched"] is False)


def test_watching_without_anybody_to_tell_is_refused(place: Place) -> None:
    answer = place.run("alerts", "watch", "--once")
    assert answer.status == 1
    assert "nobody is told of alerts: set ATUM_ALERT_WEBHOOK_URL" in answer.err
    assert answer.err.count("\n") == 1


def test_one_look_says_by_its_exit_status_whether_anything_fires(told_by: Place, hook: Receiver) -> None:
    well = told_by.run("alerts", "watch", "--once")
    assert (well.status, well.out) == (0, "")
    assert nobody_watches(told_by)
    vanished(told_by)
    ill = told_by.run("alerts", "watch", "--once")
    assert (ill.status, ill.out) == (1, "AtumPartVanished\n")
    again = told_by.run("alerts", "watch", "--once")
    assert (again.status, len(hook.received)) == (1, 1)


def test_one_look_at_a_database_that_is_away_tells_nobody_and_says_so(hook: Receiver) -> None:
    answer = run(
        "alerts",
        "watch",
        "--once",
        ATUM_DATABASE_URL=f"postgresql://127.0.0.1:{free_port()}/none",
        ATUM_ALERT_WEBHOOK_URL=hook.url,
    )
    assert (answer.status, hook.received) == (3, [])
    assert "cannot use the database" in answer.err


def test_a_database_without_a_schema_is_named_as_that(told_by: Place) -> None:
    told_by.sql("DROP SCHEMA atum CASCADE")
    answer = told_by.run("alerts", "watch", "--once")
    assert (answer.status, answer.err.splitlines()[-1]) == (
        1,
        "atum-mailer: the database has no schema yet; run: atum-mailer migrate",
    )


@pytest.mark.parametrize("every", ["0", "11m", "soon"])
def test_a_round_takes_from_a_second_to_ten_minutes(told_by: Place, every: str) -> None:
    assert told_by.run("alerts", "watch", "--once", "--every", every).status == 2


def test_a_watcher_ends_well_when_it_is_asked_to(told_by: Place, hook: Receiver, tmp_path: Path) -> None:
    vanished(told_by)
    command = [sys.executable, "-m", "atum_ops", "alerts", "watch", "--every", "1s"]
    with Part(command, environment=told_by.environment, log=tmp_path / "log") as part:
        assert eventually(lambda: "a receiver was told" in part.output(), seconds=60), part.output()
        status = told_by.run("alerts", "status", "--format=json").json
        assert status["watched"] is True
        assert part.stop(timeout=20) == 0
    output = part.output()
    assert len(hook.received) == 1
    assert '"alert":"AtumPartVanished"' in output
    assert "alerts: stopped" in output
    assert SECRET not in output


def test_a_test_sends_one_notice_of_each_kind_to_everybody_and_remembers_nothing(
    told_by: Place, hook: Receiver
) -> None:
    with Relay() as relay:
        told_by.environment |= {
            "ATUM_ALERT_EMAIL_URL": f"smtp://127.0.0.1:{relay.port}",
            "ATUM_ALERT_EMAIL_TO": "ops@example.com",
            "ATUM_ALERT_EMAIL_FROM": "alerts@example.com",
            "ATUM_ALERT_COMMAND": "cat",
        }
        answer = told_by.run("alerts", "test", "--format=json")
        subjects = [message["Subject"].split(" (")[0] for message in relay.messages]
    assert answer.status == 0, answer.err
    kinds = ["firing", "repeated", "resolved"]
    assert [(row["receiver"], row["kind"], row["result"]) for row in answer.json] == [
        (receiver, kind, "taken") for receiver in ("webhook", "email", "command") for kind in kinds
    ]
    assert [(one.event["kind"], one.event["test"]) for one in hook.received] == [
        (kind, True) for kind in kinds
    ]
    assert subjects == [f"[test] {kind.upper()}" for kind in kinds]
    assert memory(told_by) == [[], []]
    assert told_by.sql("SELECT DISTINCT kind, facts->>'kind' FROM atum.alert_told ORDER BY 2") == [
        ("test", kind) for kind in kinds
    ]


def test_a_test_that_somebody_does_not_take_says_who_and_why_and_never_where(
    told_by: Place, hook: Receiver
) -> None:
    hook.answer = lambda _: 503
    told_by.environment["ATUM_ALERT_SLACK_URL"] = f"http://127.0.0.1:{free_port()}/{SECRET}"
    answer = told_by.run("alerts", "test")
    assert answer.status == 1
    for words in ("webhook", "HTTP 503", "slack", "connection refused"):
        assert words in answer.out
    assert SECRET not in answer.out + answer.err
    assert told_by.sql("SELECT DISTINCT failure FROM atum.alert_told ORDER BY 1") == [
        ("HTTP 503",),
        ("connection refused",),
    ]
    assert SECRET not in str(told_by.sql("SELECT facts FROM atum.alert_told"))


def test_one_receiver_alone_can_be_tested(told_by: Place, hook: Receiver) -> None:
    told_by.environment["ATUM_ALERT_COMMAND"] = "false"
    assert told_by.run("alerts", "test", "--receiver", "webhook").status == 0
    assert len(hook.received) == 3
    strange = told_by.run("alerts", "test", "--receiver", "pigeon")
    assert (strange.status, "there are: webhook, command" in strange.err) == (1, True)


def test_receivers_can_be_tested_while_the_database_is_away(hook: Receiver) -> None:
    answer = run(
        "alerts",
        "test",
        ATUM_DATABASE_URL=f"postgresql://127.0.0.1:{free_port()}/none",
        ATUM_ALERT_WEBHOOK_URL=hook.url,
    )
    assert (answer.status, len(hook.received)) == (0, 3)
    assert hook.received[0].event["metrics"]["queue_backlog"] is None


def test_the_status_shows_every_alert_and_who_was_told(told_by: Place) -> None:
    vanished(told_by)
    told_by.enqueue(100)
    ear = Ear()
    watcher = Watcher(load(told_by.url), [ear.receiver])
    watcher.round()
    watcher.close()
    assert nobody_watches(told_by)
    before = memory(told_by)
    answer = told_by.run("alerts", "status", "--format=json")
    assert (answer.status, answer.json["watched"]) == (1, False)
    alerts = {one["alert"]: one for one in answer.json["alerts"]}
    assert list(alerts) == [one.name for one in catalogue.alerts(load(told_by.url))]
    assert alerts["AtumPartVanished"]["state"] == "firing"
    assert [(one["receiver"], one["kind"]) for one in alerts["AtumPartVanished"]["told"]] == [
        ("ear", "firing")
    ]
    assert (alerts["AtumBacklogHigh"]["state"], alerts["AtumBacklogHigh"]["value"]) == ("pending", 100)
    assert alerts["AtumNoRelay"]["state"] == "well"
    assert alerts["AtumWatchdog"]["state"] == "unseen"
    told_by.environment["COLUMNS"] = "80"
    table = told_by.run("alerts", "status").out
    assert "nobody watches" in table
    assert all(f"│ {name} " in table for name in alerts), "at 80 columns no name is broken"
    assert max(map(len, table.splitlines())) <= 80
    assert re.search(r"Who was told\s.*│ AtumPartVanished +│ ear +│ 2", table, re.DOTALL)
    assert memory(told_by) == before


def test_a_system_that_is_well_has_a_good_status(told_by: Place) -> None:
    assert told_by.run("alerts", "status").status == 0


def test_history_tells_who_was_told_what_and_who_was_not(told_by: Place) -> None:
    vanished(told_by)
    well, ill = Ear("well"), Ear("ill")
    ill.failure = "timeout"
    watcher = Watcher(load(told_by.url), [well.receiver, ill.receiver])
    watcher.round()
    watcher.close()
    rows = told_by.run("alerts", "history", "--format=json").json
    assert sorted((row["alert"], row["kind"], row["receiver"], row["result"]) for row in rows) == [
        ("AtumPartVanished", "firing", "ill", "timeout"),
        ("AtumPartVanished", "firing", "well", "taken"),
    ]
    told_by.sql("UPDATE atum.alert_told SET at = now() - interval '2 days'")
    assert told_by.run("alerts", "history", "--format=json").json == []
    assert len(told_by.run("alerts", "history", "--since", "3d", "--format=json").json) == 2
    assert len(told_by.run("alerts", "history", "--since", "3d", "--limit", 1, "--format=json").json) == 1


def test_every_notice_is_kept_as_it_was_told(told_by: Place, hook: Receiver) -> None:
    vanished(told_by)
    told_by.run("alerts", "watch", "--once")
    with psycopg.connect(told_by.url) as connection:
        (facts,) = connection.execute("SELECT facts FROM atum.alert_told").fetchone() or (None,)
    assert facts == orjson.loads(orjson.dumps(hook.received[0].event))
