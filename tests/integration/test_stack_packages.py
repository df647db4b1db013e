"""Finding the servers, and installing them with apt-get (a stand-in script here)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from atum_ops.stack import ensure
from atum_ops.stack.find import Places, find_postgres, find_rabbit, usual_places
from atum_ops.stack.packages import how_to_install, install
from atum_schema.errors import StackError

if TYPE_CHECKING:
    from pathlib import Path

# Knows the packages only after an update, as a fresh container does.
APT_GET = """#!/bin/sh
echo "$DEBIAN_FRONTEND $*" >> {calls}
case "$1" in update) touch {lists};; install) test -e {lists};; esac
"""
SUDO = """#!/bin/sh
shift
exec env -i PATH="$PATH" "$@"
"""


def program(path: Path, text: str = "#!/bin/sh\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("user", [0, 1000])
def test_apt_get_runs_without_questions_and_updates_its_lists_only_when_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], user: int
) -> None:
    calls = tmp_path / "calls"
    program(tmp_path / "bin/apt-get", APT_GET.format(calls=calls, lists=tmp_path / "lists"))
    program(tmp_path / "bin/sudo", SUDO)
    monkeypatch.setattr(os, "geteuid", lambda: user)
    places = Places(path=str(tmp_path / "bin"))
    for _ in range(2):
        install(["postgresql", "rabbitmq-server"], places)
    wanted = "noninteractive install --yes --no-install-recommends postgresql rabbitmq-server"
    assert calls.read_text().splitlines() == [wanted, "noninteractive update", wanted, wanted]
    printed = capfd.readouterr().out.splitlines()
    assert [line.startswith("+ ") and "apt-get" in line for line in printed] == [True] * 4
    assert all(("sudo" in line) == (user != 0) for line in printed)


def test_node_and_prometheus_are_installed_too_where_the_tests_do_not_find_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = tmp_path / "calls"
    program(tmp_path / "apt-get", f"#!/bin/sh\necho $* >> {calls}\n")
    (tmp_path / "env").symlink_to("/usr/bin/env")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert ensure.main() == 0
    packages = "nodejs npm prometheus prometheus-alertmanager"
    assert calls.read_text() == f"install --yes --no-install-recommends {packages}\n"
    for name in ("node", "npm", "prometheus", "promtool", "prometheus-alertmanager", "amtool"):
        program(tmp_path / name)
    assert ensure.main() == 0
    assert len(calls.read_text().splitlines()) == 1


def test_an_installation_that_fails_says_what_to_do_by_hand(tmp_path: Path) -> None:
    program(tmp_path / "apt-get", "#!/bin/sh\nexit 100\n")
    program(tmp_path / "sudo", SUDO)
    with pytest.raises(StackError, match="could not install postgresql") as caught:
        install(["postgresql"], Places(path=str(tmp_path)))
    assert "sudo apt-get install --no-install-recommends postgresql" in str(caught.value)


@pytest.mark.parametrize(
    ("apt_get", "root", "sudo"), [(None, True, "/sudo"), ("/apt-get", False, None), (None, False, None)]
)
def test_without_apt_get_or_rights_nothing_is_tried(
    apt_get: str | None, root: bool, sudo: str | None
) -> None:
    assert how_to_install(["postgresql"], apt_get=apt_get, root=root, sudo=sudo) is None


def test_the_newest_version_by_number_is_found_not_by_letter(tmp_path: Path) -> None:
    for version in ("9", "15", "16"):
        program(tmp_path / f"pg/{version}/bin/postgres")
        program(tmp_path / f"pg/{version}/bin/initdb")
    # Without initdb it is of no use.
    program(tmp_path / "pg/17/bin/postgres")
    for version in ("3.9.27", "3.10.8", "3.13.0"):
        for name in ("rabbitmq-server", "rabbitmqctl", "rabbitmq-env"):
            program(tmp_path / f"rabbit/lib/rabbitmq_server-{version}/sbin/{name}")
    places = Places(path="", postgres_root=tmp_path / "pg", rabbit_root=tmp_path / "rabbit")
    assert find_postgres(places) == tmp_path / "pg/16/bin"
    assert find_rabbit(places) == tmp_path / "rabbit/lib/rabbitmq_server-3.13.0/sbin"


def test_the_search_path_comes_first_for_postgres_and_pg_config_last(tmp_path: Path) -> None:
    for place in ("linked", "root/15/bin", "told"):
        for name in ("postgres", "initdb"):
            program(tmp_path / place / name)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/postgres").symlink_to(tmp_path / "linked/postgres")
    program(tmp_path / "config/pg_config", f"#!/bin/sh\necho {tmp_path / 'told'}\n")
    root, nothing = tmp_path / "root", tmp_path / "nothing"
    assert find_postgres(Places(path=str(tmp_path / "bin"), postgres_root=root)) == tmp_path / "linked"
    assert (
        find_postgres(Places(path=str(tmp_path / "config"), postgres_root=root)) == tmp_path / "root/15/bin"
    )
    assert find_postgres(Places(path=str(tmp_path / "config"), postgres_root=nothing)) == tmp_path / "told"
    assert find_postgres(Places(path="", postgres_root=nothing)) is None


def test_the_servers_of_this_machine_are_found() -> None:
    assert find_postgres(usual_places()) is not None
    assert find_rabbit(usual_places()) is not None
