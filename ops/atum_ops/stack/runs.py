"""One directory per run, removed by the next run when its own could not do it."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOCK = "lock"
_ELSEWHERE = "elsewhere-"


@contextmanager
def run_directory(parent: Path) -> Iterator[Path]:
    """Give a new directory `run-PID-…` in `parent`; remove it, and those that dead runs left, at the end.

    A run is alive while it holds the lock on a file in its directory: unlike process ids, locks are not
    reused and mean the same in every container that shares the directory.
    """
    parent.mkdir(parents=True, exist_ok=True)
    with _locked(parent / _LOCK):
        _remove_dead_runs(parent)
        directory = Path(tempfile.mkdtemp(prefix=f"run-{os.getpid()}-", dir=parent))
        # A server that runs as another user must pass through.
        directory.chmod(0o755)
        alive = (directory / _LOCK).open("w")
        fcntl.flock(alive, fcntl.LOCK_EX)
    with alive:
        try:
            yield directory
        finally:
            _remove(directory)


def note_elsewhere(run: Path, place: Path) -> None:
    """Remember a directory outside the run's own, to be removed with it."""
    if not place.is_relative_to(run.resolve()):
        (run / f"{_ELSEWHERE}{place.name}").symlink_to(place, target_is_directory=True)


def _remove_dead_runs(parent: Path) -> None:
    for directory in parent.glob("run-*"):
        try:
            with _locked(directory / _LOCK, wait=False):
                _remove(directory)
        except BlockingIOError:
            continue


@contextmanager
def _locked(path: Path, *, wait: bool = True) -> Iterator[IO[str]]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield file


def _remove(directory: Path) -> None:
    for link in directory.glob(f"{_ELSEWHERE}*"):
        if link.exists():
            shutil.rmtree(link.resolve())
    shutil.rmtree(directory)
