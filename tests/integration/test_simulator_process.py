"""The simulator as a process: start, stop, restart, and what it leaves behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from atum_ops.simulator.config import SimulatorConfig
from atum_ops.simulator.faults import FaultKind, FaultPlan, FaultRule
from atum_ops.simulator.process import SimulatorProcess
from atum_schema.errors import SettingsError, StackError
from tests.simulating import HEADERS

MAIL: dict[str, Any] = {
    "From": "a@example.com",
    "To": "b@example.org",
    "TextBody": "x",
    "Metadata": {"atum-mail": "1"},
}


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until_gone(pid: int) -> bool:
    deadline = time.monotonic() + 60
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not alive(pid)


def test_a_killed_simulator_finds_its_ledger_again_on_the_same_port(tmp_path: Path) -> None:
    with SimulatorProcess(SimulatorConfig(ledger_path=tmp_path / "ledger")) as simulator:
        url = simulator.url
        httpx.post(f"{url}/email/batch", json=[MAIL, MAIL], headers=HEADERS, timeout=30).raise_for_status()
        before = list(simulator.ledger())
        simulator.kill()
        with pytest.raises(httpx.ConnectError):
            httpx.get(url, timeout=30)
        simulator.start()
        assert simulator.url == url
        assert list(simulator.ledger()) == before
        summary = simulator.summary()
        assert (summary.accepted, summary.duplicates) == (2, 1)
        found = httpx.get(f"{url}/messages/outbound?count=9&offset=0", headers=HEADERS, timeout=30).json()
        assert found["TotalCount"] == 2
        simulator.restart()
        assert list(simulator.ledger()) == before


def test_it_stops_at_sigterm_and_leaves_neither_process_nor_descriptor() -> None:
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    with SimulatorProcess() as simulator:
        pid = simulator.pid
        assert pid is not None
        assert alive(pid)
    assert not alive(pid)
    # Fewer where garbage was found meanwhile.
    assert len(list(Path("/proc/self/fd").iterdir())) <= descriptors
    assert simulator.pid is None


def test_it_stops_while_an_answer_hangs() -> None:
    plan = FaultPlan(rules=(FaultRule(kind=FaultKind.HANG_AFTER),))
    with SimulatorProcess(SimulatorConfig(faults=plan)) as simulator:
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(
                f"{simulator.url}/email", json=MAIL, headers=HEADERS, timeout=httpx.Timeout(30, read=0.3)
            )
        process = simulator._process
        simulator.stop()
        # It has ended by itself, and was not killed.
        assert process is not None
        assert process.returncode == 0


def test_it_ends_with_the_process_that_started_it() -> None:
    script = (
        "import sys, time\n"
        "from atum_ops.simulator.process import SimulatorProcess\n"
        "simulator = SimulatorProcess()\n"
        "simulator.start()\n"
        "print(simulator.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert alive(pid)
        parent.send_signal(signal.SIGKILL)
    assert wait_until_gone(pid)


def test_a_port_that_is_taken_is_reported_with_the_reason() -> None:
    with SimulatorProcess() as first:
        second = SimulatorProcess(SimulatorConfig(port=first.config.port))
        with pytest.raises(StackError, match="in use"):
            second.start()
        assert second.pid is None


def test_tokens_are_not_on_the_command_line() -> None:
    with SimulatorProcess() as simulator:
        command = Path(f"/proc/{simulator.pid}/cmdline").read_bytes().decode()
        assert simulator.config.control_token not in command
        assert simulator.config.token not in command


def test_the_command_line_sets_everything_up(tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    plan.write_bytes(
        orjson.dumps(FaultPlan(rules=(FaultRule(kind=FaultKind.MAINTENANCE, nth=2),)).to_document())
    )
    command = [sys.executable, "-m", "atum_ops.simulator", "--port", "0", "--faults", str(plan)]
    command += ["--stream", "receipts", "--stream", "news:Broadcasts", "--signatures", "example.com"]
    tokens = {"ATUM_SIMULATOR_TOKEN": "t0", "ATUM_SIMULATOR_CONTROL_TOKEN": "c0"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | tokens) as process:
        assert process.stderr is not None
        url = process.stderr.readline().split()[-1]
        headers = HEADERS | {"X-Postmark-Server-Token": "t0"}
        try:
            answers = [
                httpx.post(f"{url}/email", json={**MAIL, **change}, headers=headers, timeout=30).json()[
                    "ErrorCode"
                ]
                for change in (
                    {"MessageStream": "receipts"},
                    {},
                    {"From": "a@example.net"},
                    {"MessageStream": "x"},
                )
            ]
            summary = httpx.get(
                f"{url}/_control/summary", headers={"X-Control-Token": "c0"}, timeout=30
            ).json()
        finally:
            process.terminate()
    assert process.returncode == 0
    assert answers == [0, 100, 400, 1235]
    assert (summary["accepted"], summary["faults"]) == (1, {"503": 1})


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--faults", "bad-luck"], "bad-luck"),
        (["--latency-ms", "-1"], "latency_ms is -1.0"),
        (["--stream", "a:Strange"], "Strange"),
    ],
)
def test_a_wrong_option_is_explained(arguments: list[str], words: str) -> None:
    command = [sys.executable, "-m", "atum_ops.simulator", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert words in done.stderr


def test_a_configuration_survives_the_way_through_json(tmp_path: Path) -> None:
    config = SimulatorConfig(
        faults="default", seed=3, ledger_path=tmp_path / "l", signatures=frozenset({"a.org"})
    )
    again = SimulatorConfig.from_document(orjson.loads(orjson.dumps(config.to_document())))
    assert again.plan() == config.plan()
    assert again.to_document() == config.to_document()
    with pytest.raises(SettingsError, match="colour"):
        SimulatorConfig.from_document({"colour": "red"})
    assert config.control_token not in repr(config)
