"""Directories for private servers: in memory where there is room, so that no test waits for a disk.

A server in memory does all that it does on a disk, fsync included, and keeps its data when it is killed. Only a machine that
loses power could tell the difference, and no test makes it do that.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MEMORY = Path("/dev/shm")  # noqa: S108 - a place, not a file that somebody could have put there
PREFIX = "atum-test-"
#: Bytes that must be free, for the servers of several processes of pytest at once.
ROOM = 2 << 30
YOUNG_SECONDS = 60


@contextmanager
def directory_in_memory() -> Iterator[Path]:
    """A temporary directory in memory, or else where temporary files are, removed at the end."""
    parent = MEMORY if has_room(MEMORY) else None
    if parent is not None:
        remove_deserted(parent)
    directory = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    held = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield directory
    finally:
        shutil.rmtree(directory)
        os.close(held)


def has_room(memory: Path) -> bool:
    """Whether this is a file system that could take `ROOM` bytes, of memory that nobody needs."""
    try:
        free = shutil.disk_usage(memory).free
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
    except OSError:
        return False
    available = next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), 0)
    return min(free, available) >= ROOM


def remove_deserted(parent: Path) -> None:
    """Remove what processes left behind that were killed: memory is not freed by their end."""
    for directory in parent.glob(f"{PREFIX}*"):
        # Gone meanwhile, held by its process, or another user's.
        with suppress(OSError):
            if time.time() - directory.stat().st_ctime > YOUNG_SECONDS and _is_deserted(directory):
                shutil.rmtree(directory)


def _is_deserted(directory: Path) -> bool:
    """Whether no process holds the directory any more; the kernel lets go of a lock when its process ends."""
    held = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(held)
    return True
