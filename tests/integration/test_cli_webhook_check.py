"""`webhook check` says of every part of the way back whether it works, by real tests, and shows no credential."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from atum_schema.encryption import Keyring
from atum_schema.ids import first_mail_id
from atum_workers.apply_events import Applying
from tests.api import CONTENT_KEYS
from tests.command_line import SENT, Answer, run
from tests.receiving import receiver
from tests.simulating import HEADERS
from tests.telling import apply_all, event, nobody, tell
from tests.webhooks import BASIC, KEY, PASSWORD, PATH, SECRET, WebhookEndpoint, stored

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from atum_ops.simulator.process import SimulatorProcess
    from tests.command_line import Place

OLDER = "an older password that still counts"
ALL: Mapping[str, str] = {
    "ATUM_WEBHOOK_BASIC": f"{BASIC['ATUM_WEBHOOK_BASIC']},postmark:{OLDER}",
    "ATUM_WEBHOOK_SECRET": SECRET,
    "ATUM_WEBHOOK_SIGNING_KEYS": KEY,
}
LIVE = ["Basic 1", "Basic 2", "secret 1", "signing key 1"]
WRONG = ["a wrong password", "a wrong secret", "a wrong signature", "no credential"]


@pytest.fixture
def endpoint(database_url: str) -> Iterator[WebhookEndpoint]:
    with WebhookEndpoint(database_url, settings=ALL) as endpoint:
        yield endpoint


def check(endpoint: WebhookEndpoint, *arguments: str, **environment: str) -> Answer:
    answer = run(
        "webhook",
        "check",
        *arguments,
        **{
            "ATUM_DATABASE_URL": endpoint.database_url,
            "ATUM_CONTENT_KEYS": CONTENT_KEYS,
            "ATUM_WEBHOOK_PORT": str(endpoint.port),
            **ALL,
            **environment,
        },
    )
    for secret in (PASSWORD, OLDER, SECRET, KEY, HEADERS["X-Postmark-Server-Token"]):
        assert secret not in answer.out + answer.err
    return answer


def found(answer: Answer) -> dict[str, tuple[str, str]]:
    """Give level and words of each finding."""
    return {one["about"]: (one["level"], one["says"]) for one in answer.json["findings"]}


def levels(answer: Answer, names: list[str]) -> set[str]:
    said = found(answer)
    return {said[f"test with {name}"][0] for name in names}


def test_each_live_credential_is_taken_and_stored_and_each_wrong_one_refused(
    endpoint: WebhookEndpoint, database_url: str
) -> None:
    answer = check(endpoint, "--format=json")
    said = found(answer)
    assert answer.status == 0
    assert answer.json["good"] is True
    assert answer.json["tested"] == endpoint.url + PATH
    assert {said[f"test with {name}"] for name in LIVE} == {("good", "stored")}
    assert {said[f"test with {name}"] for name in WRONG} == {("good", "refused with 401")}
    assert said["credentials"][1] == "Basic: 2, secret in X-Atum-Webhook-Secret: 1, signing key: 1"
    assert said["path"][1] == PATH
    assert len(stored(database_url)) == len(LIVE)


def test_the_test_events_change_nothing_and_count_as_no_news(endpoint: WebhookEndpoint, place: Place) -> None:
    check(endpoint)
    applied(place)
    assert place.sql("SELECT DISTINCT state, kind, reason FROM atum.webhook_inbox") == [
        ("ignored", "Test", "unknown_type")
    ]
    assert found(check(endpoint, "--format=json"))["last event"] == ("note", "none has ever come")


def test_people_see_a_table(endpoint: WebhookEndpoint) -> None:
    answer = check(endpoint)
    assert answer.status == 0
    assert "test with signing key 1" in answer.out
    assert "refused with 401" in answer.out


def test_an_endpoint_with_other_credentials_is_bad(endpoint: WebhookEndpoint) -> None:
    answer = check(endpoint, "--format=json", ATUM_WEBHOOK_BASIC="postmark:something else entirely")
    assert answer.status == 1
    assert found(answer)["test with Basic 1"] == ("bad", "refused with 401")


def test_an_open_door_is_bad(database_url: str, endpoint: WebhookEndpoint) -> None:
    with receiver() as anybody:
        answer = check(endpoint, "--format=json", "--to", anybody.url)
    assert answer.status == 1
    assert levels(answer, WRONG) == {"bad"}
    assert "not in this database" in found(answer)["test with Basic 1"][1]
    assert stored(database_url) == []


def test_a_path_that_is_none_is_bad(endpoint: WebhookEndpoint) -> None:
    answer = check(endpoint, "--format=json", "--to", f"{endpoint.url}/elsewhere")
    assert answer.status == 1
    assert "path" in found(answer)["test with Basic 1"][1]


def test_nobody_there_has_a_status_of_its_own(endpoint: WebhookEndpoint) -> None:
    answer = check(endpoint, "--format=json", "--to", f"http://127.0.0.1:1{PATH}")
    assert answer.status == 3
    assert levels(answer, LIVE + WRONG) == {"away"}


def test_credentials_are_sent_to_nobody_in_clear(endpoint: WebhookEndpoint) -> None:
    answer = check(endpoint, "--to", "http://mail.example.com/hook")
    assert answer.status == 1
    assert "--to" in answer.err


def test_an_allow_list_without_this_machine_is_no_fault(database_url: str) -> None:
    allow = {"ATUM_WEBHOOK_ALLOW": "192.0.2.0/24"}
    with WebhookEndpoint(database_url, settings={**ALL, **allow}) as endpoint:
        answer = check(endpoint, "--format=json", **allow)
    assert answer.status == 0
    said = found(answer)
    assert said["allow-list"][1] == "1 addresses or networks"
    assert {said[f"test with {name}"][0] for name in LIVE} == {"note"}
    assert "ATUM_WEBHOOK_ALLOW" in said["test with Basic 1"][1]
    assert levels(answer, WRONG) == {"good"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ATUM_WEBHOOK_ALLOW", "10.0.0.0/8,nonsense"),
        ("ATUM_WEBHOOK_PROXIES", "nonsense"),
        ("ATUM_WEBHOOK_BASIC", "postmark:short"),
    ],
)
def test_settings_with_which_the_endpoint_would_not_start_are_named(
    name: str, value: str, endpoint: WebhookEndpoint
) -> None:
    answer = check(endpoint, **{name: value})
    assert answer.status == 1
    assert name in answer.err


def registered(simulator: SimulatorProcess, endpoint: WebhookEndpoint, **environment: str) -> dict[str, str]:
    """Set up at the provider; give the environment with which that was done."""
    done = {
        "ATUM_POSTMARK_URL": simulator.url,
        "ATUM_POSTMARK_TOKEN": HEADERS["X-Postmark-Server-Token"],
        "ATUM_WEBHOOK_URL": endpoint.url + PATH,
        **environment,
    }
    needed = {"ATUM_DATABASE_URL": endpoint.database_url, "ATUM_CONTENT_KEYS": CONTENT_KEYS}
    assert run("webhook", "setup", "--yes", **{**needed, **ALL, **done}).status == 0
    return done


def test_what_is_set_up_is_checked_as_good(simulator: SimulatorProcess, endpoint: WebhookEndpoint) -> None:
    answer = check(endpoint, "--format=json", **registered(simulator, endpoint))
    said = found(answer)
    assert answer.status == 0, said
    for stream in ("outbound", "broadcast"):
        assert said[f"stream {stream}"][0] == "good"
        assert "SubscriptionChange" in said[f"stream {stream}"][1]
    assert said["url"] == ("good", endpoint.url + PATH)


def test_what_is_not_set_up_is_bad(simulator: SimulatorProcess, endpoint: WebhookEndpoint) -> None:
    done = registered(simulator, endpoint)
    answer = check(endpoint, "--format=json", **{**done, "ATUM_WEBHOOK_URL": f"{endpoint.url}/x{PATH}"})
    assert answer.status == 1
    assert found(answer)["stream outbound"][0] == "bad"
    refused = check(endpoint, "--format=json", **{**done, "ATUM_POSTMARK_TOKEN": "wrong"})
    assert refused.status == 1
    assert "401" in found(refused)["registration"][1]
    away = check(endpoint, "--format=json", **{**done, "ATUM_POSTMARK_URL": "http://127.0.0.1:1"})
    assert away.status == 3


def test_the_credential_that_is_about_to_go_is_noted(
    simulator: SimulatorProcess, endpoint: WebhookEndpoint
) -> None:
    older = f"postmark:{OLDER},{BASIC['ATUM_WEBHOOK_BASIC']}"
    answer = check(
        endpoint, "--format=json", **{**registered(simulator, endpoint, ATUM_WEBHOOK_BASIC=older), **ALL}
    )
    assert answer.status == 0
    assert found(answer)["stream outbound"] == ("note", "it sends the credential that is about to go")


def test_silence_after_mails_were_sent_is_bad(place: Place, endpoint: WebhookEndpoint) -> None:
    def last_event() -> tuple[str, str]:
        return found(check(endpoint, "--format=json"))["last event"]

    place.environment["ATUM_CONTENT_KEYS"] = CONTENT_KEYS
    place.ended(SENT)
    tell(place, event("Delivery", uuid.uuid4(), uuid.uuid4()))
    assert last_event()[0] == "good"
    aged(place, hours=3)
    place.ended(SENT)
    assert last_event()[0] == "good"
    place.sql(
        "UPDATE atum.mail SET id = overlay(id::text placing %(time)s from 1 for 13)::uuid",
        time=str(first_mail_id(datetime.now(UTC) - timedelta(hours=2)))[:13],
    )
    # What is not applied yet is not known as a test.
    applied(place)
    level, words = last_event()
    assert (level, "mails were sent" in words) == ("bad", True)


def test_events_that_nobody_applies_are_bad_and_what_is_wrong_with_others_is_noted(
    place: Place, endpoint: WebhookEndpoint
) -> None:
    place.environment["ATUM_CONTENT_KEYS"] = CONTENT_KEYS
    tell(place, event("Delivery", uuid.uuid4(), uuid.uuid4()), b"no json at all")
    apply_all(place, park_s=0)
    tell(place, event("Open", uuid.uuid4(), uuid.uuid4()))
    said = found(check(endpoint, "--format=json"))
    assert said["applying"][0] == "good"
    assert said["unmatched"][0] == said["unreadable"][0] == "note"
    assert said["last 24 h"][1] == "new: 1, unmatched: 1, unreadable: 1"
    place.sql("UPDATE atum.webhook_inbox SET received_at = now() - interval '6 minutes'")
    answer = check(endpoint, "--format=json")
    assert (answer.status, found(answer)["applying"][0]) == (1, "bad")


def test_a_database_that_is_away_is_said_and_the_rest_is_looked_at(endpoint: WebhookEndpoint) -> None:
    answer = check(endpoint, "--format=json", ATUM_DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    assert answer.status == 3
    said = found(answer)
    assert said["inbox"][0] == "away"
    assert said["test with Basic 1"] == ("good", "taken")


def aged(place: Place, *, hours: int) -> None:
    """Let all events have come that long ago."""
    place.sql(
        "UPDATE atum.webhook_inbox SET received_at = received_at - make_interval(hours => %(hours)s)",
        hours=hours,
    )


def applied(place: Place) -> None:
    """Apply what the endpoint has stored."""
    keyring = Keyring(CONTENT_KEYS)
    Applying(keyring=keyring, locate=nobody, drop_content=True, park_s=60).round(place.connection)
