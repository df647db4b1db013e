"""`simulator webhooks …`, as a person types it."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import orjson
import pytest

from atum_ops.simulator.config import SimulatorConfig
from atum_ops.simulator.process import SimulatorProcess
from atum_ops.simulator.webhook_faults import WebhookFaults
from tests.command_line import run
from tests.integration.test_simulator_commands import steer
from tests.simulating import send, settled

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx

    from tests.receiving import Receiver


@pytest.fixture(scope="module")
def shared() -> Iterator[SimulatorProcess]:
    with SimulatorProcess(SimulatorConfig(time_scale=0.0005)) as simulator:
        yield simulator


def test_a_url_is_registered_with_credentials_that_nobody_sees(
    simulator: SimulatorProcess, client: httpx.Client, hook: Receiver
) -> None:
    said = run(
        *("simulator", "webhooks", "register", f"{hook.url}/in", "--trigger", "Delivery"),
        ATUM_SIMULATOR_URL=simulator.url,
        ATUM_SIMULATOR_CONTROL_TOKEN=simulator.config.control_token,
        ATUM_SIMULATOR_WEBHOOK_BASIC="postmark:pass-word",
        ATUM_SIMULATOR_WEBHOOK_HEADER="X-Secret: s3cret",
    )
    assert said.status == 0
    assert "pass-word" not in said.out + said.err
    assert "s3cret" not in said.out + said.err
    assert "fates: all are delivered" in said.out
    send(client, "jane@example.org")
    settled(simulator)
    (one,) = hook.received
    assert (one.path, one.headers["x-secret"]) == ("/in", "s3cret")
    assert one.headers["authorization"] == f"Basic {base64.b64encode(b'postmark:pass-word').decode()}"
    shown = steer(simulator, "webhooks", "show")
    assert "taken 1" in shown.out
    (known,) = steer(simulator, "webhooks", "show", "--format=json").json["webhooks"]
    assert steer(simulator, "webhooks", "remove", known["ID"], "--format=json").json["webhooks"] == []
    assert steer(simulator, "webhooks", "remove", known["ID"]).status == 1


def test_credentials_in_a_url_are_used_and_not_shown(
    simulator: SimulatorProcess, client: httpx.Client, hook: Receiver
) -> None:
    url = hook.url.replace("http://", "http://user:pass%3Aword@")
    said = steer(simulator, "webhooks", "register", url, "--format=json")
    assert "pass" not in said.out
    send(client, "jane@example.org")
    settled(simulator)
    assert (
        hook.received[0].headers["authorization"] == f"Basic {base64.b64encode(b'user:pass:word').decode()}"
    )


def test_faults_outages_and_fates_are_set(simulator: SimulatorProcess, tmp_path: Path) -> None:
    said = steer(simulator, "webhooks", "faults", "all", "--seed", 7, "--format=json").json
    assert (said["faults"]["seed"], said["faults"]["lost"]) == (7, 0.1)
    said = steer(simulator, "webhooks", "outage", "failing", "--format=json").json
    assert (said["faults"]["outage"], said["faults"]["lost"]) == ("failing", 0.1)
    assert "outage failing" in steer(simulator, "webhooks", "show").out
    assert steer(simulator, "webhooks", "outage", "off", "--format=json").json["faults"]["outage"] == ""
    file = tmp_path / "faults.json"
    file.write_bytes(orjson.dumps({"late": 0.5, "late_s": 60}))
    said = steer(simulator, "webhooks", "faults", file, "--format=json").json
    assert said["faults"] == WebhookFaults(late=0.5, late_s=60).to_document()
    assert "faults: none" in steer(simulator, "webhooks", "faults", "none").out
    said = steer(simulator, "webhooks", "fates", "bounce-hard=0.2, open=0.1", "--format=json").json
    assert said["fates"]["shares"] == {"bounce-hard": 0.2, "open": 0.1}
    assert "all are delivered" in steer(simulator, "webhooks", "fates", "delivered").out
    assert "mails have none" in steer(simulator, "webhooks", "fates", "none").out


@pytest.mark.parametrize(
    ("arguments", "exit_status", "words"),
    [
        (["register", "nowhere"], 1, "Url"),
        (["register", "http://127.0.0.1:1/", "--stream", "nope"], 1, "stream"),
        (["register", "http://127.0.0.1:1/", "--trigger", "Sent"], 2, "SpamComplaint"),
        (["faults", "bad-luck"], 1, "unlost"),
        (["outage", "total"], 2, "failing"),
        (["fates", "bounce-hard"], 1, "bounce-hard=0.02"),
        (["fates", "luck=1"], 1, "autoreply"),
    ],
)
def test_what_is_wrong_is_explained(
    arguments: list[str], exit_status: int, words: str, simulator: SimulatorProcess
) -> None:
    said = steer(simulator, "webhooks", *arguments)
    assert said.status == exit_status
    assert words in said.err
