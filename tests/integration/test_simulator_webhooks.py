"""The simulator posts webhooks as the provider does: what they say, and to whom."""

from __future__ import annotations

import base64
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from atum_ops.simulator.config import SimulatorConfig
from atum_ops.simulator.fates import Fate
from atum_ops.simulator.process import SimulatorProcess
from atum_ops.simulator.webhook_faults import WebhookFaults
from atum_schema import webhook
from tests.nodes import eventually
from tests.simulating import HEADERS, send, settled

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.receiving import Received, Receiver

SCALE = 0.0005
#: Seven digits of a second, and a zone.
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z")


@pytest.fixture(scope="module")
def shared() -> Iterator[SimulatorProcess]:
    with SimulatorProcess(SimulatorConfig(time_scale=SCALE)) as simulator:
        yield simulator


def test_each_fate_is_told_by_its_events(
    simulator: SimulatorProcess, client: httpx.Client, hook: Receiver
) -> None:
    simulator.register_webhook(hook.url)
    message_id = send(client, *(f"{fate}@example.org" for fate in Fate))
    assert settled(simulator)["taken"] == len(hook.received)
    told: dict[str, list[str]] = {}
    for one in sorted(hook.received, key=lambda one: (str(webhook.read(one.event).at), *one.about)):
        kind, address = one.about
        told.setdefault(address.partition("@")[0], []).append(kind)
        assert (one.event["MessageID"], one.event["Metadata"]) == (message_id, {"atum-mail": "m1"})
    assert told == {
        "delivered": ["Delivery"],
        "open": ["Delivery", "Open"],
        "click": ["Delivery", "Open", "Click"],
        "delay": ["Bounce", "Delivery"],
        "stuck": ["Bounce"],
        "bounce-soft": ["Bounce"],
        "bounce-hard": ["Bounce", "SubscriptionChange"],
        "bounce-inactive": ["Bounce", "SubscriptionChange"],
        "bounce-late": ["Delivery", "Bounce", "SubscriptionChange"],
        "complaint": ["Delivery", "SpamComplaint", "SubscriptionChange"],
        "autoreply": ["Delivery", "Bounce"],
        "unsubscribe": ["Delivery", "SubscriptionChange"],
        "resubscribe": ["Delivery", "SubscriptionChange", "SubscriptionChange"],
    }


def test_what_is_told_leads_a_reader_to_the_truth(
    simulator: SimulatorProcess, client: httpx.Client, hook: Receiver
) -> None:
    simulator.register_webhook(hook.url)
    simulator.set_fates(dict.fromkeys(map(str, Fate), 1 / len(Fate)))
    for number in range(40):
        send(client, f"r{number}@example.org", mail_id=f"m{number}")
    settled(simulator)
    kinds: dict[str, list[webhook.Kind]] = {}
    for one in hook.received:
        told = webhook.read(one.event)
        assert told.recipient is not None
        assert told.kind is not None
        kinds.setdefault(told.recipient, []).append(told.kind)
    truth = {one.recipient: one.state for one in simulator.truth()}
    assert len(set(truth.values())) == 5
    assert {address: webhook.state(found) for address, found in kinds.items()} == truth


def test_the_fields_are_those_of_the_provider(
    simulator: SimulatorProcess, client: httpx.Client, hook: Receiver
) -> None:
    simulator.register_webhook(hook.url)
    message_id = send(client, "jane@example.org", "bounce-hard@example.org", "unsubscribe@example.org")
    settled(simulator)
    events = {one.about: one.event for one in hook.received}
    delivery = events["Delivery", "jane@example.org"]
    assert TIME.fullmatch(delivery.pop("DeliveredAt"))
    assert delivery == {
        "RecordType": "Delivery",
        "MessageStream": "outbound",
        "ServerID": 1,
        "MessageID": message_id,
        "Recipient": "jane@example.org",
        "Tag": "greeting",
        "Details": "smtp;250 2.0.0 Ok: queued",
        "Metadata": {"atum-mail": "m1"},
    }
    bounce = events["Bounce", "bounce-hard@example.org"]
    assert TIME.fullmatch(bounce["BouncedAt"])
    listed = client.get(f"/bounces/{bounce['ID']}").json()
    assert bounce == {**listed, "Metadata": {"atum-mail": "m1"}}
    change = events["SubscriptionChange", "unsubscribe@example.org"]
    assert TIME.fullmatch(change["ChangedAt"])
    assert (
        change.items()
        >= {
            "Origin": "Recipient",
            "SuppressSending": True,
            "SuppressionReason": "ManualSuppression",
        }.items()
    )


def test_the_request_is_the_provider_s(
    simulator: SimulatorProcess, client: httpx.Client, hook: Receiver
) -> None:
    simulator.register_webhook(
        f"{hook.url}/way/in?x=1", basic=("user", "pa:ss"), headers={"X-Secret": "s3cret"}
    )
    send(client, "jane@example.org", "john@example.org")
    settled(simulator)
    first, second = hook.received
    assert first.path == "/way/in?x=1"
    assert first.headers["authorization"] == f"Basic {base64.b64encode(b'user:pa:ss').decode()}"
    assert (
        first.headers.items()
        >= {
            "x-secret": "s3cret",
            "user-agent": "Postmark",
            "content-type": "application/json",
            "x-pm-retries-remaining": "9",
        }.items()
    )
    assert first.trace != second.trace


def test_only_streams_and_types_that_are_wanted_are_told(
    simulator: SimulatorProcess, client: httpx.Client, hook: Receiver
) -> None:
    simulator.register_webhook(hook.url, triggers=["Bounce"])
    send(client, "jane@example.org", "bounce-soft@example.org")
    send(client, "bounce-soft@example.org", stream="broadcast")
    settled(simulator)
    assert [one.about for one in hook.received] == [("Bounce", "bounce-soft@example.org")]


def test_a_customer_s_change_is_told_too(
    simulator: SimulatorProcess, client: httpx.Client, hook: Receiver
) -> None:
    simulator.register_webhook(hook.url)
    path, body = (
        "/message-streams/outbound/suppressions",
        {"Suppressions": [{"EmailAddress": "a@example.org"}]},
    )
    for at in (path, path, f"{path}/delete", f"{path}/delete"):
        client.post(at, json=body).raise_for_status()
    settled(simulator)
    told = [(one.event["SuppressSending"], one.event["SuppressionReason"]) for one in hook.received]
    assert sorted(told, reverse=True) == [(True, "ManualSuppression"), (False, None)]
    assert {(one.event["Origin"], one.event["MessageID"]) for one in hook.received} == {("Customer", None)}


def test_without_a_webhook_nothing_is_kept_of_what_is_to_come(
    simulator: SimulatorProcess, client: httpx.Client
) -> None:
    send(client, "bounce-hard@example.org")
    now = simulator.webhooks()
    assert (now["fates"], now["upcoming"], now["pending"], now["counts"]) == (None, 0, 0, {})
    assert list(simulator.truth()) == []


def test_a_reset_forgets_webhooks_and_what_was_to_be_posted(
    simulator: SimulatorProcess, client: httpx.Client, hook: Receiver
) -> None:
    hook.answer = lambda _: 503
    simulator.register_webhook(hook.url)
    simulator.set_webhook_faults(WebhookFaults(late=1.0))
    send(client, "jane@example.org")
    simulator.reset()
    now = simulator.webhooks()
    assert (now["webhooks"], now["pending"], now["upcoming"], now["fates"]) == ([], 0, 0, None)
    assert now["faults"]["late"] == 0


def test_a_restart_tells_what_is_still_to_come_and_nothing_twice(hook: Receiver, tmp_path: Path) -> None:
    config = SimulatorConfig(
        time_scale=SCALE,
        ledger_path=tmp_path / "ledger",
        webhooks=[{"Url": hook.url, "Triggers": {"Delivery": {"Enabled": True}}}],
    )
    with (
        SimulatorProcess(config) as simulator,
        httpx.Client(base_url=simulator.url, headers=HEADERS, timeout=30) as client,
    ):
        send(client, "jane@example.org")
        settled(simulator)
        simulator.restart()
        send(client, "john@example.org", mail_id="m2")
        settled(simulator)
        assert [one.state for one in simulator.truth()] == ["delivered", "delivered"]
    assert [address for _, address in hook.about()] == ["jane@example.org", "john@example.org"]


def test_events_of_an_edited_webhook_go_to_its_new_address(
    simulator: SimulatorProcess, client: httpx.Client, hook: Receiver
) -> None:
    hook.answer = lambda one: 503 if one.path == "/old" else 200
    simulator.register_webhook(f"{hook.url}/old")
    send(client, "jane@example.org")
    assert eventually(lambda: len(hook.received) > 0)
    (known,) = client.get("/webhooks").json()["Webhooks"]
    client.put(f"/webhooks/{known['ID']}", json={"Url": f"{hook.url}/new"}).raise_for_status()
    settled(simulator)
    sent = Counter(one.path for one in hook.received if one.event.get("Recipient") == "jane@example.org")
    assert sent["/new"] == 1
    assert list(_traces(hook.received)) == [hook.received[0].trace]


def _traces(received: list[Received]) -> dict[str, Any]:
    return dict.fromkeys(one.trace for one in received if one.event.get("Recipient") == "jane@example.org")
