"""The commands that steer a running simulator, as a person types them."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx
import orjson
import pytest

from atum_ops.simulator.faults import FaultKind, FaultPlan, FaultRule
from atum_ops.simulator.presets import PRESETS
from tests.command_line import Answer, run
from tests.nodes import eventually
from tests.simulating import HEADERS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from atum_ops.simulator.process import SimulatorProcess


def steer(simulator: SimulatorProcess, *arguments: object) -> Answer:
    return run(
        "simulator",
        *arguments,
        ATUM_SIMULATOR_URL=simulator.url,
        ATUM_SIMULATOR_CONTROL_TOKEN=simulator.config.control_token,
    )


def status(simulator: SimulatorProcess) -> int:
    mail = {"From": "a@example.com", "To": "b@example.org", "TextBody": "x"}
    return httpx.post(f"{simulator.url}/email", json=mail, headers=HEADERS, timeout=30).status_code


def test_a_preset_is_set_and_cleared(simulator: SimulatorProcess) -> None:
    said = steer(simulator, "faults", "set", "outage", "--seed", 7, "--format=json")
    assert (said.status, said.json["faults"]["seed"]) == (0, 7)
    assert len(said.json["faults"]["rules"]) == len(PRESETS["outage"])
    assert status(simulator) >= 500
    assert sum(steer(simulator, "faults", "show", "--format=json").json["fired"].values()) == 1
    assert steer(simulator, "faults", "clear").status == 0
    assert status(simulator) == 200


def test_a_kind_is_set_and_shown_as_a_table(simulator: SimulatorProcess) -> None:
    assert steer(simulator, "faults", "set", "500_after").status == 0
    assert status(simulator) == 500
    shown = steer(simulator, "faults", "show")
    row = next(line for line in shown.out.splitlines() if "500_after" in line)
    assert [cell.strip() for cell in row.split("│")[1:-1]] == ["500_after", "send", "1.0", "–", "1"]
    assert "scenario: none" in shown.out
    assert "no latency" in shown.out


def test_a_plan_is_set_from_a_file(simulator: SimulatorProcess, tmp_path: Path) -> None:
    rule = FaultRule(kind=FaultKind.INVALID_REQUEST, recipient="b@", max_count=1)
    file = tmp_path / "plan.json"
    file.write_bytes(orjson.dumps(FaultPlan(rules=(rule,), seed=3).to_document()))
    said = steer(simulator, "faults", "set", file)
    assert said.status == 0
    assert "max_count 1, recipient b@" in said.out
    assert [status(simulator) for _ in range(2)] == [422, 200]


def test_a_scenario_is_played_shown_and_cleared(simulator: SimulatorProcess) -> None:
    said = steer(simulator, "scenario", "revoked-token", "5m")
    assert said.status == 0
    assert said.out.startswith("scenario: revoked-token, 5.0 min to go: ")
    assert status(simulator) == 401
    shown = steer(simulator, "scenario", "--format=json").json
    assert shown["name"] == "revoked-token"
    assert 200 < shown["remaining_s"] <= 300
    assert steer(simulator, "scenario", "clear").out == "scenario: none\n"
    assert steer(simulator, "scenario", "--format=json").out == "null\n"
    assert status(simulator) == 200


def test_a_scenario_without_a_duration_lasts_until_it_is_cleared(simulator: SimulatorProcess) -> None:
    assert "until it is cleared" in steer(simulator, "scenario", "unapproved").out
    assert status(simulator) == 422


def test_a_scenario_outlives_the_command_and_ends_by_itself(simulator: SimulatorProcess) -> None:
    assert steer(simulator, "scenario", "revoked-token", "0.5s").status == 0
    assert eventually(lambda: status(simulator) == 200, seconds=30)


def test_conditions_are_set_and_the_others_stay(simulator: SimulatorProcess) -> None:
    said = steer(simulator, "set", "--index-lag", 20, "--latency-ms", 1)
    assert said.status == 0
    assert "latency_ms 1, index_lag_s 20" in said.out
    changed = steer(simulator, "set", "--rate", 50, "--retry-after", "yes", "--format=json").json[
        "conditions"
    ]
    assert (changed["index_lag_s"], changed["rate_per_s"], changed["rate_retry_after"]) == (20, 50, True)
    assert steer(simulator, "set", "--retry-after", "no", "--index-lag", 0, "--format=json").json[
        "conditions"
    ] == {
        **changed,
        "index_lag_s": 0,
        "rate_retry_after": False,
    }


@pytest.mark.parametrize(
    ("arguments", "exit_status", "words"),
    [
        (["faults", "set", "bad-luck"], 1, "blind"),
        (["scenario", "holiday"], 2, "outage"),
        (["scenario", "outage", "soon"], 2, "1h30m"),
        (["scenario", "outage", "0s"], 2, "1h30m"),
        (["scenario", "clear", "5m"], 2, "no duration"),
        (["set"], 2, "nothing to set"),
        (["set", "--latency-ms", "-5"], 1, "must not be negative"),
        (["--port", "9", "faults", "show"], 2, "come after it"),
        (["faults", "show", "--url", "ftp://x"], 1, "it must be like"),
        (["weather"], 2, "weather"),
    ],
)
def test_what_makes_no_sense_is_explained(
    arguments: list[str], exit_status: int, words: str, simulator: SimulatorProcess
) -> None:
    said = steer(simulator, *arguments)
    assert said.status == exit_status
    assert words in said.err
    assert "Traceback" not in said.err


def test_a_missing_or_wrong_token_is_explained_and_never_printed(simulator: SimulatorProcess) -> None:
    for token in ({}, {"ATUM_SIMULATOR_CONTROL_TOKEN": "guess"}):
        said = run("simulator", "faults", "show", "--url", simulator.url, **token)
        assert said.status == 1
        assert "ATUM_SIMULATOR_CONTROL_TOKEN" in said.err
        assert "guess" not in said.err


def test_a_simulator_that_is_not_there_is_explained() -> None:
    said = run("simulator", "scenario", "--url", "http://127.0.0.1:1", ATUM_SIMULATOR_CONTROL_TOKEN="t")
    assert said.status == 1
    assert "start it with `atum-mailer simulator`" in said.err


@contextmanager
def started(*arguments: str) -> Iterator[list[str]]:
    """Run the command itself; give the URLs that it prints."""
    command = [sys.executable, "-m", "atum_ops.simulator", "--port", "0", *arguments]
    environment = {**os.environ, "ATUM_SIMULATOR_CONTROL_TOKEN": "t"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr is not None
        try:
            yield [process.stderr.readline().split()[-1] for _ in range(1 + len(arguments) // 2)]
        finally:
            process.terminate()


def test_without_a_control_port_refusing_needs_a_duration_and_ends_by_itself() -> None:
    with started() as (url,):
        there = {"ATUM_SIMULATOR_URL": url, "ATUM_SIMULATOR_CONTROL_TOKEN": "t"}
        said = run("simulator", "scenario", "refused", **there)
        assert said.status == 1
        assert "needs a duration" in said.err
        # Long enough to be seen by a machine that stands still in between.
        assert run("simulator", "scenario", "refused", "6s", **there).status == 0
        assert eventually(lambda: "nothing listens" in run("simulator", "scenario", **there).err)
        assert eventually(lambda: run("simulator", "scenario", **there).out == "scenario: none\n", seconds=30)


def test_a_control_port_answers_while_connections_are_refused() -> None:
    with started("--control-port", "0") as (url, control_url):
        there = {"ATUM_SIMULATOR_URL": control_url, "ATUM_SIMULATOR_CONTROL_TOKEN": "t"}
        assert run("simulator", "scenario", "refused", **there).status == 0
        assert eventually(lambda: refuses(url))
        assert "until it is cleared" in run("simulator", "scenario", **there).out
        assert run("simulator", "scenario", "clear", **there).status == 0
        assert eventually(lambda: not refuses(url))
        assert httpx.get(f"{control_url}/server", headers=HEADERS, timeout=30).status_code == 403


def refuses(url: str) -> bool:
    try:
        httpx.get(url, timeout=30)
    except httpx.ConnectError:
        return True
    except httpx.TransportError:
        # Taken just before the port was closed.
        return False
    return False


def test_a_port_that_is_taken_is_explained_in_one_line(simulator: SimulatorProcess) -> None:
    said = run("simulator", "--port", simulator.url.rpartition(":")[2])
    assert said.status == 1
    assert "in use" in said.err
    assert "Traceback" not in said.err
