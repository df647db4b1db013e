"""The guard: nothing that we start outlives us, whoever dies first and however."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from atum_ops.stack.process import GuardedProcess
from atum_schema.errors import StackError
from tests.nodes import all_gone, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

# A server with a child, and a daemon that left its session.
FAMILY = "sleep 600 & setsid sh -c 'sleep 600 & wait' & echo ready >> up; wait"

PARENT = """
import os, signal, sys, time
from pathlib import Path
from atum_ops.stack.process import GuardedProcess
here = Path(sys.argv[1])
process = GuardedProcess(["sh", "-c", sys.argv[2]], directory=here, environment=os.environ, log=here / "log")
while not (here / "up").exists() or len(process.tree()) < 4:
    time.sleep(0.01)
print(*process.tree(), process._guard.pid, flush=True)
os.kill(os.getpid(), getattr(signal, sys.argv[3]))
"""


def run(script: str, directory: Path) -> GuardedProcess:
    return GuardedProcess(
        ["sh", "-c", script], directory=directory, environment=os.environ, log=directory / "log"
    )


@pytest.fixture
def family(tmp_path: Path) -> Iterator[GuardedProcess]:
    process = run(FAMILY, tmp_path)
    try:
        assert eventually(lambda: len(process.tree()) == 4)
        yield process
    finally:
        process.kill()


def test_a_kill_reaches_children_and_those_who_left_the_session(family: GuardedProcess) -> None:
    processes = family.tree()
    family.kill()
    assert all_gone(processes)


def test_when_the_server_ends_its_daemons_end_too(family: GuardedProcess) -> None:
    processes = family.tree()
    family.signal(signal.SIGKILL)
    assert family.wait(60)
    assert all_gone(processes)


@pytest.mark.parametrize("death", ["SIGKILL", "SIGTERM", "SIGINT"])
def test_when_our_process_dies_all_of_it_dies(tmp_path: Path, death: str) -> None:
    parent = subprocess.run(
        [sys.executable, "-c", PARENT, str(tmp_path), FAMILY, death],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    assert parent.returncode == -getattr(signal, death)
    processes = [int(pid) for pid in parent.stdout.split()]
    assert len(processes) == 5
    assert eventually(lambda: all_gone(processes))


def test_a_server_outlives_the_thread_that_started_it(tmp_path: Path) -> None:
    started: list[GuardedProcess] = []
    thread = threading.Thread(target=lambda: started.append(run("sleep 600", tmp_path)))
    thread.start()
    thread.join()
    (process,) = started
    try:
        # Longer than the guard takes between two looks at its parent.
        assert not process.wait(0.6)
    finally:
        process.kill()


def test_freezing_stops_every_process_and_resuming_wakes_it(family: GuardedProcess) -> None:
    family.freeze()
    assert eventually(lambda: {_state(pid) for pid in family.tree()} == {"T"})
    family.resume()
    assert eventually(lambda: {_state(pid) for pid in family.tree()} == {"S"})
    family.freeze()
    family.kill()
    assert not family.running


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_a_program_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="no-such-program could not be executed"):
        GuardedProcess(["/no-such-program"], directory=tmp_path, environment=os.environ, log=tmp_path / "log")
    assert "FileNotFoundError" in (tmp_path / "log").read_text()
