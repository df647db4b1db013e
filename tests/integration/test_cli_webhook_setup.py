"""`webhook setup` makes the provider's webhooks as they are wanted: nothing without --yes, and nothing twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from atum_ops.simulator.config import SimulatorConfig
from atum_ops.simulator.process import SimulatorProcess
from atum_schema.encryption import new_key
from tests.command_line import Answer, run
from tests.nodes import eventually
from tests.receiving import Receiver, receiver
from tests.simulating import HEADERS

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

USER, PASSWORD, SECRET = "postmark", "a:password-with-a-colon", "a-secret-in-a-header"
NEEDED = ["Bounce", "Delivery", "SpamComplaint", "SubscriptionChange"]


@pytest.fixture(scope="module")
def shared() -> Iterator[SimulatorProcess]:
    with SimulatorProcess(SimulatorConfig(time_scale=0.0005, webhook_pause_after=1)) as simulator:
        yield simulator


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as one:
        yield one


@pytest.fixture
def setup(simulator: SimulatorProcess, hook: Receiver, database_url: str) -> Setup:
    return Setup(simulator.url, hook.url, database_url)


class Setup:
    """The command with all that it needs."""

    def __init__(self, provider: str, endpoint: str, database_url: str) -> None:
        self.environment = {
            "ATUM_DATABASE_URL": database_url,
            "ATUM_CONTENT_KEYS": new_key("test"),
            "ATUM_POSTMARK_URL": provider,
            "ATUM_POSTMARK_TOKEN": HEADERS["X-Postmark-Server-Token"],
            "ATUM_WEBHOOK_URL": f"{endpoint}/hook",
            "ATUM_WEBHOOK_BASIC": f"{USER}:{PASSWORD},{USER}:the-older-password",
            "ATUM_WEBHOOK_SECRET": SECRET,
        }

    def __call__(self, *arguments: str, **environment: str) -> Answer:
        answer = run("webhook", "setup", *arguments, **self.environment, **environment)
        for secret in (PASSWORD, SECRET, "the-older-password", HEADERS["X-Postmark-Server-Token"]):
            assert secret not in answer.out + answer.err
        return answer


def listed(client: httpx.Client) -> list[tuple[str, str]]:
    return [(one["MessageStream"], one["Url"]) for one in client.get("/webhooks").json()["Webhooks"]]


def test_without_yes_it_only_says_what_would_change(
    setup: Setup, client: httpx.Client, hook: Receiver
) -> None:
    answer = setup()
    assert answer.status == 0
    assert "a new webhook" in answer.out
    assert "nothing was changed" in answer.out
    assert setup("--format=json").json["applied"] is False
    assert (listed(client), hook.received) == ([], [])


def test_each_stream_that_sends_gets_a_webhook_with_the_first_credentials_and_it_is_verified(
    setup: Setup, client: httpx.Client, hook: Receiver
) -> None:
    answer = setup("--yes", "--format=json")
    assert answer.status == 0
    assert [(one["stream"], one["action"], one["verified"]) for one in answer.json["streams"]] == [
        ("outbound", "create", True),
        ("broadcast", "create", True),
    ]
    assert listed(client) == [(stream, f"{hook.url}/hook") for stream in ("outbound", "broadcast")]
    assert sorted({one.about[0] for one in hook.received}) == NEEDED
    (made, _) = client.get("/webhooks").json()["Webhooks"]
    assert made["HttpAuth"] == {"Username": USER, "Password": PASSWORD}
    assert made["HttpHeaders"] == [{"Name": "X-Atum-Webhook-Secret", "Value": SECRET}]
    assert made["Triggers"]["Bounce"] == {"Enabled": True, "IncludeContent": False}
    assert "@" not in made["Url"]


def test_who_cannot_be_kept_in_the_audit_log_changes_nothing(setup: Setup, client: httpx.Client) -> None:
    setup.environment["ATUM_DATABASE_URL"] = "postgresql://nobody@127.0.0.1:1/none"
    assert setup("--yes").status == 3
    assert listed(client) == []


def test_who_sets_it_up_is_in_the_audit_log(setup: Setup) -> None:
    assert setup("--by", "eva").status == setup("--yes", "--by", "eva").status == 0
    with psycopg.connect(setup.environment["ATUM_DATABASE_URL"]) as connection:
        rows = connection.execute("SELECT actor, action, detail FROM atum.audit ORDER BY id").fetchall()
    assert rows == [
        ("operator:eva", "webhook.set_up", {"stream": stream, "was": "missing", "verified": True})
        for stream in ("outbound", "broadcast")
    ]


def test_a_second_time_changes_nothing_and_verifies_again(
    setup: Setup, client: httpx.Client, hook: Receiver
) -> None:
    setup("--yes")
    before = client.get("/webhooks").json()
    hook.received.clear()
    answer = setup("--yes")
    assert answer.status == 0
    assert "as it should be" in answer.out
    assert client.get("/webhooks").json() == before
    assert sorted({one.about[0] for one in hook.received}) == NEEDED


def test_a_new_credential_and_other_triggers_change_the_webhook_that_is_there(
    setup: Setup, client: httpx.Client
) -> None:
    setup("--yes", "--stream=broadcast")
    setup.environment["ATUM_WEBHOOK_BASIC"] = f"{USER}:a-newer-password,{USER}:{PASSWORD}"
    answer = setup("--stream=broadcast", "--opens", "--format=json")
    (plan,) = answer.json["streams"]
    assert plan["changes"] == ["Basic credentials: others", "Open: on"]
    assert setup("--stream=broadcast", "--opens", "--yes").status == 0
    (made,) = client.get("/webhooks").json()["Webhooks"]
    assert made["HttpAuth"]["Password"] == "a-newer-password"
    assert made["Triggers"]["Open"]["Enabled"] is True


def test_what_is_paused_becomes_active_again(
    setup: Setup, client: httpx.Client, hook: Receiver, simulator: SimulatorProcess
) -> None:
    setup("--yes", "--stream=outbound")
    ((made),) = client.get("/webhooks").json()["Webhooks"]

    def statuses() -> dict[str, str]:
        found: dict[str, str] = client.get(f"/webhooks/{made['ID']}/statistics").json()["Statuses"]
        return found

    hook.answer = lambda _: 401
    mail = {"From": "a@example.com", "To": "jane@example.org", "Subject": "x", "TextBody": "x"}
    client.post("/email", json=mail).raise_for_status()
    assert eventually(lambda: statuses()["Delivery"] == "Paused"), simulator.webhooks()
    hook.answer = lambda _: 200
    assert setup("--yes", "--stream=outbound").status == 0
    assert set(statuses().values()) == {"Active"}


def test_an_endpoint_that_refuses_is_said_with_what_helps_and_nothing_is_saved(
    setup: Setup, client: httpx.Client, hook: Receiver
) -> None:
    hook.answer = lambda one: 401 if one.about[0] == "Bounce" else 200
    answer = setup("--yes")
    assert answer.status == 1
    assert "Bounce (401)" in answer.out
    assert "webhook check" in answer.err
    assert listed(client) == []


def test_an_endpoint_that_fails_later_is_said_too(setup: Setup, hook: Receiver) -> None:
    setup("--yes")
    hook.answer = lambda _: 503
    answer = setup("--yes", "--format=json")
    assert answer.status == 1
    (first, _) = answer.json["streams"]
    assert (first["verified"], first["action"]) == (False, "none")
    assert "Delivery (503)" in first["failure"]
    assert first["remedy"]


def test_webhooks_of_others_are_left_alone_and_shown(
    setup: Setup, client: httpx.Client, hook: Receiver
) -> None:
    other = client.post(
        "/webhooks",
        json={"Url": f"{hook.url}/other", "Triggers": {"Open": {"Enabled": True}}, "Verify": False},
    ).json()
    (plan, _) = setup("--format=json").json["streams"]
    assert plan["others"] == [other["ID"]]
    setup("--yes")
    assert client.get(f"/webhooks/{other['ID']}").json() == other


def test_a_stream_that_does_not_send_is_refused(setup: Setup) -> None:
    for stream in ("inbound", "nope"):
        answer = setup("--stream", stream, "--yes")
        assert answer.status == 1
        assert "outbound, broadcast" in answer.err


def test_a_refused_token_and_a_provider_that_is_away_have_their_status(setup: Setup) -> None:
    setup.environment["ATUM_POSTMARK_TOKEN"] = "wrong"
    refused = setup()
    assert (refused.status, "ATUM_POSTMARK_TOKEN is refused" in refused.err) == (1, True)
    setup.environment["ATUM_POSTMARK_URL"] = "http://127.0.0.1:1"
    assert setup().status == 3


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ATUM_WEBHOOK_URL", None),
        ("ATUM_WEBHOOK_URL", "http://mail.example.com/hook"),
        ("ATUM_WEBHOOK_URL", "https://user:pass@mail.example.com/hook"),
        ("ATUM_POSTMARK_TOKEN", None),
        ("ATUM_WEBHOOK_BASIC", "postmark:short"),
    ],
)
def test_a_setting_that_will_not_do_is_named(setup: Setup, name: str, value: str | None) -> None:
    del setup.environment[name]
    answer = setup(**({} if value is None else {name: value}))
    assert answer.status == 1
    assert name in answer.err
    assert "pass@" not in answer.err
