"""The simulator tries webhooks again as the provider does: ladders, dropping, pausing a type."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import httpx
import pytest

from atum_ops.simulator.config import SimulatorConfig
from atum_ops.simulator.process import SimulatorProcess
from tests.nodes import eventually
from tests.receiving import after
from tests.simulating import HEADERS, MAIL, send, settled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.receiving import Receiver

SCALE = 0.0005


@pytest.fixture(scope="module")
def shared() -> Iterator[SimulatorProcess]:
    with SimulatorProcess(SimulatorConfig(time_scale=SCALE, webhook_pause_after=2)) as simulator:
        yield simulator


@pytest.mark.parametrize("status", [500, 503, 408, 429, 204, 302])
def test_what_is_not_taken_is_tried_again_with_the_same_trace(
    status: int, simulator: SimulatorProcess, client: httpx.Client, hook: Receiver
) -> None:
    hook.answer = lambda _: 200 if len(hook.received) == 4 else status
    simulator.register_webhook(hook.url)
    send(client, "jane@example.org")
    counts = settled(simulator)
    assert [one.headers["x-pm-retries-remaining"] for one in hook.received] == ["9", "8", "7", "6"]
    assert len({one.trace for one in hook.received}) == 1
    # 1, 5 and 15 minutes, scaled; never sooner.
    gaps = [after.at - before.at for before, after in zip(hook.received, hook.received[1:], strict=False)]
    assert all(gap > 0.9 * minutes * 60 * SCALE for gap, minutes in zip(gaps, (1, 5, 15), strict=True))
    assert (counts["posts"], counts["retried"], counts["taken"]) == (4, 3, 1)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 422])
def test_a_client_error_drops_the_event_at_once(
    status: int, simulator: SimulatorProcess, client: httpx.Client, hook: Receiver
) -> None:
    hook.answer = lambda _: status
    simulator.register_webhook(hook.url)
    send(client, "jane@example.org")
    counts = settled(simulator)
    assert (len(hook.received), counts["dropped"]) == (1, 1)


def test_who_does_not_listen_is_tried_ten_times_and_then_paused_for_that_type_alone(
    simulator: SimulatorProcess, client: httpx.Client, hook: Receiver
) -> None:
    hook.answer = lambda one: 503 if one.event["RecordType"] == "Delivery" else 200
    simulator.register_webhook(hook.url)
    for _ in range(2):
        send(client, "jane@example.org")
    counts = settled(simulator)
    assert (len(hook.received), counts["exhausted"]) == (20, 2)
    (known,) = simulator.webhooks()["webhooks"]
    assert (known["Statuses"]["Delivery"], known["Statuses"]["Bounce"]) == ("Paused", "Active")
    send(client, "jane@example.org", "bounce-soft@example.org")
    assert settled(simulator)["paused"] == 1
    assert hook.about()[20:] == [("Bounce", "bounce-soft@example.org")]
    hook.answer = lambda _: 200
    assert client.post(f"/webhooks/{known['ID']}/verify", json={}).json()["Success"] is True
    send(client, "jane@example.org", mail_id="m2")
    settled(simulator)
    assert hook.received[-1].about == ("Delivery", "jane@example.org")


def test_a_receiver_that_is_away_or_slow_gets_its_events_when_it_is_back(hook: Receiver) -> None:
    hook.answer = lambda one: after(1) if one is hook.received[0] else 200
    config = SimulatorConfig(time_scale=SCALE, webhook_timeout_s=0.2)
    with (
        SimulatorProcess(config) as simulator,
        httpx.Client(base_url=simulator.url, headers=HEADERS, timeout=30) as client,
    ):
        simulator.register_webhook(hook.url)
        send(client, "jane@example.org")
        # More often where the second answer is late by itself.
        retried = settled(simulator)["retried"]
        assert retried >= 1
        assert eventually(lambda: len(hook.received) == retried + 1)
        assert len({one.trace for one in hook.received}) == 1
        simulator.set_webhook_outage("failing")
        send(client, "john@example.org")
        assert eventually(lambda: simulator.webhooks()["counts"]["retried"] >= retried + 2)
        assert hook.about("john@example.org") == []
        simulator.set_webhook_outage("")
        settled(simulator)
        assert set(hook.about("john@example.org")) == {("Delivery", "john@example.org")}


def test_a_slow_receiver_has_few_connections_and_does_not_slow_sending(hook: Receiver) -> None:
    answering = threading.Event()
    hook.answer = lambda _: 200 if answering.wait(60) else 500
    config = SimulatorConfig(time_scale=SCALE, webhook_connections=3)
    with (
        SimulatorProcess(config) as simulator,
        httpx.Client(base_url=simulator.url, headers=HEADERS, timeout=30) as client,
    ):
        simulator.register_webhook(hook.url)
        # Nobody has got an answer when all of them are sent.
        for number in range(12):
            send(client, "jane@example.org", mail_id=f"m{number}")
        assert eventually(lambda: len(hook.received) == 3)
        assert not eventually(lambda: len(hook.received) > 3, seconds=0.3)
        answering.set()
        settled(simulator)
    assert (len(hook.received), hook.connections) == (12, 3)


@pytest.mark.parametrize(("fate", "posts"), [("bounce-soft", 11), ("delivered", 4)])
def test_the_old_rules_have_ladders_of_their_own_and_stop_at_403(
    fate: str, posts: int, hook: Receiver
) -> None:
    hook.answer = lambda one: 403 if one.event["Tag"] == "stop" else 404
    config = SimulatorConfig(
        time_scale=SCALE / 10,
        retry_rules="old",
        webhooks=[
            {"Url": hook.url, "Triggers": {"Bounce": {"Enabled": True}, "Delivery": {"Enabled": True}}}
        ],
    )
    with (
        SimulatorProcess(config) as simulator,
        httpx.Client(base_url=simulator.url, headers=HEADERS, timeout=30) as client,
    ):
        send(client, f"{fate}@example.org")
        assert settled(simulator)["exhausted"] == 1
        assert len(hook.received) == posts
        client.post("/email", json={**MAIL, "To": f"{fate}@example.org", "Tag": "stop"}).raise_for_status()
        assert settled(simulator)["dropped"] == 1
