"""`health check` on a real database, and on a whole system that runs.

Weaknesses B7 (health said Healthy while nothing ran), G3 (a token that is refused stayed "verified"), I1 (it always exited 0) and
I2 (the schema was "ok" by a stored version).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, LiteralString

import pytest

from atum_ops.health import checks
from tests.command_line import run
from tests.nodes import eventually
from tests.system import System, letters

if TYPE_CHECKING:
    from atum_ops.simulator.process import SimulatorProcess
    from tests.command_line import Answer, Place

SANDBOX = "is a sandbox: nothing is delivered"
NAMES = [check.name for check in checks.CHECKS]


def check(place: Place, *names: str, status: int | None = None, **environment: str) -> dict[str, Any]:
    """Run some checks; give for each verdict and text, with the remedy, by name."""
    place.environment |= environment
    only = [word for name in names for word in ("--only", name)]
    answer = place.run("health", "check", "--format=json", *only)
    if status is not None:
        assert answer.status == status, answer
    return {each["name"]: each for each in answer.json["checks"]}


def test_a_system_that_runs_is_good_and_one_whose_parts_stop_is_not(database_url: str, amqp_url: str) -> None:
    """Weaknesses B7 and I1: exit statuses say what was found."""
    with System(database_url=database_url, amqp_url=amqp_url, relays=0, workers=0) as system:
        relay, worker = system.start_relay(), system.start_worker()
        system.mailer.enqueue([*letters(30), *letters(5, stream="broadcast")])
        system.settled()
        relay_and_worker = "SELECT kind FROM atum.part WHERE worked_at IS NOT NULL AND ended_at IS NULL"
        assert eventually(lambda: len(system.query(relay_and_worker)) == 2, seconds=60)
        answer = asked(system)
        found = {each["name"]: each for each in answer.json["checks"]}
        others = {name: each["verdict"] for name, each in found.items() if each["verdict"] != "good"}
        # The simulator calls itself a sandbox, and nobody has set how to look at domains.
        assert others == {"provider": "warning", "domains": "unknown"}
        assert (answer.status, answer.json["verdict"], list(found)) == (1, "warning", NAMES)
        answer = asked(system, "--offline")
        assert (answer.status, answer.json["verdict"]) == (0, "good")
        # A process that was killed says no good-bye; one that stops does.
        system.start_relay().stop()
        assert len(system.query("SELECT FROM atum.part WHERE kind = 'relay' AND ended_at IS NOT NULL")) == 1
        # Or they would say again that they live.
        relay.kill()
        worker.kill()
        system.query(
            "UPDATE atum.part SET seen_at = now() - interval '1 minute', ended_at = now() RETURNING id"
        )
        system.query("DELETE FROM atum.part WHERE kind = 'worker' RETURNING id")
        answer = asked(system, "--offline")
    found = {each["name"]: each for each in answer.json["checks"]}
    assert (answer.status, answer.json["verdict"]) == (1, "bad")
    assert found["workers"]["remedy"] == "start one: atum-mailer worker"
    assert found["provider"]["found"] == "not looked at: --offline"


def asked(system: System, *arguments: str) -> Answer:
    return run("health", "check", "--format=json", *arguments, **system.environment)


def test_an_empty_installation_says_what_to_start(place: Place) -> None:
    found = check(place, status=1)
    assert found["relays"]["verdict"] == found["workers"]["verdict"] == "bad"
    assert found["broker"]["verdict"] == "unknown"
    for name in (
        "database",
        "schema",
        "clock",
        "retention",
        "keys",
        "lanes",
        "backlog",
        "failures",
        "stopped",
    ):
        assert found[name]["verdict"] in {"good", "unknown"}, found[name]


def test_the_table_fits_120_columns_and_ends_with_the_overall_verdict(place: Place) -> None:
    place.environment["COLUMNS"] = "120"
    out = place.run("health", "check").out
    assert max(map(len, out.splitlines())) <= 120
    assert out.endswith("overall: bad\n")
    csv = place.run("health", "check", "--format=csv").out.splitlines()
    assert csv[0] == "check,verdict,found,remedy"
    assert len(csv) >= 1 + len(NAMES)


def test_a_database_that_does_not_answer_is_exit_status_3_and_the_rest_is_still_looked_at(
    place: Place, simulator: SimulatorProcess
) -> None:
    place.environment["ATUM_DATABASE_URL"] = "postgresql://atum:secret@127.0.0.1:1/atum"
    found = check(
        place, status=3, ATUM_POSTMARK_URL=simulator.url, ATUM_POSTMARK_TOKEN=simulator.config.token
    )
    assert found["database"]["verdict"] == "bad"
    assert found["database"]["found"] == "it does not answer: connection refused"
    assert found["schema"]["found"] == "not looked at: the database does not answer"
    assert found["provider"]["found"].endswith(SANDBOX)
    assert "secret" not in str(found)


@pytest.mark.parametrize(
    ("statement", "verdict", "words"),
    [
        (
            "ALTER TABLE atum.ready DROP COLUMN size CASCADE",
            "bad",
            "missing: column ready.size integer not null",
        ),
        ("DROP SCHEMA atum CASCADE", "bad", "the database has no schema yet"),
        ("DELETE FROM atum.migration WHERE version = 5", "bad", "the database lacks 0005_operating.sql"),
        (
            "INSERT INTO atum.migration (version, name, checksum) VALUES (99, 'x', 'x')",
            "bad",
            "the database has migration 99, this version knows 6: upgrade it",
        ),
        (
            "ALTER TABLE atum.mail ADD COLUMN mine int",
            "warning",
            "not of this version: column mail.mine integer",
        ),
    ],
)
def test_the_schema_is_looked_at_and_not_a_version_of_it(
    place: Place, statement: LiteralString, verdict: str, words: str
) -> None:
    """Weakness I2."""
    place.sql(statement)
    found = check(place, "schema", status=1)["schema"]
    assert (found["verdict"], found["found"]) == (verdict, words)


def test_a_part_that_was_seen_and_did_nothing_is_stuck(place: Place) -> None:
    """Weakness B7."""
    place.sql(
        "INSERT INTO atum.part (id, kind, name, version, started_at, worked_at) VALUES (gen_random_uuid(), 'worker',"
        " 'host:7', '0.1.0', now() - interval '1 hour', now() - interval '10 minutes')"
    )
    found = check(place, "workers", status=1)["workers"]
    assert found["found"] == "1 of 1 did nothing for 1.5 min: host:7"


def test_mail_that_is_due_for_hours_is_bad_whatever_else_is_well(place: Place) -> None:
    """Weakness B7."""
    place.enqueue(2)
    assert check(place, "backlog", status=0)["backlog"]["verdict"] == "good"
    place.sql("UPDATE atum.ready SET due_at = now() - interval '2 hours'")
    assert check(place, "backlog", status=1)["backlog"]["verdict"] == "bad"


def test_a_task_that_failed_is_told_with_when_it_did(place: Place) -> None:
    """Weakness G3: states are last results with their time."""
    place.sql("UPDATE atum.maintenance SET due_at = now() + interval '1 hour'")
    place.sql(
        "UPDATE atum.maintenance SET failure = 'ProviderFailed', ended_at = now() - interval '2 minutes'"
        " WHERE name = 'catch_up'"
    )
    found = check(place, "tasks", status=1)["tasks"]
    assert re.fullmatch(r"catch_up failed 2\.\d min ago: ProviderFailed", found["found"])


def test_a_task_that_nobody_does_is_bad(place: Place) -> None:
    # The others have been due since the template of the database was made, which may be long ago.
    place.sql("UPDATE atum.maintenance SET due_at = now() + interval '1 hour'")
    place.sql("UPDATE atum.maintenance SET due_at = now() - interval '1 hour' WHERE name = 'add_up'")
    found = check(place, "tasks", status=1)["tasks"]
    assert (found["verdict"], "add_up has been due for more than 10.0 min" in found["found"]) == ("bad", True)


def test_a_token_that_the_provider_refuses_now_is_bad(place: Place, simulator: SimulatorProcess) -> None:
    """Weakness G3."""
    token = {"ATUM_POSTMARK_URL": simulator.url, "ATUM_POSTMARK_TOKEN": simulator.config.token}
    assert check(place, "provider", status=1, **token)["provider"]["found"].endswith(SANDBOX)
    found = check(place, "provider", status=1, ATUM_POSTMARK_TOKEN="revoked")["provider"]
    assert (found["verdict"], "ATUM_POSTMARK_TOKEN is refused" in found["found"]) == ("bad", True)
    found = check(place, "provider", status=1, ATUM_POSTMARK_URL="http://127.0.0.1:1")["provider"]
    assert "does not answer" in found["found"]


@pytest.mark.parametrize(
    ("stream", "words"), [("inbound", "is of type Inbound"), ("nowhere", "does not exist on the server")]
)
def test_streams_that_mails_use_and_that_do_not_send_are_bad(
    place: Place, simulator: SimulatorProcess, stream: str, words: str
) -> None:
    """Weakness G4."""
    place.enqueue(1, stream=stream)
    token = {"ATUM_POSTMARK_URL": simulator.url, "ATUM_POSTMARK_TOKEN": simulator.config.token}
    found = check(place, "streams", status=1, **token)["streams"]
    assert (found["verdict"], found["found"].startswith(f"{stream} {words}")) == ("bad", True)


def test_the_clocks_of_database_and_provider_are_compared_with_ours(
    place: Place, simulator: SimulatorProcess
) -> None:
    """Weakness C17: nothing is told in local time."""
    token = {"ATUM_POSTMARK_URL": simulator.url, "ATUM_POSTMARK_TOKEN": simulator.config.token}
    place.environment |= token
    answer = place.run("health", "check", "--only", "clock", "--format=json")
    assert [each["found"] for each in answer.json["checks"]] == [
        "the database's clock agrees with ours",
        "the provider's clock agrees with ours",
    ]


def test_content_that_no_key_opens_is_bad(place: Place) -> None:
    place.enqueue(1)
    assert check(place, "keys", status=0)["keys"]["verdict"] == "good"
    place.sql("UPDATE atum.content SET key_id = 'lost'")
    found = check(place, "keys", status=1)["keys"]
    assert (found["verdict"], "encrypted with lost" in found["found"]) == ("bad", True)
    del place.environment["ATUM_CONTENT_KEYS"]
    assert check(place, "keys", status=0)["keys"]["verdict"] == "unknown"


def test_keys_that_cannot_be_read_hide_no_other_check(place: Place) -> None:
    found = check(place, "keys", "backlog", status=1, ATUM_CONTENT_KEYS="k1:short")
    assert (found["keys"]["verdict"], found["backlog"]["verdict"]) == ("bad", "good")
    assert "short" not in str(found)


def test_a_month_without_its_partition_and_mails_in_none_are_told(place: Place) -> None:
    """Weakness C13: what is kept, and for how long, is looked at."""
    assert check(place, "retention", status=0)["retention"]["verdict"] == "good"
    ((name,),) = place.sql(
        "SELECT 'mail_' || to_char((now() AT TIME ZONE 'UTC') + interval '1 month', 'YYYY_MM')"
    )
    place.sql("ALTER TABLE atum.mail DETACH PARTITION atum." + name)
    answer = place.run("health", "check", "--only", "retention", "--format=json")
    assert f"partitions are missing: {name}" in [each["found"] for each in answer.json["checks"]]


def test_a_paused_lane_is_told_with_who_and_why(place: Place) -> None:
    """Weakness A15."""
    place.run("queue", "pause", "--reason", "a sale", "--by", "ada")
    answer = place.run("health", "check", "--only", "lanes", "--format=json")
    assert answer.status == 1
    assert all("by ada" in each["found"] and "a sale" in each["found"] for each in answer.json["checks"])


def test_a_check_that_there_is_not_is_wrong_usage(place: Place) -> None:
    answer = place.run("health", "check", "--only", "everything")
    assert (answer.status, "'everything' is no check; there are: database" in answer.err) == (2, True)


def test_settings_that_are_wrong_are_named(place: Place) -> None:
    place.environment["ATUM_LANES"] = "Not A Lane"
    answer = place.run("health", "check")
    assert (answer.status, "ATUM_LANES" in answer.err) == (1, True)
