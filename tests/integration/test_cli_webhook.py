"""`webhook setup` and `webhook check` together, with a provider, an endpoint and a database as they are in production."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest

from atum_ops.stack.ports import free_port
from tests.api import CONTENT_KEYS
from tests.command_line import Answer, run
from tests.receiving import receiver
from tests.webhooks import BASIC, KEY, PASSWORD, PATH, SECRET, USER, WebhookEndpoint, stored

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from atum_ops.simulator.process import SimulatorProcess
    from atum_ops.stack.postgres import PostgresNode
    from tests.nodes import Databases
    from tests.receiving import Receiver

TOKEN = "simulator-token"
OTHER = "another secret that a header carries"
NEEDED = ("Bounce", "Delivery", "SpamComplaint", "SubscriptionChange")
BOTH = {**BASIC, "ATUM_WEBHOOK_SECRET": SECRET}


class Ours:
    """The settings of an operator, and the commands."""

    def __init__(self, *, database_url: str, provider: str, at: str) -> None:
        self.environment = {
            **BOTH,
            "ATUM_CONTENT_KEYS": CONTENT_KEYS,
            "ATUM_DATABASE_URL": database_url,
            "ATUM_POSTMARK_URL": provider,
            "ATUM_POSTMARK_TOKEN": TOKEN,
            "ATUM_WEBHOOK_URL": at + PATH,
            "ATUM_WEBHOOK_PORT": at.rpartition(":")[2],
        }

    def setup(self, *arguments: str, **environment: str) -> Answer:
        return self._run("setup", *arguments, **environment)

    def check(self, *arguments: str, **environment: str) -> Answer:
        return self._run("check", *arguments, **environment)

    def _run(self, *arguments: str, **environment: str) -> Answer:
        answer = run("webhook", *arguments, **{**self.environment, **environment})
        for secret in (PASSWORD, SECRET, OTHER, TOKEN, KEY):
            assert secret not in answer.out + answer.err
        return answer


@pytest.fixture
def endpoint(database_url: str) -> Iterator[WebhookEndpoint]:
    with WebhookEndpoint(database_url, settings=BOTH) as one:
        yield one


@pytest.fixture
def ours(database_url: str, simulator: SimulatorProcess, endpoint: WebhookEndpoint) -> Ours:
    return Ours(database_url=database_url, provider=simulator.url, at=endpoint.url)


@pytest.fixture
def told(database_url: str, simulator: SimulatorProcess, hook: Receiver) -> Ours:
    """As `ours`, with a receiver in place of the endpoint, which answers what a test wants."""
    return Ours(database_url=database_url, provider=simulator.url, at=hook.url)


def webhooks(client: httpx.Client, stream: str = "outbound") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get(f"/webhooks?MessageStream={stream}").json()["Webhooks"]
    return found


def about(answer: Answer, words: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [each for each in answer.json["findings"] if words in each["about"]]
    assert found, answer.json
    return found


def level(answer: Answer, words: str) -> str:
    """Give how grave the one finding about something is."""
    (one,) = about(answer, words)
    found: str = one["level"]
    return found


def test_the_samples_of_the_provider_are_stored_like_any_event(ours: Ours, endpoint: WebhookEndpoint) -> None:
    assert ours.setup("--yes").status == 0
    types = sorted(orjson.loads(body)["RecordType"] for body in stored(endpoint.database_url))
    # Once for each of the two streams.
    assert types == sorted([*NEEDED, *NEEDED])


def test_opens_and_clicks_are_told_when_asked_for_and_stay_until_they_are_not_wanted(
    ours: Ours, client: httpx.Client
) -> None:
    def on() -> set[str]:
        (one,) = webhooks(client)
        return {name for name, flags in one["Triggers"].items() if flags["Enabled"]}

    for arguments, expected in (
        (("--opens", "--clicks"), {*NEEDED, "Open", "Click"}),
        ((), {*NEEDED, "Open", "Click"}),
        (("--no-opens",), {*NEEDED, "Click"}),
    ):
        assert ours.setup("--yes", "--stream", "outbound", *arguments).status == 0
        assert on() == expected


def test_rotated_credentials_are_put_in_place_of_the_old(
    told: Ours, hook: Receiver, client: httpx.Client
) -> None:
    told.setup("--yes")
    hook.received.clear()
    answer = told.setup("--yes", ATUM_WEBHOOK_SECRET=f"{OTHER},{SECRET}")
    assert answer.status == 0
    assert webhooks(client)[0]["HttpHeaders"] == [{"Name": "X-Atum-Webhook-Secret", "Value": OTHER}]
    assert {one.headers["x-atum-webhook-secret"] for one in hook.received} == {OTHER}


def test_during_a_rotation_the_older_credential_is_a_note_and_an_unknown_one_is_bad(told: Ours) -> None:
    told.setup("--yes")
    rotating = told.check("--format=json", ATUM_WEBHOOK_SECRET=f"{OTHER},{SECRET}")
    assert level(rotating, "stream outbound") == "note"
    assert level(told.check("--format=json", ATUM_WEBHOOK_SECRET=OTHER), "stream outbound") == "bad"


def test_a_stream_that_fails_does_not_keep_the_next_from_being_registered(
    told: Ours, hook: Receiver, client: httpx.Client
) -> None:
    told.setup("--yes", "--stream", "outbound")
    # What is verified first fails, and then no more.
    hook.answer = lambda _: 500 if len(hook.received) <= 2 * len(NEEDED) else 200
    answer = told.setup("--yes", "--format=json")
    assert answer.status == 1
    assert [each["verified"] for each in answer.json["streams"]] == [False, True]
    assert len(webhooks(client, "broadcast")) == 1


def test_all_is_well_and_its_own_event_is_stored(ours: Ours, endpoint: WebhookEndpoint) -> None:
    ours.setup("--yes")
    before = len(stored(endpoint.database_url))
    answer = ours.check("--format=json")
    # The simulator calls itself a sandbox.
    assert {each["about"] for each in answer.json["findings"] if each["level"] != "good"} == {"server"}
    assert answer.status == 0
    assert answer.json["tested"] == endpoint.url + PATH
    new = [orjson.loads(body) for body in stored(endpoint.database_url)[before:]]
    assert {event["RecordType"] for event in new} == {"Test"}
    genuine = [each for each in about(answer, "test with") if each["says"] == "stored"]
    assert len(genuine) == len(new)
    table = ours.check()
    assert table.status == 0
    assert "The way back" in table.out


def test_every_live_credential_and_every_key_of_a_relay_is_tried(
    database_url: str, simulator: SimulatorProcess
) -> None:
    credentials = {
        "ATUM_WEBHOOK_BASIC": f"{USER}:{PASSWORD},{USER}:another password",
        "ATUM_WEBHOOK_SECRET": f"{SECRET},{OTHER}",
        "ATUM_WEBHOOK_SIGNING_KEYS": KEY,
    }
    with WebhookEndpoint(database_url, settings=credentials) as endpoint:
        ours = Ours(database_url=database_url, provider=simulator.url, at=endpoint.url)
        answer = ours.check("--format=json", **credentials)
        for name in ("Basic 1", "Basic 2", "secret 1", "secret 2", "signing key 1"):
            (one,) = about(answer, f"test with {name}")
            assert (one["level"], one["says"]) == ("good", "stored")
        for name in ("a wrong password", "a wrong secret", "a wrong signature", "no credential"):
            assert level(answer, name) == "good"
        # One was changed here, and the endpoint was not started again.
        answer = ours.check("--format=json", **{**credentials, "ATUM_WEBHOOK_SECRET": f"{SECRET},{OTHER}!"})
    assert answer.status == 1
    assert level(answer, "test with secret 1") == "good"
    (one,) = about(answer, "test with secret 2")
    assert one["level"] == "bad"
    assert "restart it" in one["remedy"]


def test_an_endpoint_with_another_database_is_found_out(ours: Ours, databases: Databases) -> None:
    ours.setup("--yes")
    with databases.fresh() as another:
        answer = ours.check("--format=json", ATUM_DATABASE_URL=another)
    assert answer.status == 1
    (one,) = about(answer, "test with Basic 1")
    assert "another ATUM_DATABASE_URL" in one["remedy"]


def test_where_no_endpoint_is_on_this_machine_its_public_url_is_tried_and_to_goes_before_both(
    told: Ours, hook: Receiver
) -> None:
    away = {"ATUM_WEBHOOK_PORT": str(free_port())}
    assert told.check("--format=json", **away).json["tested"] == hook.url + PATH
    with receiver() as another:
        told.check("--to", f"{another.url}/here", **away)
        assert {one.path for one in another.received} == {"/here"}


@pytest.mark.parametrize(
    "to",
    ["127.0.0.1:8026", "ftp://127.0.0.1/", "http://me:you@127.0.0.1/", "http://a:b/", "http://example.com/"],
)
def test_credentials_go_nowhere_where_others_could_read_them(ours: Ours, to: str) -> None:
    answer = ours.check("--to", to)
    assert answer.status == 1
    assert answer.err.startswith("atum-mailer: --to: ")


def test_types_of_event_that_the_provider_does_not_send_are_bad_until_it_is_set_up_again(
    ours: Ours, client: httpx.Client
) -> None:
    ours.setup("--yes")
    (made,) = webhooks(client)
    client.put(f"/webhooks/{made['ID']}", json={"Verify": False}).raise_for_status()
    answer = ours.check("--format=json")
    assert answer.status == 1
    (one,) = about(answer, "stream outbound")
    assert one["says"].startswith("Unverified: ")
    assert "Bounce" in one["says"]
    ours.setup("--yes")
    assert ours.check().status == 0


def test_a_database_without_a_schema_is_bad(ours: Ours, own_postgres: PostgresNode) -> None:
    answer = ours.check("--format=json", ATUM_DATABASE_URL=own_postgres.url)
    assert answer.status == 1
    assert about(answer, "inbox")[0]["remedy"] == "atum-mailer migrate"


@pytest.mark.parametrize("command", ["setup", "check"])
def test_settings_with_which_the_endpoint_would_not_start_are_named_and_nothing_is_sent(
    told: Ours, hook: Receiver, command: str
) -> None:
    answer = getattr(told, command)(ATUM_WEBHOOK_BASIC="postmark:short")
    assert answer.status == 1
    assert answer.err.startswith("atum-mailer: ATUM_WEBHOOK_BASIC")
    assert hook.received == []
