"""`fallback status`, `fallback enable` and `fallback disable`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from atum_schema import database, flow_store
from atum_schema.fallback import SMTP, Taking
from tests.command_line import UNKNOWN
from tests.integration.test_fallback_issue import batch, issue, pin

if TYPE_CHECKING:
    from tests.command_line import Place

LANE = "transactional"


@pytest.fixture
def place(place: Place) -> Place:
    """A place whose settings name an SMTP relay, and whose lane a relay has served."""
    place.environment |= {"ATUM_SMTP_URL": "smtp://relay.example.com", "COLUMNS": "120"}
    for account in ("default", SMTP):
        flow_store.ensure(place.connection, lane=LANE, account=account, ceiling=32, rate=None)
    return place


def status(place: Place) -> Any:
    return place.run("fallback", "status", "--format=json").json


def settings_of(place: Place) -> dict[str, str]:
    return dict(place.sql("SELECT name, value FROM atum.setting"))


def close(place: Place, *, ago: float) -> None:
    with database.connect(place.url, name="tests") as connection:
        flow_store.change(
            connection,
            lambda row: row.window._replace(size=0, state="closed", reason="outage", since=row.now - ago),
            lane=LANE,
            account="default",
        )


def test_it_is_off_until_somebody_enables_it(place: Place) -> None:
    found = status(place)
    assert (found["mode"], found["configured"], found["after_s"], found["version"]) == ("off", True, 900.0, 0)
    (lane,) = found["lanes"]
    assert (lane["lane"], lane["primary"], lane["smtp"], lane["in_use"], lane["why"]) == (
        LANE,
        "open",
        "open",
        False,
        "off",
    )
    assert found["left"] == {"held": 0, "unknown": 0, "pinned": 0}
    shown = place.run("fallback", "status").out
    assert "fallback is off; the SMTP relay is set up" in shown
    assert max(map(len, shown.splitlines())) <= 120


def test_enabling_says_first_what_it_would_do_and_then_does_it_under_a_name_and_a_note(place: Place) -> None:
    dry = place.run("fallback", "enable", "--auto", "--after", "15m")
    assert dry.status == 0
    assert "would set fallback = auto, fallback_after_s = 900" in dry.out
    assert settings_of(place) == {}
    done = place.run(
        "fallback", "enable", "--auto", "--after", "15m", "--by", "kim", "--note", "window of Sunday", "--yes"
    )
    assert (done.status, done.out) == (
        0,
        "fallback is auto (after 15.0 min), as of version 1 of the settings\n",
    )
    assert settings_of(place) == {"fallback": "auto", "fallback_after_s": "900.0"}
    ((actor, action, detail),) = place.sql("SELECT actor, action, detail FROM atum.audit")
    assert (actor, action, detail["reason"]) == ("operator:kim", "settings.changed", "window of Sunday")
    assert place.run("fallback", "enable", "--yes").status == 0
    assert settings_of(place) == {"fallback": "on", "fallback_after_s": "900.0"}


def test_disabling_is_done_at_once(place: Place) -> None:
    place.run("fallback", "enable", "--yes")
    assert status(place)["lanes"][0]["in_use"] is True
    assert place.run("fallback", "disable", "--note", "back").out.startswith("fallback is off")
    assert status(place)["lanes"][0]["in_use"] is False


def test_without_an_smtp_relay_it_cannot_be_enabled_and_status_says_so(place: Place) -> None:
    # A14: an order that nobody could carry out is refused, not remembered.
    del place.environment["ATUM_SMTP_URL"]
    answer = place.run("fallback", "enable", "--yes")
    assert answer.status == 1
    assert "set ATUM_SMTP_URL" in answer.err
    assert settings_of(place) == {}
    assert status(place)["configured"] is False
    assert "ATUM_SMTP_URL is not set" in place.run("fallback", "status").out.replace("\n", " ")
    assert place.run("fallback", "disable").status == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--after", "15m"], "--auto"),
        (["--auto", "--after", "25h"], "24 hours"),
        (["--auto", "--after", "0"], "duration"),
    ],
)
def test_wrong_usage_is_exit_status_2(place: Place, arguments: list[str], words: str) -> None:
    answer = place.run("fallback", "enable", *arguments, "--yes")
    assert answer.status == 2
    assert words in answer.err
    assert settings_of(place) == {}


def test_status_says_since_when_the_provider_is_away_and_whether_smtp_has_taken_over(place: Place) -> None:
    place.run("fallback", "enable", "--auto", "--after", "15m", "--yes")
    close(place, ago=600)
    (lane,) = status(place)["lanes"]
    assert (lane["primary"], lane["reason"], lane["in_use"], lane["why"]) == (
        "closed",
        "outage",
        False,
        "not_closed_for_long",
    )
    close(place, ago=1000)
    (lane,) = status(place)["lanes"]
    assert (lane["in_use"], lane["why"]) == (True, "primary_closed")


def test_what_smtp_has_left_open_is_counted(place: Place) -> None:
    place.enqueue(2)
    issue(place, Taking.NEW, SMTP)
    place.end(batch(place), **UNKNOWN)
    (pinned,) = place.enqueue(1)
    pin(place, pinned, SMTP)
    assert status(place)["left"] == {"held": 0, "unknown": 2, "pinned": 1}
    shown = place.run("fallback", "status").out
    assert "2 mails may have been taken by the SMTP relay" in shown
    assert "1 mails wait for the SMTP relay alone" in shown


def test_a_stored_value_that_is_not_valid_does_not_keep_the_others_from_being_shown(place: Place) -> None:
    place.sql(
        "INSERT INTO atum.setting (name, value, version)"
        " VALUES ('fallback', 'auto', 1), ('fallback_after_s', 'soon', 1)"
    )
    assert status(place)["mode"] == "auto"
