"""What becomes of messages, as the simulator's read APIs and its truth tell it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest

from atum_ops.simulator.config import SimulatorConfig
from atum_ops.simulator.fates import Fate
from atum_ops.simulator.faults import FaultKind, FaultPlan, FaultRule, Target
from atum_ops.simulator.process import SimulatorProcess
from tests.simulating import HEADERS, MAIL, send, settled

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BOUNCES = "/bounces?count=50&offset=0"


@pytest.fixture(scope="module")
def shared() -> Iterator[SimulatorProcess]:
    with SimulatorProcess(SimulatorConfig(fates={}, time_scale=0.0005)) as simulator:
        yield simulator


def test_each_fate_ends_in_its_truth(simulator: SimulatorProcess, client: httpx.Client) -> None:
    message_id = send(client, *(f"{fate}@example.org" for fate in Fate))
    settled(simulator)
    found = {one.recipient.partition("@")[0]: one for one in simulator.truth()}
    assert {one.message_id for one in found.values()} == {message_id}
    assert all(one.settled and one.mail_id == "m1" and one.stream == "outbound" for one in found.values())
    assert {name: (one.state, one.suppressed) for name, one in found.items()} == {
        "delivered": ("delivered", False),
        "open": ("delivered", False),
        "click": ("delivered", False),
        "delay": ("delivered", False),
        "stuck": ("delayed", False),
        "bounce-soft": ("soft_bounced", False),
        "bounce-hard": ("bounced", True),
        "bounce-inactive": ("bounced", True),
        "bounce-late": ("bounced", True),
        "complaint": ("complained", True),
        "autoreply": ("delivered", False),
        "unsubscribe": ("delivered", True),
        "resubscribe": ("delivered", False),
    }
    assert found["resubscribe"].events == ("delivered", "unsubscribed", "resubscribed")


def test_what_has_a_fate_suppresses_and_is_refused_then(
    simulator: SimulatorProcess, client: httpx.Client
) -> None:
    send(client, "bounce-hard@example.org", "complaint@example.org", "unsubscribe@example.org")
    settled(simulator)
    dump = client.get("/message-streams/outbound/suppressions/dump").json()["Suppressions"]
    assert {one["EmailAddress"]: (one["SuppressionReason"], one["Origin"]) for one in dump} == {
        "bounce-hard@example.org": ("HardBounce", "Recipient"),
        "complaint@example.org": ("SpamComplaint", "Recipient"),
        "unsubscribe@example.org": ("ManualSuppression", "Recipient"),
    }
    again = client.post("/email", json={**MAIL, "To": "bounce-hard@example.org"})
    assert again.json()["ErrorCode"] == 406
    send(client, "bounce-hard@example.org", mail_id="m2", stream="broadcast")


def test_bounces_are_listed_newest_first_with_the_fields_of_the_api(
    simulator: SimulatorProcess, client: httpx.Client
) -> None:
    message_id = send(client, "bounce-soft@example.org", "complaint@example.org", "jane@example.org")
    settled(simulator)
    listed = client.get(BOUNCES).json()
    assert listed["TotalCount"] == 2
    complaint, soft = listed["Bounces"]
    assert (
        soft.items()
        >= {
            "RecordType": "Bounce",
            "Type": "SoftBounce",
            "TypeCode": 4096,
            "MessageID": message_id,
            "MessageStream": "outbound",
            "Email": "bounce-soft@example.org",
            "From": "shop@example.com",
            "Subject": "Hello",
            "Tag": "greeting",
            "Inactive": False,
            "CanActivate": True,
        }.items()
    )
    assert (
        complaint.items()
        >= {
            "RecordType": "SpamComplaint",
            "TypeCode": 100001,
            "Inactive": True,
            "CanActivate": False,
        }.items()
    )
    assert client.get(f"/bounces/{soft['ID']}").json() == soft
    assert client.get(f"/bounces/{soft['ID']}/dump").json() == {"Body": ""}
    assert "Metadata" not in soft


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["complaint", "bounce-hard", "bounce-soft"]),
        ("&type=hardbounce", ["bounce-hard"]),
        ("&type=Blocked", []),
        ("&inactive=false", ["bounce-soft"]),
        ("&emailFilter=bounce", ["bounce-hard", "bounce-soft"]),
        ("&tag=greeting", ["complaint", "bounce-hard", "bounce-soft"]),
        ("&tag=other", []),
        ("&messagestream=broadcast", ["bounce-soft"]),
        ("&fromdate=2099-01-01", []),
        ("&todate=2020-01-01", []),
    ],
)
def test_bounces_can_be_filtered(
    query: str, found: list[str], simulator: SimulatorProcess, client: httpx.Client
) -> None:
    send(client, "bounce-soft@example.org")
    settled(simulator)
    send(client, "bounce-hard@example.org")
    settled(simulator)
    send(client, "complaint@example.org")
    send(client, "bounce-soft@example.org", stream="broadcast")
    settled(simulator)
    listed = client.get(BOUNCES + query).json()["Bounces"]
    assert [one["Email"].partition("@")[0] for one in listed] == found


def test_bounces_come_in_pages_and_by_message(simulator: SimulatorProcess, client: httpx.Client) -> None:
    ids = [send(client, f"bounce-soft+{n}@example.org", mail_id=str(n)) for n in range(5)]
    settled(simulator)
    pages = [client.get(f"/bounces?count=2&offset={at}").json() for at in (0, 2, 4)]
    assert [page["TotalCount"] for page in pages] == [5, 5, 5]
    seen = [one["MessageID"] for page in pages for one in page["Bounces"]]
    assert (len(seen), set(seen)) == (5, set(ids))
    (one,) = client.get(f"{BOUNCES}&messageID={ids[3]}").json()["Bounces"]
    assert one["MessageID"] == ids[3]


@pytest.mark.parametrize(
    "query", ["count=0&offset=0", "count=500&offset=9501", "count=5&type=luck", "count=5&inactive=x"]
)
def test_a_wrong_query_is_refused(query: str, client: httpx.Client) -> None:
    answer = client.get(f"/bounces?{query}")
    assert (answer.status_code, answer.json()["ErrorCode"]) == (422, 1000)


def test_a_bounced_address_can_be_activated_and_a_complainer_cannot(
    simulator: SimulatorProcess, client: httpx.Client
) -> None:
    send(client, "bounce-hard@example.org", "complaint@example.org")
    settled(simulator)
    complaint, hard = sorted(client.get(BOUNCES).json()["Bounces"], key=lambda one: one["Type"], reverse=True)
    done = client.put(f"/bounces/{hard['ID']}/activate").json()
    assert (done["Message"], done["Bounce"]["Inactive"]) == ("OK", False)
    assert client.put(f"/bounces/{complaint['ID']}/activate").json()["ErrorCode"] == 1003
    assert client.get("/deliverystats").json()["InactiveMails"] == 1
    assert client.put("/bounces/7/activate").json()["ErrorCode"] == 1001
    suppressed = {one.recipient: one.suppressed for one in simulator.truth()}
    assert suppressed == {"bounce-hard@example.org": False, "complaint@example.org": True}


def test_taking_a_suppression_back_activates_the_bounce(
    simulator: SimulatorProcess, client: httpx.Client
) -> None:
    send(client, "bounce-hard@example.org")
    settled(simulator)
    body = {"Suppressions": [{"EmailAddress": "Bounce-Hard@example.org"}]}
    client.post("/message-streams/outbound/suppressions/delete", json=body).raise_for_status()
    (bounce,) = client.get(BOUNCES).json()["Bounces"]
    assert bounce["Inactive"] is False


def test_details_tell_the_story_of_each_recipient(simulator: SimulatorProcess, client: httpx.Client) -> None:
    message_id = send(client, "delay@example.org", "bounce-hard@example.org", "click@example.org")
    settled(simulator)
    shown = client.get(f"/messages/outbound/{message_id}/details").json()["MessageEvents"]
    assert [one["ReceivedAt"] for one in shown] == sorted(one["ReceivedAt"] for one in shown)

    def told(address: str) -> list[Any]:
        return [(one["Type"], one["Details"]) for one in shown if one["Recipient"] == address]

    assert [kind for kind, _ in told("delay@example.org")] == ["Transient", "Delivered"]
    assert [kind for kind, _ in told("click@example.org")] == ["Delivered", "Opened", "LinkClicked"]
    (bounced, details), (changed, change) = told("bounce-hard@example.org")
    assert (bounced, changed) == ("Bounced", "SubscriptionChanged")
    assert change == {"Origin": "Recipient", "SuppressSending": "True"}
    assert client.get(f"/bounces/{details['BounceID']}").json()["Email"] == "bounce-hard@example.org"


def test_nothing_is_told_before_it_happens() -> None:
    with (
        SimulatorProcess(SimulatorConfig(fates={}, time_scale=1000)) as simulator,
        httpx.Client(base_url=simulator.url, headers=HEADERS, timeout=30) as client,
    ):
        message_id = send(client, "bounce-hard@example.org", "jane@example.org")
        assert client.get(f"/messages/outbound/{message_id}/details").json()["MessageEvents"] == []
        assert client.get(BOUNCES).json()["TotalCount"] == 0
        truth = list(simulator.truth())
        assert [(one.state, one.settled) for one in truth] == [("bounced", False), ("delivered", False)]


def test_messages_have_no_fate_where_nobody_asked_for_one(
    client: httpx.Client, simulator: SimulatorProcess
) -> None:
    simulator.set_fates(None)
    before = send(client, "bounce-hard@example.org")
    simulator.set_fates({"bounce-soft": 1.0})
    after = send(client, "jane@example.org")
    settled(simulator)
    (only,) = simulator.truth()
    assert (only.message_id, only.state) == (after, "soft_bounced")
    assert client.get(f"/messages/outbound/{before}/details").json()["MessageEvents"] == []


def test_a_failing_search_fails_the_bounces_too(simulator: SimulatorProcess, client: httpx.Client) -> None:
    rule = FaultRule(kind=FaultKind.RATE_LIMIT_RETRY_AFTER, target=Target.SEARCH)
    simulator.set_faults(FaultPlan(rules=(rule,)))
    try:
        assert client.get(BOUNCES).status_code == 429
        assert client.get("/deliverystats").status_code == 429
    finally:
        simulator.set_faults(FaultPlan())


def test_a_killed_simulator_takes_up_the_lives_of_its_ledger(tmp_path: Path) -> None:
    config = SimulatorConfig(fates={}, time_scale=0.0005, ledger_path=tmp_path / "ledger")
    with SimulatorProcess(config) as simulator:
        with httpx.Client(base_url=simulator.url, headers=HEADERS, timeout=30) as client:
            send(client, "bounce-hard@example.org", "complaint@example.org")
            settled(simulator)
            before = client.get(BOUNCES).json()
        truth = list(simulator.truth())
        simulator.kill()
        simulator.start()
        with httpx.Client(base_url=simulator.url, headers=HEADERS, timeout=30) as client:
            assert client.get(BOUNCES).json() == before
            dump = client.get("/message-streams/outbound/suppressions/dump").json()["Suppressions"]
        assert len(dump) == 2
        assert list(simulator.truth()) == truth
