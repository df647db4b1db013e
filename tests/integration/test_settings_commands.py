"""`settings show`, `set` and `history`: what holds, what can change while it runs, and who has changed it."""

from __future__ import annotations

import csv
import io
import threading
from typing import TYPE_CHECKING, Any, LiteralString

import pytest

from atum_schema import database, live, settings
from tests.command_line import run
from tests.nodes import eventually

if TYPE_CHECKING:
    from tests.command_line import Answer, Place


def shown(place: Place, *names: str) -> dict[str, dict[str, Any]]:
    found = place.run("settings", "show", *names, "--format=json").json
    return {each["name"]: each for each in found["settings"]}


def put(place: Place, *arguments: str) -> Answer:
    return place.run("settings", "set", *arguments, "--by", "jane", "--yes")


def version(place: Place) -> int:
    number = place.run("settings", "show", "--format=json").json["version"]
    assert isinstance(number, int)
    return number


def test_a_setting_is_shown_with_where_its_value_comes_from_its_range_and_its_version(place: Place) -> None:
    place.environment["ATUM_ATTEMPTS"] = "9"
    assert put(place, "window=64").status == 0
    found = shown(place, "window", "ATUM_ATTEMPTS", "tries", "account")
    assert found["window"] == {
        "name": "window",
        "variable": "ATUM_WINDOW",
        "value": 64,
        "source": "postgres",
        "range": "from 1 to 10000",
        "live": True,
        "version": 1,
        "problem": None,
    }
    sources = {name: (each["source"], each["value"], each["version"]) for name, each in found.items()}
    assert sources["attempts"] == ("environment", 9, None)
    assert sources["tries"] == ("default", 100, None)
    assert (found["account"]["live"], sources["account"]) == (False, ("default", "default", None))
    assert found.keys() == {"window", "attempts", "tries", "account"}


def test_of_secrets_only_is_said_whether_they_are_set(place: Place) -> None:
    place.environment["ATUM_POSTMARK_TOKEN"] = "canary-token"
    everything = [place.run("settings", "show", f"--format={form}") for form in ("table", "json", "csv")]
    key = place.environment["ATUM_CONTENT_KEYS"].partition(":")[2]
    for answer in everything:
        assert answer.status == 0
        for secret in ("canary-token", key, place.url):
            assert secret not in answer.out + answer.err
    found = shown(place)
    secrets = ("database_url", "content_keys", "postmark_token", "amqp_url", "webhook_secret")
    assert [found[name]["value"] for name in secrets] == ["set", "set", "set", "not set", "not set"]
    del place.environment["ATUM_CONTENT_KEYS"]
    assert shown(place)["content_keys"]["value"] == "not set"


def test_the_table_fits_and_csv_has_a_row_for_each_setting(place: Place) -> None:
    place.environment["COLUMNS"] = "120"
    table = place.run("settings", "show").out
    assert max(map(len, table.splitlines())) <= 120
    assert all(name in table for name in ("database_url", "content_retention_days", "fallback_after_s"))
    rows = list(csv.DictReader(io.StringIO(place.run("settings", "show", "--live", "--format=csv").out)))
    assert [row["name"] for row in rows] == [*live.NAMES]


def test_without_yes_it_only_says_what_would_change(place: Place) -> None:
    answer = place.run("settings", "set", "window=64", "ATUM_RATES=broadcast=50", "--format=json")
    assert answer.json == {
        "version": 0,
        "applied": False,
        "changes": [
            {
                "name": "window",
                "before": 32,
                "before_source": "default",
                "after": 64,
                "after_source": "postgres",
            },
            {
                "name": "rates",
                "before": None,
                "before_source": "default",
                "after": "broadcast=50",
                "after_source": "postgres",
            },
        ],
    }
    assert "--yes --expect-version 0" in place.run("settings", "set", "window=64").out
    assert version(place) == 0
    assert place.sql("SELECT count(*) FROM atum.setting") == [(0,)]


def test_a_partial_update_leaves_all_other_settings_alone(place: Place) -> None:
    assert put(place, "window=64", "rates=broadcast=50", "fallback=auto", "outage_requests=7").status == 0
    before = shown(place)
    assert put(place, "attempts=5").status == 0
    after = shown(place)
    assert {name for name in after if after[name] != before[name]} == {"attempts"}
    assert put(place, "--unset", "rates").status == 0
    assert shown(place)["rates"]["source"] == "default"
    assert shown(place)["window"] == before["window"]


def test_several_changes_are_one_version_all_or_nothing(place: Place) -> None:
    refused = put(place, "window=64", "attempts=1000", "tries=0")
    assert refused.status == 1
    assert "ATUM_ATTEMPTS: must be a number from 1 to 100, not '1000'" in refused.err
    assert "ATUM_TRIES: must be a number from 1 to 10000, not '0'" in refused.err
    assert version(place) == 0
    assert shown(place)["window"]["source"] == "default"
    assert put(place, "probe_s=100", "probe_max_s=200").status == 0
    assert version(place) == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("postmark_token=canary", "is a secret"),
        ("ATUM_CONTENT_KEYS=canary", "is a secret"),
        ("account=canary", "belongs to the environment"),
        ("lanes=canary", "belongs to the environment"),
        ("privacy=canary", "belongs to the environment"),
        ("logging=canary", "no setting logging"),
        ("version=7", "no setting version"),
        ("changed_at=canary", "no setting changed_at"),
    ],
)
def test_what_is_secret_unknown_or_kept_by_the_system_itself_cannot_be_set(
    place: Place, change: str, words: str
) -> None:
    for confirmed in ((), ("--yes",)):
        refused = place.run("settings", "set", "window=64", change, *confirmed)
        assert refused.status == 1
        assert words in refused.err
        assert ", ".join(live.NAMES) in refused.err
        assert "canary" not in refused.err
    assert version(place) == 0


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("window",),
        ("window=1", "ATUM_WINDOW=2"),
        ("window=1", "--unset", "window"),
        ("window=1", "--note", ""),
    ],
)
def test_what_cannot_be_understood_is_wrong_usage(place: Place, arguments: tuple[str, ...]) -> None:
    assert put(place, *arguments).status == 2
    assert version(place) == 0


def test_a_name_that_nobody_knows_is_said_with_those_that_there_are(place: Place) -> None:
    for command in (("show", "windows"), ("history", "--name", "windows")):
        answer = place.run("settings", *command)
        assert answer.status == 1
        assert "no setting windows; there are: " in answer.err
        assert "window, " in answer.err


def test_who_has_not_seen_the_last_change_does_not_undo_it_unawares(place: Place) -> None:
    assert put(place, "window=64", "--expect-version", "0").status == 0
    refused = put(place, "window=8", "--expect-version", "0")
    assert refused.status == 1
    assert "settings are at version 1" in refused.err
    assert shown(place)["window"]["value"] == 64
    assert put(place, "window=8", "--expect-version", "1").status == 0


def test_two_people_at_once_make_two_versions_one_after_the_other(place: Place) -> None:
    loaded = settings.load_from(place.environment)
    answers: list[Answer] = []
    second = threading.Thread(target=lambda: answers.append(put(place, "attempts=5")))
    with database.connect(place.url, name="tests") as other, other.transaction():
        live.change(other, loaded, {"window": "64"}, actor="operator:joe")
        second.start()
        waiting: LiteralString = (
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'atum.setting'::regclass"
        )
        assert eventually(lambda: place.sql(waiting) == [(1,)])
        # Whoever reads does not wait; whoever changes does.
        assert version(place) == 0
    second.join()
    assert [answer.status for answer in answers] == [0]
    assert (shown(place)["window"]["value"], shown(place)["attempts"]["value"], version(place)) == (64, 5, 2)


def test_what_is_the_same_already_is_no_change(place: Place) -> None:
    assert put(place, "retry_base_s=5").status == 0
    answer = put(place, "retry_base_s=5.0")
    assert (answer.status, "nothing changes" in answer.out) == (0, True)
    assert version(place) == 1


def test_history_says_who_changed_what_from_what_and_why(place: Place) -> None:
    assert put(place, "window=64", "attempts=5", "--note", "newsletter day").status == 0
    assert put(place, "window=16").status == 0
    assert put(place, "--unset", "attempts").status == 0
    found = place.run("settings", "history", "--format=json").json
    assert [(each["version"], each["by"], each["note"]) for each in found] == [
        (3, "operator:jane", None),
        (2, "operator:jane", None),
        (1, "operator:jane", "newsletter day"),
    ]
    assert [each["changes"] for each in found] == [
        [{"name": "attempts", "before": "5", "after": None}],
        [{"name": "window", "before": "64", "after": "16"}],
        [
            {"name": "window", "before": None, "after": "64"},
            {"name": "attempts", "before": None, "after": "5"},
        ],
    ]
    of_window = place.run("settings", "history", "--name", "ATUM_WINDOW", "--format=csv").out
    rows = list(csv.DictReader(io.StringIO(of_window)))
    assert [(row["version"], row["name"], row["before"], row["after"]) for row in rows] == [
        ("2", "window", "64", "16"),
        ("1", "window", "", "64"),
    ]
    last = place.run("settings", "history", "--limit", "1")
    assert "attempts" in last.out
    assert "window" not in last.out
    assert "there may be more" in last.err


def test_every_change_is_in_the_audit_log(place: Place) -> None:
    assert put(place, "window=64", "--note", "newsletter day").status == 0
    assert place.sql("SELECT actor, action, detail FROM atum.audit") == [
        (
            "operator:jane",
            "settings.changed",
            {"version": 1, "changes": {"window": [None, "64"]}, "reason": "newsletter day"},
        )
    ]


def test_what_somebody_stored_by_hand_and_is_not_valid_is_said_and_not_used(place: Place) -> None:
    place.sql(
        "INSERT INTO atum.setting (name, value, version) VALUES ('window', 'many', 1), ('attempts', '5', 1)"
    )
    answer = place.run("settings", "show", "--format=json")
    assert answer.status == 1
    found = {each["name"]: each for each in answer.json["settings"]}
    assert (found["window"]["value"], found["window"]["source"]) == (32, "default")
    assert "ATUM_WINDOW" in found["window"]["problem"]
    assert (found["attempts"]["value"], found["attempts"]["source"]) == (5, "postgres")
    assert "ATUM_WINDOW" in answer.err
    assert put(place, "tries=50").status == 1
    assert put(place, "tries=50", "--unset", "window").status == 0
    assert place.run("settings", "show").status == 0


def test_a_database_that_is_away_is_status_3() -> None:
    nobody = {"ATUM_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}
    for command in (["show"], ["set", "window=1"], ["history"]):
        assert run("settings", *command, **nobody).status == 3


def test_in_a_terminal_of_a_hundred_columns_names_can_still_be_copied(place: Place) -> None:
    place.environment["COLUMNS"] = "100"
    lines = place.run("settings", "show").out.splitlines()
    assert max(map(len, lines)) <= 100
    assert {"alert_queue_backlog_critical_threshold", "webhook_signature_window_s"} <= {
        line.split()[1] for line in lines if line.startswith("│")
    }
