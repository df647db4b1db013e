"""Scenarios and tuning on a running simulator: what clients see, what is true, and that everything comes back."""

from __future__ import annotations

import socket
import time
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from atum_ops.simulator.config import SimulatorConfig
from atum_ops.simulator.faults import FaultPlan
from atum_ops.simulator.presets import preset
from atum_ops.simulator.process import SimulatorProcess
from atum_ops.simulator.scenarios import SCENARIOS
from atum_schema.errors import SettingsError, StackError
from tests.no_tls import NO_TLS
from tests.nodes import eventually
from tests.simulating import HEADERS

MAIL: dict[str, Any] = {"From": "a@example.com", "To": "b@example.org", "TextBody": "x"}
SEARCH = "/messages/outbound?count=9&offset=0"
#: Seconds after which it is known that there is no answer; only for who may wait in vain.
IMPATIENT = 0.5


@pytest.fixture
def simulator(shared: SimulatorProcess) -> SimulatorProcess:
    shared.set_faults(FaultPlan())
    shared.reset()
    assert eventually(lambda: sends(shared))
    shared.reset()
    return shared


def outcome(
    simulator: SimulatorProcess, client: httpx.Client | None = None, *, patience_s: float = 30.0
) -> str:
    """Send one mail; give what its sender sees."""
    if client is None:
        with httpx.Client(base_url=simulator.url, verify=NO_TLS) as alone:
            return outcome(simulator, alone, patience_s=patience_s)
    try:
        response = client.post(
            "/email", json=MAIL, headers=HEADERS, timeout=httpx.Timeout(30, read=patience_s)
        )
    except httpx.TransportError as error:
        return type(error).__name__
    return str(response.status_code)


def sends(simulator: SimulatorProcess) -> bool:
    return outcome(simulator) == "200"


def left_s(simulator: SimulatorProcess) -> float | None:
    left: float | None = simulator.status()["scenario"]["remaining_s"]
    return left


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("refused", {"ConnectError"}),
        ("reset", {"ReadError", "WriteError", "RemoteProtocolError"}),
        ("stalled", {"ReadTimeout"}),
        ("revoked-token", {"401"}),
        ("unapproved", {"422"}),
    ],
)
def test_a_scenario_lasts_until_it_is_cleared_and_accepts_nothing(
    name: str, seen: set[str], simulator: SimulatorProcess
) -> None:
    patience_s = IMPATIENT if name == "stalled" else 30.0
    simulator.scenario(name)
    assert eventually(lambda: outcome(simulator, patience_s=patience_s) in seen)
    assert {outcome(simulator, patience_s=patience_s) for _ in range(3)} <= seen
    assert left_s(simulator) is None
    assert list(simulator.ledger()) == []
    simulator.clear_scenario()
    assert eventually(lambda: sends(simulator))
    assert simulator.status()["scenario"] is None
    assert simulator.summary().accepted == 1


@pytest.mark.parametrize("name", ["refused", "reset"])
def test_a_kept_alive_connection_is_broken_too(
    name: str, simulator: SimulatorProcess, client: httpx.Client
) -> None:
    assert outcome(simulator, client) == "200"
    simulator.scenario(name)
    assert eventually(lambda: outcome(simulator, client) != "200")
    assert simulator.summary().accepted >= 1
    simulator.clear_scenario()
    assert eventually(lambda: outcome(simulator, client) == "200")


def test_refusing_breaks_requests_in_flight_before_they_are_accepted(simulator: SimulatorProcess) -> None:
    simulator.tune(latency_ms=20_000)
    address = urlsplit(simulator.url)
    with socket.create_connection((str(address.hostname), address.port or 0), timeout=30) as raw:
        lines = ["POST /email HTTP/1.1", *[f"{name}: {value}" for name, value in HEADERS.items()]]
        body = '{"From": "a@example.com", "To": "b@example.org", "TextBody": "x"}'
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}", "", body]
        raw.sendall("\r\n".join(lines).encode())
        assert eventually(lambda: simulator.summary().sends == 1)
        simulator.scenario("refused", 0.5)
        with pytest.raises(ConnectionResetError):
            raw.recv(1)
    assert simulator.summary().accepted == 0


def test_a_stalled_connection_takes_nothing_however_much_is_written(simulator: SimulatorProcess) -> None:
    simulator.scenario("stalled", 60)
    address = urlsplit(simulator.url)
    with socket.create_connection((str(address.hostname), address.port or 0), timeout=1) as raw:
        with pytest.raises(TimeoutError):
            raw.sendall(b"\x16\x03\x01" + b"x" * 100_000_000)
        raw.settimeout(30)
        simulator.clear_scenario()
        with pytest.raises(ConnectionResetError):
            raw.recv(1)


def test_a_scenario_ends_by_itself_and_what_was_before_is_back(simulator: SimulatorProcess) -> None:
    simulator.set_faults(preset("503"))
    simulator.tune(index_lag_s=7)
    simulator.scenario("revoked-token", 60)
    left = left_s(simulator)
    assert left is not None
    assert 0 < left <= 60
    assert outcome(simulator) == "401"
    started = time.monotonic()
    simulator.scenario("revoked-token", 1.0)
    assert eventually(lambda: simulator.status()["scenario"] is None)
    assert time.monotonic() - started >= 0.9
    assert outcome(simulator) == "503"
    status = simulator.status()
    assert [rule["kind"] for rule in status["faults"]["rules"]] == ["503"]
    assert status["conditions"]["index_lag_s"] == 7


def test_a_refusal_ends_by_itself_on_the_same_port(simulator: SimulatorProcess) -> None:
    # Long enough to be seen by a machine that stands still in between.
    simulator.scenario("refused", 5.0)
    assert eventually(lambda: outcome(simulator) == "ConnectError")
    assert eventually(lambda: sends(simulator), seconds=30)


def test_a_scenario_replaces_the_one_before_with_its_time(simulator: SimulatorProcess) -> None:
    simulator.scenario("refused", 0.5)
    simulator.scenario("refused", 60)
    simulator.scenario("outage", 60)
    simulator.scenario("search-down", 60)
    assert eventually(lambda: sends(simulator))
    time.sleep(0.7)
    assert sends(simulator)
    left = left_s(simulator)
    assert left is not None
    assert left > 30


def test_faults_and_tuning_during_a_scenario_show_when_it_is_over(simulator: SimulatorProcess) -> None:
    simulator.scenario("unapproved")
    simulator.set_faults(preset("503"))
    simulator.tune(latency_ms=1)
    assert outcome(simulator) == "422"
    assert simulator.summary().faults == {"item_413": 1}
    simulator.clear_scenario()
    assert outcome(simulator) == "503"
    assert simulator.summary().faults == {"item_413": 1, "503": 1}


def test_in_an_outage_everything_fails_in_several_ways_and_nothing_is_accepted(
    simulator: SimulatorProcess,
) -> None:
    simulator.scenario("outage")
    seen: set[str] = set()

    def all_ways() -> bool:
        seen.add(outcome(simulator, patience_s=IMPATIENT))
        return seen >= {"503", "502", "ReadError", "ConnectError"}

    assert eventually(all_ways, seconds=60)
    assert "200" not in seen
    assert simulator.summary().accepted == 0


def test_in_a_brownout_some_requests_fail_and_some_do_not(simulator: SimulatorProcess) -> None:
    simulator.scenario("brownout")
    simulator.tune(latency_ms=0)
    assert simulator.status()["conditions"]["latency_ms"] == 300

    def both() -> bool:
        outcome(simulator, patience_s=IMPATIENT)
        summary = simulator.summary()
        return summary.accepted > 0 and sum(summary.faults.values()) > 0

    assert eventually(both, seconds=120)


def test_slow_means_a_long_tail(simulator: SimulatorProcess, client: httpx.Client) -> None:
    simulator.scenario("slow")
    started = time.monotonic()
    assert client.post("/email", json=MAIL).status_code == 200
    assert time.monotonic() - started >= 0.5
    assert simulator.status()["conditions"]["latency_tail"] == 2.0


def test_searches_can_be_down_or_lag_while_sending_works(
    simulator: SimulatorProcess, client: httpx.Client
) -> None:
    simulator.scenario("search-down")
    assert outcome(simulator) == "200"
    assert client.get(SEARCH).status_code == 503
    simulator.scenario("search-lag")
    assert client.get(SEARCH).json()["TotalCount"] == 0
    simulator.clear_scenario()
    assert client.get(SEARCH).json()["TotalCount"] == 1


def test_the_index_lag_can_be_changed_while_it_runs(
    simulator: SimulatorProcess, client: httpx.Client
) -> None:
    client.post("/email", json=MAIL)
    simulator.tune(index_lag_s=3600)
    assert client.get(SEARCH).json()["TotalCount"] == 0
    simulator.tune(index_lag_s=0.5)
    assert eventually(lambda: client.get(SEARCH).json()["TotalCount"] == 1)
    assert time.time() >= next(simulator.ledger()).accepted_at + 0.5


def test_the_latency_can_be_changed_while_it_runs(simulator: SimulatorProcess, client: httpx.Client) -> None:
    simulator.tune(latency_ms=200, latency_per_item_ms=100)
    started = time.monotonic()
    assert client.post("/email/batch", json=[MAIL, MAIL]).status_code == 200
    assert time.monotonic() - started >= 0.4


@pytest.mark.parametrize("retry_after", [True, False])
def test_the_rate_limit_lets_a_burst_through_and_then_says_how_long_to_wait(
    retry_after: bool, simulator: SimulatorProcess, client: httpx.Client
) -> None:
    simulator.tune(rate_per_s=0.01, rate_burst=3, rate_retry_after=retry_after)
    assert [client.post("/email", json=MAIL).status_code for _ in range(3)] == [200] * 3
    refused = client.post("/email", json=MAIL)
    assert (refused.status_code, refused.json()["ErrorCode"]) == (429, 429)
    assert ("Retry-After" in refused.headers) == retry_after
    if retry_after:
        # Less by the time since the first one.
        assert 50 < int(refused.headers["Retry-After"]) <= 100
    summary = simulator.summary()
    assert (summary.accepted, summary.sends, summary.limited) == (3, 4, 1)
    simulator.tune(rate_per_s=0)
    assert client.post("/email", json=MAIL).status_code == 200


def test_an_empty_bucket_fills_up_again(simulator: SimulatorProcess, client: httpx.Client) -> None:
    simulator.tune(rate_per_s=4, rate_burst=1)
    assert client.post("/email", json=MAIL).status_code == 200
    assert eventually(lambda: client.post("/email", json=MAIL).status_code == 200)
    first, second = simulator.ledger()
    assert second.accepted_at - first.accepted_at >= 0.2


def test_an_idle_connection_is_closed_by_the_server(simulator: SimulatorProcess) -> None:
    address = urlsplit(simulator.url)
    with socket.create_connection((str(address.hostname), address.port or 0), timeout=30) as raw:
        for idle_s in (60.0, 0.3):
            simulator.tune(idle_s=idle_s)
            asked = time.monotonic()
            raw.sendall(b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n")
            assert raw.recv(65536).startswith(b"HTTP/1.1 404")
        assert raw.recv(1) == b""
        assert time.monotonic() - asked >= 0.25


@pytest.mark.parametrize(
    ("name", "seconds", "words"),
    [("holiday", 5, "outage"), ("outage", 0, "more than 0"), ("outage", -1, "more than 0")],
)
def test_a_scenario_that_makes_no_sense_is_refused(
    name: str, seconds: float, words: str, simulator: SimulatorProcess
) -> None:
    with pytest.raises(SettingsError, match=words):
        simulator.scenario(name, seconds)
    assert simulator.status()["scenario"] is None


def test_conditions_that_make_no_sense_are_refused_and_change_nothing(simulator: SimulatorProcess) -> None:
    with pytest.raises(SettingsError, match="colour"):
        simulator.tune(latency_ms=5, colour=1)
    with pytest.raises(SettingsError, match="latency_ms"):
        simulator.tune(latency_ms=-5)
    assert simulator.status()["conditions"]["latency_ms"] == 0


def test_a_reset_ends_the_scenario_and_the_tuning() -> None:
    with SimulatorProcess(SimulatorConfig(index_lag_s=3)) as simulator:
        simulator.tune(index_lag_s=9, latency_ms=1)
        simulator.scenario("revoked-token")
        simulator.reset()
        status = simulator.status()
        assert (status["scenario"], status["conditions"]["index_lag_s"]) == (None, 3)
        assert status["conditions"]["latency_ms"] == 0
        assert sends(simulator)


def test_a_simulator_stops_and_starts_again_whatever_is_played() -> None:
    with SimulatorProcess() as simulator:
        for name in SCENARIOS:
            simulator.scenario(name)
            process = simulator._process
            simulator.restart()
            # It has ended by itself, and was not killed.
            assert process is not None
            assert process.returncode == 0
            assert sends(simulator)
            assert simulator.status()["scenario"] is None


def test_a_simulator_that_does_not_run_is_reported() -> None:
    simulator = SimulatorProcess()
    with pytest.raises(StackError, match="not started"):
        simulator.clear_scenario()
    with simulator:
        pass
    with pytest.raises(StackError, match="nothing listens"):
        simulator.summary()
