"""The packages of the Node.js programs, installed once from their lock file."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from functools import cache
from pathlib import Path

from atum_schema.errors import StackError

FOLDER = Path(__file__).parent / "node"
_MODULES = FOLDER / "node_modules"
_INSTALLED = _MODULES / ".installed"
_LOCK_FILE = FOLDER / "package-lock.json"
_INSTALL_S = 300


@cache
def program(name: str) -> list[str]:
    """Give the command that runs `node/<name>`, after its packages were installed.

    Raises StackError when Node.js is missing or the packages cannot be had.
    """
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise StackError("Node.js is not installed; on Debian or Ubuntu: apt-get install nodejs npm")
    with (FOLDER / "package.json").open() as lock:
        # Two test runs in one tree would remove each other's half of node_modules.
        fcntl.flock(lock, fcntl.LOCK_EX)
        _install(npm)
    return [node, str(FOLDER / name)]


def _install(npm: str) -> None:
    wanted = _LOCK_FILE.read_text()
    if _INSTALLED.exists() and _INSTALLED.read_text() == wanted:
        return
    done = subprocess.run(
        [npm, "ci", "--prefer-offline"],
        cwd=FOLDER,
        capture_output=True,
        text=True,
        timeout=_INSTALL_S,
        check=False,
    )
    if done.returncode != 0:
        raise StackError(f"npm could not install the packages of {FOLDER.name}: {done.stderr[-2000:]}")
    _INSTALLED.write_text(wanted)
