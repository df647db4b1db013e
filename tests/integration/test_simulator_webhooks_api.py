"""Registering webhooks through the provider's API: probes, edits, statistics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from atum_ops.simulator.config import SimulatorConfig
from atum_ops.simulator.process import SimulatorProcess
from tests.simulating import send, settled

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from tests.receiving import Receiver

TRIGGERS = {"Delivery": {"Enabled": True}, "Bounce": {"Enabled": True, "IncludeContent": True}}


@pytest.fixture(scope="module")
def shared() -> Iterator[SimulatorProcess]:
    with SimulatorProcess(SimulatorConfig(time_scale=0.0005)) as simulator:
        yield simulator


def create(client: httpx.Client, hook: Receiver, **more: Any) -> dict[str, Any]:
    answer = client.post("/webhooks", json={"Url": hook.url, "Triggers": TRIGGERS, **more})
    answer.raise_for_status()
    made: dict[str, Any] = answer.json()
    return made


def test_a_new_webhook_is_probed_and_has_the_shape_of_the_api(
    simulator: SimulatorProcess, client: httpx.Client, hook: Receiver
) -> None:
    auth = {"Username": "u", "Password": "p"}
    made = create(client, hook, HttpAuth=auth, HttpHeaders=[{"Name": "X-A", "Value": "1"}])
    assert made == {
        "ID": made["ID"],
        "Url": hook.url,
        "MessageStream": "outbound",
        "HttpAuth": auth,
        "HttpHeaders": [{"Name": "X-A", "Value": "1"}],
        "Triggers": {
            "Open": {"Enabled": False, "PostFirstOpenOnly": False},
            "Click": {"Enabled": False},
            "Delivery": {"Enabled": True},
            "Bounce": {"Enabled": True, "IncludeContent": True},
            "SpamComplaint": {"Enabled": False, "IncludeContent": False},
            "SubscriptionChange": {"Enabled": False},
        },
    }
    assert sorted(kind for kind, _ in hook.about()) == ["Bounce", "Delivery"]
    assert all(one.headers["x-a"] == "1" for one in hook.received)
    assert client.get(f"/webhooks/{made['ID']}").json() == made
    assert client.get("/webhooks?MessageStream=outbound").json() == {"Webhooks": [made]}
    assert client.get("/webhooks?MessageStream=broadcast").json() == {"Webhooks": []}
    assert client.get("/webhooks?MessageStream=nope").json()["ErrorCode"] == 1226
    send(client, "bounce-soft@example.org")
    settled(simulator)
    assert "Content" in hook.received[-1].event


@pytest.mark.parametrize("status", [204, 401, 500])
def test_a_probe_that_fails_saves_nothing(status: int, client: httpx.Client, hook: Receiver) -> None:
    hook.answer = lambda one: status if one.event["RecordType"] == "Bounce" else 200
    answer = client.post("/webhooks", json={"Url": hook.url, "Triggers": TRIGGERS})
    assert (answer.status_code, answer.json()["ErrorCode"]) == (422, 1364)
    assert f"Bounce ({status})" in answer.json()["Message"]
    assert client.get("/webhooks").json() == {"Webhooks": []}


def test_an_edit_is_probed_too_and_a_failed_one_changes_nothing(client: httpx.Client, hook: Receiver) -> None:
    made = create(client, hook)
    path = f"/webhooks/{made['ID']}"
    hook.answer = lambda _: 503
    assert client.put(path, json={"Url": f"{hook.url}/new"}).json()["ErrorCode"] == 1364
    assert client.get(path).json() == made
    hook.answer = lambda _: 200
    edited = client.put(path, json={"Url": f"{hook.url}/new", "Triggers": {"Open": {"Enabled": True}}}).json()
    assert edited["Url"] == f"{hook.url}/new"
    assert edited["Triggers"]["Delivery"] == {"Enabled": True}
    assert sorted(one.about[0] for one in hook.received if one.path == "/new")[-3:] == [
        "Delivery",
        "Delivery",
        "Open",
    ]


def test_an_unverified_webhook_gets_nothing_until_it_is_verified(
    simulator: SimulatorProcess, client: httpx.Client, hook: Receiver
) -> None:
    made = create(client, hook, Verify=False)
    path = f"/webhooks/{made['ID']}"
    send(client, "jane@example.org")
    settled(simulator)
    assert hook.received == []
    assert client.get(f"{path}/statistics").json()["Statuses"] == {
        "Delivery": "Unverified",
        "Bounce": "Unverified",
    }
    hook.answer = lambda _: 500
    failed = client.post(f"{path}/verify", json={})
    assert (failed.status_code, failed.json()["Success"]) == (200, False)
    hook.answer = lambda _: 200
    assert client.post(f"{path}/verify", json={}).json() == {
        "Success": True,
        "Results": [
            {"Trigger": "Delivery", "Success": True, "StatusCode": 200},
            {"Trigger": "Bounce", "Success": True, "StatusCode": 200},
        ],
    }
    send(client, "jane@example.org", mail_id="m2")
    settled(simulator)
    assert hook.received[-1].event["Metadata"] == {"atum-mail": "m2"}
    said = client.get(f"{path}/statistics").json()
    assert said["Statuses"] == {"Delivery": "Active", "Bounce": "Active"}
    assert said["Totals"]["Delivery"] == {"paused": 1, "taken": 1}


def test_a_removed_webhook_gets_nothing_any_more(
    simulator: SimulatorProcess, client: httpx.Client, hook: Receiver
) -> None:
    made = create(client, hook, Verify=False)
    said = client.delete(f"/webhooks/{made['ID']}").json()
    assert said == {"ErrorCode": 0, "Message": f"Webhook {made['ID']} removed."}
    send(client, "jane@example.org")
    settled(simulator)
    assert hook.received == []


@pytest.mark.parametrize(
    ("method", "path", "body", "code"),
    [
        ("GET", "/webhooks/7", None, 1350),
        ("PUT", "/webhooks/7", b"{}", 1350),
        ("DELETE", "/webhooks/7", None, 1350),
        ("POST", "/webhooks/7/verify", b"{}", 1350),
        ("GET", "/webhooks/7/statistics", None, 1350),
        ("POST", "/webhooks", b"{", 402),
        ("POST", "/webhooks", b"[]", 402),
        ("POST", "/webhooks", b"{}", 1352),
    ],
)
def test_what_is_wrong_is_refused(
    method: str, path: str, body: bytes | None, code: int, client: httpx.Client
) -> None:
    answer = client.request(method, path, content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["ErrorCode"]) == (422, code)
