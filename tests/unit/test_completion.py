"""Shells complete our commands and options."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from atum_ops.cli import cli


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_each_shell_asks_the_program(shell: str) -> None:
    answer = CliRunner().invoke(cli, ["completion", shell], prog_name="atum-mailer")
    assert answer.exit_code == 0
    assert f"_ATUM_MAILER_COMPLETE={shell}_complete" in answer.output
    assert "atum-mailer" in answer.output


def test_another_shell_is_wrong_usage() -> None:
    assert CliRunner().invoke(cli, ["completion", "tcsh"]).exit_code == 2


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("atum-mailer que", {"queue"}),
        ("atum-mailer queue pu", {"purge"}),
        ("atum-mailer queue purge --older", {"--older-than"}),
        ("atum-mailer completion ", {"bash", "zsh", "fish"}),
        ("atum-mailer queue status --format ", {"table", "json"}),
    ],
)
def test_the_program_answers_what_bash_asks(words: str, expected: set[str]) -> None:
    parts = words.split(" ")
    asked = {"_ATUM_MAILER_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(len(parts) - 1)}
    command = [str(Path(sys.executable).with_name("atum-mailer"))]
    done = subprocess.run(command, env={**os.environ, **asked}, capture_output=True, text=True, check=True)
    assert {line.partition(",")[2] for line in done.stdout.splitlines()} == expected


def test_bash_reads_the_script() -> None:
    bash = shutil.which("bash")
    assert bash is not None
    script = CliRunner().invoke(cli, ["completion", "bash"], prog_name="atum-mailer").output
    subprocess.run([bash, "-n"], input=script, text=True, check=True)
