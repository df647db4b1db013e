"""A short experiment keeps every promise, and one that is stopped leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import orjson

from atum_ops.chaos import plan, report
from atum_ops.chaos.run import run
from atum_ops.stack.guard import descendants
from tests.nodes import all_gone, eventually, open_directory

if TYPE_CHECKING:
    from pathlib import Path

STARTED_S = 90.0
DRAINED_S = 300.0


def test_nothing_is_lost_or_doubled_while_everything_is_killed(tmp_path: Path) -> None:
    said: list[str] = []
    with open_directory() as directory:
        outcome = run(directory, tmp_path, seed=7, duration=8, drain_s=DRAINED_S, say=said.append)
    assert outcome.verdict.findings == []
    assert outcome.verdict.evidence == []
    assert outcome.kills >= plan.LEAST_KILLS
    assert outcome.verdict.acknowledged > 0
    assert outcome.passed(acknowledged=1)
    document = report.as_document(outcome)
    assert (document["lost"], document["duplicates"], document["unexplained"]) == (0, 0, 0)
    assert orjson.loads(orjson.dumps(document)) == document


def test_an_experiment_that_is_stopped_leaves_no_process_and_no_file(tmp_path: Path) -> None:
    with open_directory() as directory:
        environment = {
            **os.environ,
            "TMPDIR": str(directory),
            "ATUM_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
        }
        log = tmp_path / "log"
        with log.open("wb") as output:
            child = subprocess.Popen(
                [sys.executable, "-m", "atum_ops", "chaos", "--seed", "3", "--directory", str(directory)],
                env=environment,
                stdout=output,
                stderr=output,
            )
        try:
            assert eventually(
                lambda: "disturbances in" in log.read_text() or child.poll() is not None, seconds=STARTED_S
            )
            assert child.poll() is None, log.read_text()
            pids = descendants(child.pid)
            child.send_signal(signal.SIGTERM)
            assert child.wait(STARTED_S) == 130
        finally:
            child.kill()
            child.wait()
        assert len(pids) > 10
        assert eventually(lambda: all_gone(pids))
        assert "ATUM_DATABASE_URL" in log.read_text()
        assert "nobody" not in log.read_text()
        assert [path.name for path in directory.iterdir() if path.name != "lock"] == []
