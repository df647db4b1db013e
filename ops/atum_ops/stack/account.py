"""Which user a server runs as, and directories that this user can reach.

PostgreSQL refuses to run as root ("The server must be started under an unprivileged user ID").
"""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from atum_schema.errors import StackError

_PREFERRED = ("postgres", "nobody")


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An unprivileged user."""

    name: str
    uid: int
    gid: int


def unprivileged() -> Account | None:
    """Give the user to drop to when we are root, or None when we are not. Raises StackError if there is none."""
    if os.geteuid() != 0:
        return None
    for name in _PREFERRED:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name=name, uid=entry.pw_uid, gid=entry.pw_gid)
    raise StackError(f"running as root, but there is no user {' or '.join(_PREFERRED)} to run PostgreSQL as")


def reachable(directory: Path, account: Account | None) -> Path:
    """Give `directory` (created if needed), or a new one in the system's temporary directory instead.

    The latter when `account` may not pass through a parent of it, as under a home directory with mode 0700.
    """
    directory.mkdir(parents=True, exist_ok=True)
    directory = directory.resolve()
    if account is None or all(_passable(parent, account) for parent in directory.parents):
        return directory
    return Path(tempfile.mkdtemp(prefix=f"atum-{directory.name}-"))


def hand_over(directory: Path, account: Account | None) -> None:
    """Make `account` the owner of a directory and of all in it."""
    if account is None:
        return
    shutil.chown(directory, account.uid, account.gid)
    for path in directory.rglob("*"):
        os.chown(path, account.uid, account.gid, follow_symlinks=False)


def _passable(directory: Path, account: Account) -> bool:
    status = directory.stat()
    if status.st_uid == account.uid:
        return bool(status.st_mode & stat.S_IXUSR)
    if status.st_gid == account.gid:
        return bool(status.st_mode & stat.S_IXGRP)
    return bool(status.st_mode & stat.S_IXOTH)
