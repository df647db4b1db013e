"""Where PostgreSQL and RabbitMQ are installed on this machine."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

_POSTGRES_PROGRAMS = ("postgres", "initdb")


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where to look: the search path and the directories below which distributions install versions."""

    path: str
    postgres_root: Path = Path("/usr/lib/postgresql")
    rabbit_root: Path = Path("/usr/lib/rabbitmq")


def usual_places() -> Places:
    """Give the places of this process' environment and of Debian's packages."""
    return Places(path=os.environ.get("PATH", os.defpath))


def find_postgres(places: Places) -> Path | None:
    """Find the directory that holds both `postgres` and `initdb`.

    In this order: the search path (links followed), the newest of Debian's versions, `pg_config --bindir`.
    """
    candidates = [
        *_postgres_in_path(places),
        *_newest_first(places.postgres_root, "*/bin"),
        *_pg_config(places),
    ]
    return next((found for found in candidates if _holds(found, _POSTGRES_PROGRAMS)), None)


def find_rabbit(places: Places) -> Path | None:
    """Find the directory that holds RabbitMQ's own `rabbitmq-server` and `rabbitmqctl`.

    Debian's commands in /usr/sbin are wrappers that switch to the system's user and directory, so the
    newest installed version comes first and the search path only where there is none.
    """
    names = ("rabbitmq-server", "rabbitmqctl", "rabbitmq-env")
    candidates = _newest_first(places.rabbit_root, "lib/rabbitmq_server-*/sbin")
    if in_path := shutil.which("rabbitmq-server", path=places.path):
        candidates.append(Path(in_path).resolve().parent)
    return next((found for found in candidates if _holds(found, names)), None)


def _postgres_in_path(places: Places) -> list[Path]:
    found = shutil.which("postgres", path=places.path)
    return [] if found is None else [Path(found).resolve().parent]


def _pg_config(places: Places) -> list[Path]:
    program = shutil.which("pg_config", path=places.path)
    if program is None:
        return []
    answer = subprocess.run([program, "--bindir"], capture_output=True, text=True, check=False)
    return [Path(answer.stdout.strip())] if answer.returncode == 0 else []


def _newest_first(root: Path, pattern: str) -> list[Path]:
    return sorted(root.glob(pattern), key=_version_of, reverse=True)


def _version_of(path: Path) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", str(path)))


def _holds(directory: Path, programs: tuple[str, ...]) -> bool:
    return all(os.access(directory / program, os.X_OK) for program in programs)
