"""Webhook faults at work: what comes, what does not, and that none of it changes the truth."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import httpx
import pytest

from atum_ops.simulator.config import SimulatorConfig
from atum_ops.simulator.process import SimulatorProcess
from atum_ops.simulator.webhook_faults import WebhookFaults, webhook_preset
from tests.simulating import HEADERS, send, settled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.receiving import Receiver

SHARES = {
    "bounce-hard": 0.1,
    "bounce-soft": 0.1,
    "complaint": 0.1,
    "bounce-late": 0.1,
    "delay": 0.1,
    "open": 0.1,
}


@pytest.fixture(scope="module")
def shared() -> Iterator[SimulatorProcess]:
    with SimulatorProcess(SimulatorConfig(time_scale=0.0005)) as simulator:
        yield simulator


def test_lost_events_never_come(simulator: SimulatorProcess, client: httpx.Client, hook: Receiver) -> None:
    simulator.register_webhook(hook.url)
    simulator.set_webhook_faults(webhook_preset("lost"))
    send(client, "bounce-hard@example.org")
    counts = settled(simulator)
    assert (hook.received, counts["lost"], counts["events"]) == ([], 2, 2)
    (only,) = simulator.truth()
    assert (only.state, only.suppressed) == ("bounced", True)


@pytest.mark.parametrize(("fault", "traces"), [("duplicated", 1), ("duplicated_untraced", 2)])
def test_a_duplicate_comes_with_the_same_trace_or_another(
    fault: str, traces: int, simulator: SimulatorProcess, client: httpx.Client, hook: Receiver
) -> None:
    simulator.register_webhook(hook.url)
    simulator.set_webhook_faults(webhook_preset(fault))
    send(client, "jane@example.org")
    settled(simulator)
    first, second = hook.received
    assert first.event == second.event
    assert len({first.trace, second.trace}) == traces


def test_an_early_event_is_posted_before_the_answer(
    simulator: SimulatorProcess, client: httpx.Client, hook: Receiver
) -> None:
    simulator.register_webhook(hook.url)
    simulator.set_webhook_faults(webhook_preset("early"))
    before = 0
    for number in range(5):
        message_id = send(client, "jane@example.org", "john@example.org", mail_id=f"m{number}")
        before += message_id in [
            one.event["MessageID"] for one in hook.received if one.about[1][:4] == "jane"
        ]
    # The answer waits for a second at most: a receiver that stands still for longer is overtaken.
    assert before >= 3
    counts = settled(simulator)
    assert (counts["early"], len(hook.received)) == (5, 10)


def test_an_early_event_holds_the_answer_up_for_a_second_at_most(
    simulator: SimulatorProcess, client: httpx.Client, hook: Receiver
) -> None:
    answered = threading.Event()
    hook.answer = lambda _: 200 if answered.wait(60) else 500
    simulator.register_webhook(hook.url)
    simulator.set_webhook_faults(webhook_preset("early"))
    started = time.monotonic()
    # This would fail, after 30 seconds, if the answer waited for that of the receiver.
    send(client, "jane@example.org")
    assert time.monotonic() - started > 0.9
    answered.set()
    settled(simulator)


def test_late_events_come_late_and_events_overtake_each_other(
    simulator: SimulatorProcess, client: httpx.Client, hook: Receiver
) -> None:
    simulator.register_webhook(hook.url)
    simulator.set_webhook_faults(WebhookFaults(late=1.0, late_s=1000))
    started = time.time()
    send(client, "jane@example.org")
    settled(simulator)
    assert hook.received[0].at - started >= 0.5
    simulator.set_webhook_faults(WebhookFaults(reordered=1.0, reorder_s=2000))
    for number in range(20):
        send(client, f"r{number}@example.org", mail_id=f"m{number}")
    settled(simulator)
    order = [one.about[1] for one in hook.received[1:]]
    assert sorted(order) == sorted(f"r{number}@example.org" for number in range(20))
    assert order != [f"r{number}@example.org" for number in range(20)]


def test_what_happened_in_an_outage_is_lost(
    simulator: SimulatorProcess, client: httpx.Client, hook: Receiver
) -> None:
    simulator.register_webhook(hook.url)
    simulator.set_webhook_outage("lost")
    send(client, "jane@example.org")
    settled(simulator)
    simulator.set_webhook_outage("")
    send(client, "john@example.org")
    assert settled(simulator)["lost"] == 1
    assert [one.about[1] for one in hook.received] == ["john@example.org"]
    assert [one.state for one in simulator.truth()] == ["delivered", "delivered"]


def test_no_fault_changes_the_truth(hook: Receiver) -> None:
    truths = []
    for faults in ("none", "all"):
        config = SimulatorConfig(
            time_scale=0.0005,
            seed=5,
            fates=SHARES,
            webhooks=[
                {"Url": hook.url, "Triggers": {"Delivery": {"Enabled": True}, "Bounce": {"Enabled": True}}}
            ],
            webhook_faults=faults,
        )
        with (
            SimulatorProcess(config) as simulator,
            httpx.Client(base_url=simulator.url, headers=HEADERS, timeout=30) as client,
        ):
            for number in range(60):
                send(client, f"r{number}@example.org", mail_id=f"m{number}")
            counts = settled(simulator)
            truths.append([(one.mail_id, one.state, one.events, one.suppressed) for one in simulator.truth()])
            if faults == "all":
                assert {"lost", "duplicated", "early", "late", "fields_missing", "foreign"} <= counts.keys()
                assert simulator.summary().webhooks == counts
    assert truths[0] == truths[1]
    assert len({state for _, state, *_ in truths[0]}) == 4
