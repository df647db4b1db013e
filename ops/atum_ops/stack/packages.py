"""Installing the servers, and what tests need besides, with apt-get, where that needs no password."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

from atum_schema.errors import StackError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from atum_ops.stack.find import Places

#: Debian's and Ubuntu's package names.
POSTGRES_PACKAGE = "postgresql"
RABBIT_PACKAGE = "rabbitmq-server"
#: The programs that the tests of Node.js clients need, each with its package.
NODE_PACKAGES = {"node": "nodejs", "npm": "npm"}
#: The programs that the tests of metrics and alerts need, each with its package.
PROMETHEUS_PACKAGES = {
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "prometheus-alertmanager": "prometheus-alertmanager",
    "amtool": "prometheus-alertmanager",
}


def how_to_install(
    packages: Sequence[str], *, apt_get: str | None, root: bool, sudo: str | None
) -> tuple[list[str], list[str]] | None:
    """Give two commands, to install the packages and to update the package lists, or None if there is no way.

    `apt_get` and `sudo` are the programs' paths, None where missing or, for sudo, where it asks a password.
    """
    if apt_get is None or not (root or sudo):
        return None
    # Through env(1), because sudo clears the environment.
    become = [] if root or sudo is None else [sudo, "--non-interactive"]
    prefix = [*become, "env", "DEBIAN_FRONTEND=noninteractive", apt_get]
    return [*prefix, "install", "--yes", "--no-install-recommends", *packages], [*prefix, "update"]


def install(packages: Sequence[str], places: Places) -> None:
    """Install Debian packages, printing each command first; apt-get update only if the first try fails.

    The packages may start system services on their usual ports; they are left alone and not used. Raises
    StackError with the command for people when apt-get is missing, root's rights are, or it fails.
    """
    by_hand = remedy(packages)
    apt_get = shutil.which("apt-get", path=places.path)
    root = os.geteuid() == 0
    commands = how_to_install(packages, apt_get=apt_get, root=root, sudo=None if root else _free_sudo(places))
    if commands is None:
        raise StackError(by_hand)
    install_them, update_lists = commands
    if not (_succeeds(install_them) or (_succeeds(update_lists) and _succeeds(install_them))):
        raise StackError(f"apt-get could not install {' and '.join(packages)}. {by_hand}")


def remedy(packages: Sequence[str]) -> str:
    """Say what a person should run, or set, when packages are missing."""
    said = (
        f"Not installed: {', '.join(packages)}. On Debian or Ubuntu run\n"
        f"    sudo apt-get install --no-install-recommends {' '.join(packages)}"
    )
    if not {POSTGRES_PACKAGE, RABBIT_PACKAGE}.isdisjoint(packages):
        said += "\nor name running servers with ATUM_DATABASE_URL and ATUM_AMQP_URL."
    return said


def _free_sudo(places: Places) -> str | None:
    sudo = shutil.which("sudo", path=places.path)
    if sudo is None:
        return None
    asked = subprocess.run([sudo, "--non-interactive", "true"], capture_output=True, check=False)
    return sudo if asked.returncode == 0 else None


def _succeeds(command: Sequence[str]) -> bool:
    print("+", " ".join(command), flush=True)
    return subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode == 0
