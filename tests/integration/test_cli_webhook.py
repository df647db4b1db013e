"""`webhook setup` and `webhook check` against a simulator, an endpoint and a database."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpx
import orjson
import pytest

from atum_ops.simulator.process import SimulatorProcess
from atum_ops.stack.ports import free_port
from atum_ops.webhook_check import SILENT
from tests.command_line import SENT, Answer, run
from tests.receiving import receiver
from tests.webhooks import BASIC, KEY, PASSWORD, PATH, SECRET, USER, WebhookEndpoint, delivery, stored

if TYPE_CHECKING:
    from collections.abc import Iterator

    from atum_ops.stack.postgres import PostgresNode
    from tests.command_line import Place
    from tests.nodes import Databases
    from tests.receiving import Receiver

TOKEN = "simulator-token"
OTHER = "another secret that a header carries"
NEEDED = ("Bounce", "Delivery", "SpamComplaint", "SubscriptionChange")


@pytest.fixture
def endpoint(database_url: str) -> Iterator[WebhookEndpoint]:
    with WebhookEndpoint(database_url, settings={**BASIC, "ATUM_WEBHOOK_SECRET": SECRET}) as one:
        yield one


class Ours:
    """The settings of an operator, and the commands."""

    def __init__(self, *, database_url: str, provider: str, url: str, port: int) -> None:
        self.environment = {
            **BASIC,
            "ATUM_WEBHOOK_SECRET": SECRET,
            "ATUM_DATABASE_URL": database_url,
            "ATUM_POSTMARK_URL": provider,
            "ATUM_POSTMARK_TOKEN": TOKEN,
            "ATUM_WEBHOOK_URL": url,
            "ATUM_WEBHOOK_PORT": str(port),
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
def ours(database_url: str, simulator: SimulatorProcess, endpoint: WebhookEndpoint) -> Ours:
    return Ours(
        database_url=database_url,
        provider=simulator.url,
        url=endpoint.url + PATH,
        port=endpoint.port,
    )


@pytest.fixture
def told(database_url: str, simulator: SimulatorProcess, hook: Receiver) -> Ours:
    """As `ours`, with a receiver that answers what a test wants in place of the endpoint."""
    port = int(hook.url.rpartition(":")[2])
    return Ours(database_url=database_url, provider=simulator.url, url=hook.url + PATH, port=port)


def webhooks(client: httpx.Client, stream: str = "outbound") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get(f"/webhooks?MessageStream={stream}").json()["Webhooks"]
    return found


def findings(answer: Answer) -> dict[str, str]:
    return {each["about"]: each["verdict"] for each in answer.json["findings"]}


def about(answer: Answer, words: str) -> dict[str, Any]:
    (found,) = [each for each in answer.json["findings"] if words in each["about"]]
    assert isinstance(found, dict)
    return found


def test_without_yes_it_says_what_would_change_and_changes_nothing(ours: Ours, client: httpx.Client) -> None:
    answer = ours.setup()
    assert answer.status == 0
    assert "outbound: to be created" in answer.out
    assert "broadcast: to be created" in answer.out
    assert "repeat with --yes" in answer.out
    assert webhooks(client) == []


def test_it_registers_every_stream_that_sends_with_the_first_credentials_and_is_verified(
    ours: Ours, client: httpx.Client, endpoint: WebhookEndpoint
) -> None:
    answer = ours.setup("--yes", "--format=json")
    assert answer.status == 0
    assert [(each["stream"], each["action"], each["verified"]) for each in answer.json["streams"]] == [
        ("outbound", "create", True),
        ("broadcast", "create", True),
    ]
    (made,) = webhooks(client)
    assert made["Url"] == endpoint.url + PATH
    assert made["HttpAuth"] == {"Username": USER, "Password": PASSWORD}
    assert made["HttpHeaders"] == [{"Name": "X-Atum-Webhook-Secret", "Value": SECRET}]
    assert sorted(name for name, flags in made["Triggers"].items() if flags["Enabled"]) == [*NEEDED]
    # The probes of the provider are events like others.
    assert {orjson.loads(body)["RecordType"] for body in stored(endpoint.database_url)} >= {*NEEDED}


def test_a_second_time_changes_nothing_and_opens_are_added_when_asked_for(
    ours: Ours, client: httpx.Client
) -> None:
    ours.setup("--yes", "--stream", "outbound")
    first = webhooks(client)
    assert webhooks(client, "broadcast") == []
    again = ours.setup("--yes", "--stream", "outbound", "--format=json").json["streams"]
    assert [(each["action"], each["changes"], each["verified"]) for each in again] == [("keep", [], True)]
    assert webhooks(client) == first
    answer = ours.setup("--yes", "--stream", "outbound", "--opens", "--clicks")
    assert answer.status == 0
    assert "outbound: updated, and verified" in answer.out
    (edited,) = webhooks(client)
    assert edited["ID"] == first[0]["ID"]
    assert all(flags["Enabled"] for flags in edited["Triggers"].values())


def test_rotated_credentials_are_put_in_place_of_the_old(
    told: Ours, hook: Receiver, client: httpx.Client
) -> None:
    told.setup("--yes")
    hook.received.clear()
    answer = told.setup("--yes", ATUM_WEBHOOK_SECRET=f"{OTHER},{SECRET}")
    assert answer.status == 0
    assert "header X-Atum-Webhook-Secret" in answer.out
    assert webhooks(client)[0]["HttpHeaders"] == [{"Name": "X-Atum-Webhook-Secret", "Value": OTHER}]
    assert {one.headers["x-atum-webhook-secret"] for one in hook.received} == {OTHER}


def test_others_are_left_alone(ours: Ours, client: httpx.Client) -> None:
    other = "https://me:pass@other.example.com/hook"
    client.post("/webhooks", json={"Url": other, "Verify": False, "Triggers": {}}).raise_for_status()
    answer = ours.setup("--yes", "--stream", "outbound")
    assert answer.status == 0
    assert "left alone: https://other.example.com/hook" in answer.out
    assert [one["Url"] for one in webhooks(client)][0] == other


def test_an_endpoint_that_refuses_the_probes_is_not_registered_and_the_remedy_is_said(
    told: Ours, hook: Receiver, client: httpx.Client
) -> None:
    hook.answer = lambda one: 401 if one.event["RecordType"] == "Bounce" else 200
    answer = told.setup("--yes", "--stream", "outbound")
    assert answer.status == 1
    assert "NOT registered" in answer.out
    assert "Bounce (401)" in answer.err
    assert "webhook check" in answer.err
    assert webhooks(client) == []


def test_one_that_was_registered_before_and_fails_now_is_told_by_type_with_its_remedy(
    told: Ours, hook: Receiver
) -> None:
    told.setup("--yes", "--stream", "outbound")
    hook.answer = lambda one: 404 if one.event["RecordType"] == "Delivery" else 200
    answer = told.setup("--yes", "--stream", "outbound", "--format=json")
    assert answer.status == 1
    (stream,) = answer.json["streams"]
    assert stream["verified"] is False
    ((trigger, status, words),) = [tuple(each.values()) for each in stream["failures"]]
    assert (trigger, status) == ("Delivery", 404)
    assert "ATUM_WEBHOOK_PATH" in words


def test_one_stream_that_fails_does_not_keep_others_from_being_registered(
    ours: Ours, client: httpx.Client
) -> None:
    answer = ours.setup("--yes", "--stream", "nope", "--stream", "outbound")
    assert answer.status == 1
    assert "ErrorCode 1226" in answer.err
    assert len(webhooks(client)) == 1


@pytest.mark.parametrize("command", ["setup", "check"])
def test_a_token_that_is_refused_is_named(ours: Ours, command: str) -> None:
    answer = getattr(ours, command)(ATUM_POSTMARK_TOKEN="a wrong one")
    assert answer.status == 1
    assert "ATUM_POSTMARK_TOKEN" in answer.out + answer.err
    assert "a wrong one" not in answer.out + answer.err


def test_a_provider_that_does_not_answer_is_status_3(ours: Ours) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    for arguments in ((), ("--stream", "outbound")):
        assert ours.setup(*arguments, ATUM_POSTMARK_URL=nobody).status == 3
    answer = ours.check("--format=json", ATUM_POSTMARK_URL=nobody)
    assert answer.status == 3
    assert about(answer, "registration")["verdict"] == "unknown"


def test_all_is_well_and_its_own_events_are_stored(ours: Ours, endpoint: WebhookEndpoint) -> None:
    ours.setup("--yes")
    before = len(stored(endpoint.database_url))
    answer = ours.check("--format=json")
    assert {name: verdict for name, verdict in findings(answer).items() if verdict != "good"} == {}
    assert answer.status == 0
    assert answer.json["tested"] == endpoint.url + PATH
    assert [name for name in findings(answer) if name.startswith("test: ")] == [
        "test: Basic credential 1 of 1",
        "test: no credentials",
        "test: a wrong password",
        "test: a wrong X-Atum-Webhook-Secret",
    ]
    assert about(answer, "stored")["says"] == "1 of 1 test events that were taken"
    (event,) = [orjson.loads(body) for body in stored(endpoint.database_url)[before:]]
    assert event["RecordType"] == "Test"
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
        ours = Ours(
            database_url=database_url, provider=simulator.url, url=endpoint.url + PATH, port=endpoint.port
        )
        answer = ours.check("--format=json", **credentials)
        assert about(answer, "stored")["says"] == "4 of 4 test events that were taken"
        assert about(answer, "a wrong signing key")["verdict"] == "good"
        # A key that was changed here, and not at the endpoint.
        odd = {**credentials, "ATUM_WEBHOOK_SECRET": f"{SECRET},{OTHER} and more"}
        answer = ours.check("--format=json", **odd)
        assert answer.status == 1
        assert about(answer, "X-Atum-Webhook-Secret 2 of 2")["verdict"] == "bad"
        assert "restart it" in about(answer, "X-Atum-Webhook-Secret 2 of 2")["remedy"]


def test_an_endpoint_that_takes_anything_is_found_out(told: Ours) -> None:
    told.setup("--yes")
    answer = told.check("--format=json")
    assert answer.status == 1
    assert about(answer, "no credentials")["verdict"] == "bad"
    assert about(answer, "a wrong password")["verdict"] == "bad"
    # It says 200 and stores nothing.
    assert about(answer, "stored")["verdict"] == "bad"


def test_a_machine_outside_the_allow_list_is_told_so(database_url: str, simulator: SimulatorProcess) -> None:
    allowed = {**BASIC, "ATUM_WEBHOOK_ALLOW": "10.0.0.0/8"}
    with WebhookEndpoint(database_url, settings=allowed) as endpoint:
        ours = Ours(
            database_url=database_url, provider=simulator.url, url=endpoint.url + PATH, port=endpoint.port
        )
        ours.environment.pop("ATUM_WEBHOOK_SECRET")
        answer = ours.check("--format=json", ATUM_WEBHOOK_ALLOW="10.0.0.0/8")
    assert about(answer, "Basic credential")["verdict"] == "note"
    assert about(answer, "allow-list")["says"] == "10.0.0.0/8"
    assert about(answer, "no credentials")["verdict"] == "good"


def test_where_no_endpoint_is_on_this_machine_its_public_url_is_tried_and_to_goes_before_both(
    told: Ours, hook: Receiver
) -> None:
    away = {"ATUM_WEBHOOK_PORT": str(free_port())}
    assert told.check("--format=json", **away).json["tested"] == hook.url + PATH
    with receiver() as another:
        told.check("--to", f"{another.url}/here", **away)
        assert {one.path for one in another.received} == {"/here"}


def test_an_endpoint_that_nobody_runs_is_status_3_or_1_and_named_once(
    ours: Ours, client: httpx.Client
) -> None:
    ours.setup("--yes")
    answer = ours.check("--format=json", "--to", f"http://127.0.0.1:{free_port()}{PATH}")
    assert answer.status == 3
    (one,) = [each for each in answer.json["findings"] if each["about"].startswith("test: ")]
    assert one["verdict"] == "unknown"


@pytest.mark.parametrize(
    "to", ["127.0.0.1:8026", "ftp://127.0.0.1/", "http://me:you@127.0.0.1/", "http://a:b/"]
)
def test_what_is_no_url_is_wrong_usage(ours: Ours, to: str) -> None:
    assert ours.check("--to", to).status == 2


def test_what_is_not_registered_is_bad(ours: Ours) -> None:
    answer = ours.check("--format=json")
    assert answer.status == 1
    assert about(answer, "stream outbound")["says"] == "our URL is not registered"


def test_types_of_event_that_the_provider_does_not_send_are_bad(ours: Ours, client: httpx.Client) -> None:
    ours.setup("--yes")
    (made,) = webhooks(client)
    client.put(f"/webhooks/{made['ID']}", json={"Verify": False}).raise_for_status()
    answer = ours.check("--format=json")
    assert answer.status == 1
    assert "Bounce is unverified" in about(answer, "stream outbound")["says"]
    ours.setup("--yes")
    assert ours.check().status == 0


def test_an_endpoint_with_another_database_is_found_out(ours: Ours, databases: Databases) -> None:
    ours.setup("--yes")
    with databases.fresh() as another:
        answer = ours.check("--format=json", ATUM_DATABASE_URL=another)
    assert answer.status == 1
    assert about(answer, "stored")["says"] == "0 of 1 test events that were taken"
    assert "another database" in about(answer, "stored")["remedy"]


def test_a_database_that_is_away_hides_nothing_else(ours: Ours) -> None:
    ours.setup("--yes")
    away = f"postgresql://127.0.0.1:{free_port()}/none"
    answer = ours.check("--format=json", ATUM_DATABASE_URL=away)
    assert answer.status == 3
    assert about(answer, "stream outbound")["verdict"] == "good"
    assert about(answer, "Basic credential")["verdict"] == "good"
    assert answer.json["inbox"] is None


def test_settings_with_which_the_endpoint_would_not_start_are_named_and_nothing_is_tested(ours: Ours) -> None:
    answer = ours.check("--format=json", ATUM_WEBHOOK_BASIC="postmark:short")
    assert answer.status == 1
    assert about(answer, "credentials")["verdict"] == "bad"
    assert answer.json["tested"] is None


def test_mails_of_which_nobody_tells_are_silence(
    ours: Ours, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("atum_ops.webhook_freshness._TOLD_AFTER", timedelta(0))
    place.ended(SENT, SILENT)
    answer = ours.check("--format=json")
    assert answer.status == 1
    assert about(answer, "last event")["verdict"] == "bad"
    assert "catch-up" in about(answer, "last event")["remedy"]
    assert answer.json["inbox"]["untold"] == SILENT


def test_one_event_breaks_the_silence_and_a_test_event_does_not(
    ours: Ours, place: Place, endpoint: WebhookEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("atum_ops.webhook_freshness._TOLD_AFTER", timedelta(0))
    place.ended(SENT, SILENT)
    ours.check()
    place.sql("UPDATE atum.webhook_inbox SET state = 'ignored', kind = 'Test', done_at = clock_timestamp()")
    assert about(ours.check("--format=json"), "last event")["verdict"] == "bad"
    endpoint.tell(delivery(), headers={"X-Atum-Webhook-Secret": SECRET}).raise_for_status()
    answer = ours.check("--format=json")
    assert about(answer, "last event")["verdict"] == "good"
    assert answer.json["inbox"]["untold"] == 0


def test_events_that_nobody_applies_are_bad(ours: Ours, place: Place, endpoint: WebhookEndpoint) -> None:
    endpoint.tell(delivery(), headers={"X-Atum-Webhook-Secret": SECRET}).raise_for_status()
    assert about(ours.check("--format=json"), "waiting")["verdict"] == "good"
    place.sql("UPDATE atum.webhook_inbox SET received_at = received_at - interval '1 hour'")
    answer = ours.check("--format=json")
    assert about(answer, "waiting")["verdict"] == "bad"
    assert "workers" in about(answer, "waiting")["remedy"]


def test_what_became_of_events_is_counted(ours: Ours, place: Place, endpoint: WebhookEndpoint) -> None:
    for _ in range(3):
        endpoint.tell(delivery(), headers={"X-Atum-Webhook-Secret": SECRET}).raise_for_status()
    place.sql(
        "UPDATE atum.webhook_inbox SET state = 'unmatched', kind = 'Delivery', done_at = clock_timestamp()"
        " WHERE id = (SELECT max(id::text)::uuid FROM atum.webhook_inbox)"
    )
    answer = ours.check("--format=json")
    assert answer.json["inbox"]["states"] == {"new": 2, "unmatched": 1}
    assert answer.json["inbox"]["sources"] == {"webhook": 3}
    assert about(answer, "last 24 h")["verdict"] == "note"


def test_a_database_without_a_schema_is_bad(ours: Ours, own_postgres: PostgresNode) -> None:
    answer = ours.check("--format=json", ATUM_DATABASE_URL=own_postgres.url)
    assert answer.status == 1
    assert about(answer, "database")["remedy"] == "atum-mailer migrate"
