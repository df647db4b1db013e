"""promtool and amtool, and the committed files that they look at. A tool that is missing is an error, never a skip."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from atum_ops.stack.packages import PROMETHEUS_PACKAGES, remedy
from atum_schema import settings
from atum_schema.encryption import new_key

if TYPE_CHECKING:
    from atum_schema.settings import Settings

HERE = Path(__file__).parent
DEPLOY = HERE.parents[1] / "deploy"
RULES = DEPLOY / "prometheus" / "atum-mailer.rules.yml"
PROMETHEUS = DEPLOY / "prometheus" / "prometheus.yml"
ALERTMANAGER = DEPLOY / "alertmanager" / "alertmanager.yml"
TESTS = tuple(sorted(HERE.glob("*_test.yml")))


def run(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run one of the tools to its end."""
    found = shutil.which(program)
    assert found is not None, remedy([PROMETHEUS_PACKAGES[program]])
    # amtool reads a file of the user's otherwise; and there is memory enough to collect garbage more seldom.
    environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": "/nonexistent", "GOGC": "400"}
    return subprocess.run(
        [found, *map(str, arguments)], capture_output=True, text=True, check=False, env=environment
    )


def said(done: subprocess.CompletedProcess[str]) -> str:
    """Give all that a tool has said."""
    return done.stdout + done.stderr


def groups(path: Path = RULES) -> list[dict[str, Any]]:
    """Read the groups of a rules file."""
    loaded: list[dict[str, Any]] = yaml.safe_load(path.read_text())["groups"]
    return loaded


def made_with(**values: Any) -> Settings:
    """Give the default settings with these on top, whatever the environment says."""
    return settings.load(content_keys=new_key("test"), database_url="postgresql://", **values)
