"""`demo`: the system that it leaves running can be worked on with what it prints."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.command_line import run, without_ours

if TYPE_CHECKING:
    from pathlib import Path

_ANSWER_S = 120.0


def test_commands_work_on_the_running_demo_with_the_settings_that_it_prints(
    database_url: str, amqp_url: str, tmp_path: Path
) -> None:
    demo = subprocess.Popen(
        [sys.executable, "-m", "atum_ops", "demo", "--mails", "20", "--directory", str(tmp_path)],
        env={**without_ours(os.environ), "ATUM_DATABASE_URL": database_url, "ATUM_AMQP_URL": amqp_url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert demo.stdout is not None
        said: list[str] = []
        for line in demo.stdout:
            said.append(line)
            if line.startswith("Ctrl-C ends"):
                break
        exports = dict(re.findall(r"^  export (\w+)=(.*)$", "".join(said), re.MULTILINE))
        settings = {name: shlex.split(value)[0] for name, value in exports.items()}
        assert "  atum-mailer queue status\n" in said
        answers = [
            run(*command, **settings)
            for command in (
                ["queue", "status"],
                ["keys", "status"],
                ["test-send", "you@example.com", "--from", "shop@example.com", "--timeout", "30s"],
                ["simulator", "faults", "show"],
            )
        ]
        assert [(answer.status, answer.err) for answer in answers if answer.status != 0] == []
    finally:
        demo.send_signal(signal.SIGTERM)
        _, err = demo.communicate(timeout=_ANSWER_S)
    assert (demo.returncode, "stopping" in err, "Traceback" in err) == (0, True, False)
